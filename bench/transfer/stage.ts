import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Host, Lab } from '../../test/lab/hosts.ts';

/** What is between the two hosts; without any of it they are as fast as the machine. */
export interface Link {
  /** In each direction, e.g. `100mbit`. */
  readonly rate?: string;
  /** Of a hundred packets that arrive at either host, so many get lost. */
  readonly lost?: number;
}

const PLACES = ['memory', 'disk'] as const;
export type Place = (typeof PLACES)[number];

/** Two hosts on one network, one of which sends. */
export class Stage implements Disposable {
  readonly sender: Host;
  readonly receiver: Host;
  /** Of the receiver. */
  readonly address = '10.77.0.2';
  readonly #lab = Lab.create();

  constructor({ rate, lost }: Link = {}) {
    const port = { bridge: 'lan', ipv4Only: true };
    this.sender = this.#lab.host('ana', { ...port, addresses: ['10.77.0.1/24'] });
    this.receiver = this.#lab.host('bob', { ...port, addresses: [`${this.address}/24`] });
    if (rate !== undefined) this.sender.limit('lan', rate);
    if (lost === undefined) return;
    for (const host of [this.sender, this.receiver]) {
      // Else what gets lost is not a packet but dozens of them at once.
      host.ip('link', 'set', 'lan', 'gso_max_segs', '1');
      host.lose(`meta l4proto tcp numgen random mod 100 < ${lost}`, 10);
    }
  }

  [Symbol.dispose](): void {
    this.#lab.destroy();
  }
}

/** Folders in memory and on the disk, which go with it. */
export class Ground implements Disposable {
  readonly #path = realpathSync(mkdtempSync(join(tmpdir(), 'drop-bench-')));

  constructor() {
    for (const place of PLACES) mkdirSync(this.at(place));
    execFileSync('mount', [
      '-t',
      'tmpfs',
      '-o',
      'size=8g,nr_inodes=4m',
      'tmpfs',
      this.at('memory'),
    ]);
  }

  at(place: Place): string {
    return join(this.#path, place);
  }

  /** What kind of disk that is; undefined where the folder for temporary files is in memory too. */
  get disk(): string | undefined {
    const { type } = statfsSync(this.at('disk'));
    if (type === 0x01021994) return undefined;
    return FILE_SYSTEMS.get(type) ?? `file system ${type.toString(16)}`;
  }

  [Symbol.dispose](): void {
    execFileSync('umount', ['--lazy', this.at('memory')]);
    rmSync(this.#path, { recursive: true, force: true });
  }
}

const FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
]);
