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

  /** This one, but it speaks these versions of the protocol, or says so. */
  static speaking({ newest, oldest }: { newest: number; oldest: number }): OtherBuild {
    // Each side says it, and compares what it hears with it.
    return OtherBuild.copy().#with(OURS, `newest: ${newest},$1oldest: ${oldest}`, 4);
  }

  /** This one, but it takes every transfer for a fast one, however busy the machine is. */
  static hasty(): OtherBuild {
    return OtherBuild.copy().#with(FAST, 'const FAST = 0;', 1);
  }

  private static copy(): OtherBuild {
    const build = new OtherBuild(false);
    for (const part of ['bin', 'dist/command', 'package.json'])
      cpSync(join(PROJECT, part), join(build.path, 'package', part), { recursive: true });
    return build;
  }

  /** Has other code there where this stands in the command, in so many places. */
  #with(code: RegExp, other: string, places: number): this {
    const command = join(this.path, 'package', 'dist', 'command');
    let found = 0;
    for (const name of readdirSync(command)) {
      const ours = readFileSync(join(command, name), 'utf8');
      found += ours.match(code)?.length ?? 0;
      const theirs = ours.replace(code, other);
      if (theirs !== ours) writeFileSync(join(command, name), theirs);
    }
    if (found !== places) throw new Error(`${code} is in ${found} places.`);
    return this;
  }
}

/** How the built command says which versions it speaks. */
const OURS = new RegExp(`newest: ${NEWEST},(\\s*)oldest: ${OLDEST}\\b`, 'g');

/** …and from when on a transfer is fast. */
const FAST = /\bconst FAST = 15e4;/g;
