import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, utimes } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { content, digestOf, makeFile } from '../../support/content.ts';
import type { Cargo } from './plan.ts';

/** What a file must hold in the end. */
interface Expected {
  readonly seed: string;
  readonly size: number;
}

/** What is sent in one round, and what must lie in the target when it has been. */
export class Freight {
  /** Its one root. */
  readonly name: string;
  /** All of it, and how much of that is new since it was sent before. */
  bytes = 0;
  fresh = 0;
  files = 0;
  /** What is given to standard input, if it comes from there. */
  readonly input: Buffer | undefined;
  readonly #cargo: Cargo;
  readonly #folder: string;
  readonly #sources = new Map<string, Expected>();
  readonly #targets = new Map<string, Expected>();

  /** Of this name, in this folder. */
  constructor(cargo: Cargo, name: string, folder: string) {
    this.#cargo = cargo;
    this.#folder = folder;
    this.name = cargo.kind === 'folder' ? name : `${name}.bin`;
    if (cargo.kind === 'stream') this.input = Buffer.concat([...content(this.name, cargo.size)]);
  }

  /** The arguments that name it. */
  get args(): readonly string[] {
    return this.#cargo.kind === 'stream' ? ['-', '--name', this.name] : [this.name];
  }

  async make(): Promise<void> {
    const cargo = this.#cargo;
    if (cargo.kind === 'folder')
      for (let i = 0; i < cargo.files; i++) await this.#put(this.#pathOf(i), '', sizeOf(cargo, i));
    else await this.#put(this.name, '', cargo.size);
    for (const [path, { seed, size }] of this.#sources) this.#targets.set(path, { seed, size });
  }

  /** Changes some of the files of a folder, and touches others. */
  async change(count: number): Promise<void> {
    const cargo = this.#cargo;
    if (cargo.kind !== 'folder') return;
    this.fresh = 0;
    for (let i = 0; i < Math.min(count, cargo.files / 2); i++) {
      const path = this.#pathOf(2 * i);
      // Some are changed in nothing but their content.
      const size = sizeOf(cargo, 2 * i) + (i % 2);
      const before = this.#sources.get(path)?.size ?? 0;
      await this.#put(path, ' changed', size);
      this.bytes -= before;
      this.files -= 1;
      const unchanged = size === 0;
      if (!unchanged)
        this.#targets.set(path.replace('.bin', ' (1).bin'), this.#sources.get(path) as Expected);
      const touched = join(this.#folder, this.#pathOf(2 * i + 1));
      await utimes(touched, 1_700_000_000, 1_700_000_000);
    }
  }

  async remove(): Promise<void> {
    await rm(join(this.#folder, this.name), { recursive: true, force: true });
  }

  /** What is not as it must be in the folder where it was sent to. */
  async problems(target: string): Promise<Problem[]> {
    const problems: Problem[] = [];
    const there = new Set<string>();
    for (const entry of await readdir(target, { recursive: true, withFileTypes: true })) {
      const path = relative(target, join(entry.parentPath, entry.name));
      if (path.startsWith('.drop-')) problems.push({ kind: 'staging left', path });
      else if (entry.isFile()) there.add(path);
    }
    for (const [path, { seed, size }] of this.#targets) {
      if (!there.delete(path)) problems.push({ kind: 'lost', path });
      else if ((await digestOf(join(target, path))) !== digestFrom(content(seed, size)))
        problems.push({ kind: 'corrupt', path });
    }
    for (const path of there) problems.push({ kind: 'duplicated', path });
    return problems;
  }

  async #put(path: string, variant: string, size: number): Promise<void> {
    const seed = path + variant;
    await mkdir(dirname(join(this.#folder, path)), { recursive: true });
    if (this.input === undefined) await makeFile(join(this.#folder, path), seed, size);
    this.#sources.set(path, { seed, size });
    this.bytes += size;
    this.fresh += size;
    this.files += 1;
  }

  #pathOf(i: number): string {
    return join(this.name, `${i % 7}`, `${i}.bin`);
  }
}

export interface Problem {
  readonly kind: 'lost' | 'corrupt' | 'duplicated' | 'staging left' | 'half-made';
  readonly path: string;
}

/** Sizes of all kinds, none among them. */
function sizeOf({ size }: Cargo, i: number): number {
  return (i * 7_919) % (size + 1);
}

function digestFrom(blocks: Iterable<Buffer>): string {
  const hash = createHash('sha256');
  for (const block of blocks) hash.update(block);
  return hash.digest('hex');
}
