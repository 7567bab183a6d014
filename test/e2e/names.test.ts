import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Standing } from '../../src/events.ts';
import { type CodeRequest, discover, receive, send } from '../../src/index.ts';
import { openSelf, type Self } from '../../src/meeting/self.ts';
import { TempFolder } from '../support/home.ts';
import { PATIENCE } from '../support/process.ts';

/** Long enough for whoever is there to be found. */
const WAIT = 3_000;

/** Bob knows Ana, whose laptop is called as below, and sends to her. Eve wants to be taken for her. */
describe('a known device', () => {
  const NAME = "Ana's office";
  let folder: TempFolder;
  let ana: Self;
  let bob: Self;
  let eve: Self;
  let stop: AbortController;
  const running: Promise<void>[] = [];

  const homeOf = (who: string): string => join(folder.path, who);

  /** What arrived, but for what is on its way. */
  async function got(who: 'ana' | 'eve'): Promise<string[]> {
    const names = await readdir(homeOf(`${who}'s files`));
    return names.filter((name) => !name.startsWith('.'));
  }

  beforeEach(async () => {
    folder = new TempFolder();
    stop = new AbortController();
    ana = await openSelf({ home: homeOf('ana') });
    bob = await openSelf({ home: homeOf('bob') });
    eve = await openSelf({ home: homeOf('eve') });
    await pair(ana, NAME);
    await writeFile(homeOf('secret'), 'for Ana only');
  });
  afterEach(async () => {
    stop.abort();
    await Promise.allSettled(running.splice(0));
    await folder[Symbol.asyncDispose]();
  });

  async function pair(device: Self, name: string): Promise<void> {
    await bob.trust.add({ id: device.identity.id, name });
    await device.trust.add({ id: bob.identity.id, name: 'Bob' });
  }

  /** Resolves when the device is ready. */
  async function start(who: 'ana' | 'eve', name: string): Promise<void> {
    const events = receive({
      home: homeOf(who),
      name,
      into: homeOf(`${who}'s files`),
      interfaces: ['lo'],
      accept: async () => true,
      signal: stop.signal,
    });
    await events.next();
    running.push(
      (async () => {
        for await (const _ of events);
      })(),
    );
  }

  /** Bob sends; what comes of it is `sent`, or why not. */
  async function sendTo(to: string, wait = WAIT): Promise<string> {
    const code = async ({ peer }: CodeRequest): Promise<string> => {
      throw new Error(`a code is asked for by ${peer.name}`);
    };
    const { signal } = stop;
    const options = { home: homeOf('bob'), to, wait, interfaces: ['lo'], code, signal };
    try {
      for await (const _ of send([homeOf('secret')], options));
      return 'sent';
    } catch (error) {
      return error instanceof Error && 'code' in error ? String(error.code) : String(error);
    }
  }

  async function standingOf(device: Self): Promise<Standing | undefined> {
    const limit = new AbortController();
    const late = setTimeout(() => limit.abort(), PATIENCE);
    onTestFinished(() => clearTimeout(late));
    const signal = AbortSignal.any([stop.signal, limit.signal]);
    for await (const event of discover({ home: homeOf('bob'), interfaces: ['lo'], signal }))
      if (event.event === 'peer' && event.id === device.identity.id) return event.standing;
    return undefined;
  }

  test('is meant by its name, not one that was paired under a name that looks like it', async () => {
    await pair(eve, "Ana's o\ufb03ce");
    await start('eve', NAME);
    expect(await standingOf(eve)).toBe('paired');
    expect(await sendTo(NAME)).toBe('not-found');
    await start('ana', 'whatever');
    expect(await sendTo(NAME, 20_000)).toBe('sent');
    expect([await got('ana'), await got('eve')]).toEqual([['secret'], []]);
  });

  test.each([NAME, "ANA'S OFFICE", "Ana's o\ufb03ce\u200d"])(
    'is not the new one that calls itself %j',
    async (name) => {
      await start('eve', name);
      expect(await standingOf(eve)).toBe('namesake');
      expect(await sendTo(NAME)).toBe('wrong-peer');
      expect(await got('eve')).toEqual([]);
    },
  );

  test('is not the new one that calls itself by the first digits of its id', async () => {
    const digits = ana.identity.id.slice(0, 8);
    await start('eve', digits);
    expect(await sendTo(digits)).toBe('wrong-peer');
    await start('ana', 'whatever');
    expect(await sendTo(digits, 20_000)).toBe('sent');
    expect([await got('ana'), await got('eve')]).toEqual([['secret'], []]);
  });

  test('is not guessed, where what was typed can mean two', async () => {
    const digits = ana.identity.id.slice(0, 8);
    await pair(eve, digits);
    await start('eve', 'whatever');
    expect(await sendTo(digits)).toBe('ambiguous');
    expect(await got('eve')).toEqual([]);
  });
});
