import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NEWEST, OLDEST } from '../../src/protocol/message.ts';
import type { Build } from './bin.ts';
import { TempFolder } from './home.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const KEPT = join(PROJECT, 'test', 'releases');

/** The releases that are kept, as `drop-lan-VERSION.tgz`. */
export const RELEASES = readdirSync(KEPT).filter((name) => name.endsWith('.tgz'));

/** A build in a folder of its own, which is removed at the end. */
export class OtherBuild extends TempFolder implements Build {
  readonly bin = join(this.path, 'package', 'bin', 'drop.js');
  readonly older: boolean;

  private constructor(older: boolean) {
    super();
    this.older = older;
  }

  /** One of `RELEASES`. */
  static unpacked(release: string): OtherBuild {
    const build = new OtherBuild(true);
    execFileSync('tar', ['-xzf', join(KEPT, release), '-C', build.path]);
    return build;
  }

  /** This one, where every user of the computer can run it, wherever the project lies. */
  static forEveryone(): OtherBuild {
    const build = OtherBuild.copy();
    execFileSync('chmod', ['-R', 'a+rX', build.path]);
    return build;
  }

  private static copy(): OtherBuild {
    const build = new OtherBuild(false);
    for (const part of ['bin', 'dist/command', 'package.json'])
      cpSync(join(PROJECT, part), join(build.path, 'package', part), { recursive: true });
    return build;
  }

  /** This one, but it speaks these versions of the protocol, or says so. */
  static speaking({ newest, oldest }: { newest: number; oldest: number }): OtherBuild {
    const build = OtherBuild.copy();
    const command = join(build.path, 'package', 'dist', 'command');
    let places = 0;
    for (const name of readdirSync(command)) {
      const code = readFileSync(join(command, name), 'utf8');
      const other = code.replace(OURS, (_, space: string) => {
        places++;
        return `newest: ${newest},${space}oldest: ${oldest}`;
      });
      if (other !== code) writeFileSync(join(command, name), other);
    }
    // Each side says it, and compares what it hears with it.
    if (places !== 4) throw new Error(`It stands in ${places} places which version is spoken.`);
    return build;
  }
}

/** How the built command says which versions it speaks. */
const OURS = new RegExp(`newest: ${NEWEST},(\\s*)oldest: ${OLDEST}\\b`, 'g');
