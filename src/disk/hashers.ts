import { createHash, hash } from 'node:crypto';
import { createRequire } from 'node:module';
import type { DigestName } from '../protocol/message.ts';

/** Tells what is in the bytes that it is given, one piece after the other. */
export interface Hasher {
  /** Takes the next bytes, which may be overwritten afterwards. */
  update(bytes: Uint8Array): void;
  /** The digest of all so far; more may follow. */
  soFar(): Uint8Array;
  /** The digest of all, and the end of it. */
  digest(): Uint8Array;
}

/**
 * What files can be told by on this computer. SHA-256 comes with Node; BLAKE3 is a library made for
 * each kind of computer, which is loaded when it is first needed, and of which none may be here.
 */
export class Hashers {
  readonly #load: () => Library | undefined;
  #found: Found | undefined;
  /** To make one takes longer than to hash a small file. */
  readonly #spare: Native[] = [];

  constructor(load: () => Library | undefined = loadLibrary) {
    this.#load = load;
  }

  /** Best first; BLAKE3 is only among them where it is faster. */
  get names(): readonly DigestName[] {
    return this.#find().names;
  }

  begin(name: DigestName): Hasher {
    if (name === 'sha256') return new Sha256();
    const native = this.#spare.pop() ?? new (this.#library().Blake3Hasher)();
    return new Blake3(native, (used) => {
      used.reset();
      if (this.#spare.length < SPARE) this.#spare.push(used);
    });
  }

  /** The digest of bytes that are there as a whole. */
  of(name: DigestName, bytes: Uint8Array): Uint8Array {
    return name === 'sha256' ? hash('sha256', bytes, 'buffer') : own(this.#library().blake3(bytes));
  }

  #library(): Library {
    const { library } = this.#find();
    if (library === undefined) throw new Error('BLAKE3 was chosen, and is not here.');
    return library;
  }

  #find(): Found {
    if (this.#found === undefined) {
      const library = this.#load();
      const names: DigestName[] = ['sha256'];
      if (library !== undefined && isFaster(library)) names.unshift('blake3');
      this.#found = { names, library };
    }
    return this.#found;
  }
}

class Sha256 implements Hasher {
  readonly #hash = createHash('sha256');

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  soFar(): Uint8Array {
    return this.#hash.copy().digest();
  }

  digest(): Uint8Array {
    return this.#hash.digest();
  }
}

class Blake3 implements Hasher {
  #native: Native | undefined;
  readonly #giveBack: (native: Native) => void;

  constructor(native: Native, giveBack: (native: Native) => void) {
    this.#native = native;
    this.#giveBack = giveBack;
  }

  update(bytes: Uint8Array): void {
    this.#open.update(bytes);
  }

  soFar(): Uint8Array {
    return own(this.#open.digestBuffer());
  }

  digest(): Uint8Array {
    const native = this.#open;
    const digest = own(native.digestBuffer());
    this.#native = undefined;
    this.#giveBack(native);
    return digest;
  }

  get #open(): Native {
    if (this.#native === undefined) throw new Error('It has told its digest.');
    return this.#native;
  }
}

interface Found {
  readonly names: readonly DigestName[];
  readonly library: Library | undefined;
}

/** A digest in memory of Node's own: that of the library takes several times as much. */
function own(digest: Uint8Array): Uint8Array {
  return new Uint8Array(digest);
}

/** `@napi-rs/blake-hash`, as far as we use it. */
export interface Library {
  readonly Blake3Hasher: new () => Native;
  blake3(bytes: Uint8Array): Uint8Array;
}

interface Native {
  update(bytes: Uint8Array): void;
  digestBuffer(): Uint8Array;
  reset(): void;
}

/**
 * The library for this system; undefined if there is none, or it was left out or cannot be loaded.
 * What the package does itself to find it takes five times as long: it has Node write a report of
 * this process, for which that may look up the names of whoever is connected.
 */
function loadLibrary(): Library | undefined {
  const name = `@napi-rs/blake-hash-${process.platform}-${process.arch}`;
  for (const suffix of SUFFIXES[process.platform] ?? [''])
    try {
      // It need not lie where we could see it.
      const beside = createRequire(import.meta.url).resolve('@napi-rs/blake-hash');
      return createRequire(beside)(name + suffix) as Library;
    } catch {
      // It is the next one, or none.
    }
  return undefined;
}

/** What systems are told apart by beside their names; only one of them is installed. */
const SUFFIXES: { readonly [platform in NodeJS.Platform]?: readonly string[] } = {
  linux: ['-gnu', '-musl'],
  win32: ['-msvc'],
};

/** On processors that have SHA-256 built in and no wide registers, it is not. */
function isFaster({ blake3 }: Library): boolean {
  const sample = new Uint8Array(SAMPLE);
  try {
    return fastest(() => blake3(sample)) < fastest(() => hash('sha256', sample, 'buffer'));
  } catch {
    return false; // One that does not work is none, and no reason to end a receiver that waits.
  }
}

/** Milliseconds that it takes if nothing comes in between. */
function fastest(run: () => void): number {
  const times = Array.from({ length: TRIES }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return Math.min(...times);
}

/** Bytes that are hashed to compare: so few that it takes no noticeable time. */
const SAMPLE = 64 * 1024;
const TRIES = 3;

/** Hashers that are kept to be used again, as many as there are files on their way at once. */
const SPARE = 64;
