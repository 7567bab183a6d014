import { readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { OnConflict } from '../../src/disk/inbox.ts';
import { openStagings } from '../../src/disk/staging.ts';
import { finished } from '../support/process.ts';
import {
  fileOf,
  folder,
  inboxIn,
  link,
  MTIME,
  newFolder,
  type Offered,
  receiveAll,
  shown,
  spawnReceiver,
  tree,
  visible,
} from './support.ts';

const BIG = Buffer.alloc(1_300_000, 'big');

const OFFERED: readonly Offered[] = [
  fileOf('loose', 'loose'),
  fileOf('taken', 'new'),
  { entry: folder('f') },
  fileOf('f/.env', 'secret'),
  fileOf('f/big', BIG),
  fileOf('f/empty', ''),
  { entry: { kind: 'stream', path: 'f/stream' }, content: Buffer.from('said') },
  { entry: link('f/l', '.env') },
];

/** A folder with a file of the receiver's own. */
function newTarget(): string {
  const target = newFolder();
  writeFileSync(join(target, 'taken'), 'mine');
  utimesSync(join(target, 'taken'), MTIME / 1000 - 60, MTIME / 1000 - 60);
  return target;
}

const BESIDE = { taken: 'mine', 'taken (1)': 'new' };
const INSTEAD = { taken: 'new' };

test.each<[OnConflict, string, boolean, object]>([
  ['rename', 'one by one', false, BESIDE],
  ['overwrite', 'one by one', false, INSTEAD],
  ['rename', 'small files together', true, BESIDE],
  ['overwrite', 'small files together', true, INSTEAD],
])(
  'wherever a receiver dies that is told to %s, %s, no name stands for a part of a file, and the next one completes it',
  async (onConflict, _, together, then) => {
    const whole = {
      loose: 'loose',
      ...then,
      f: '/',
      'f/.env': 'secret',
      'f/big': shown(BIG),
      'f/empty': '',
      'f/stream': 'said',
      'f/l': '-> .env',
    };
    const seen = new Set<string>();
    /** Whether there was still something left to die in. */
    const attempt = async (die: number): Promise<boolean> => {
      const [home, target] = [newFolder(), newTarget()];
      const options = { onConflict };
      const dying = spawnReceiver({ home, target, offered: OFFERED, options, together, die });
      const { signal, stdout, stderr } = await finished(dying);
      if (signal === null) {
        expect(stderr).toBe('');
        expect(stdout).toMatch(/^ready/);
        expect(tree(target)).toEqual(whole);
        return false;
      }
      for (const [path, content] of Object.entries(visible(target)))
        if (path !== 'taken' || content !== 'mine')
          expect({ ...whole, [path]: content }).toEqual(whole);
      const inbox = await inboxIn(target, { stagings: await openStagings(home), onConflict });
      const wanted = await receiveAll(inbox, OFFERED);
      for (const line of wanted) seen.add(line.split(' ')[0] as string);
      expect(await inbox.finish()).toEqual([]);
      await inbox.close();
      expect([die, tree(target)]).toEqual([die, whole]);
      await (await openStagings(home)).clear(Date.now() + 8 * 86_400_000);
      expect(readdirSync(join(home, 'staging'))).toEqual([]);
      return true;
    };
    let next = 1;
    let more = true;
    const work = async (): Promise<void> => {
      while (more) if (!(await attempt(next++))) more = false;
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    expect(next).toBeGreaterThan(80);
    // It died while there were parts, and when files had their names already.
    const known = ['all', 'rest', 'unchanged'];
    expect([...seen].sort()).toEqual(expect.arrayContaining(known));
    // What was touched last in the very millisecond in which the next one begins, as something was
    // cleared away, may have come from somebody else, and is compared.
    if (onConflict === 'rename') expect(seen).toContain('identical');
    expect([...seen].filter((one) => ![...known, 'identical'].includes(one))).toEqual([]);
  },
  180_000,
);

/** Receivers at once, for those computers that have more than one core. */
const AT_ONCE = 4;
