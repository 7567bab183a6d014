import { createHash } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { content } from '../../test/support/content.ts';

/** What is sent: a file, or a folder with all that is in it. */
export interface Payload {
  readonly path: string;
  readonly folder: boolean;
  readonly files: number;
  readonly bytes: number;
}

export type Make = (path: string) => Payload;

export const MIB = 1024 ** 2;

/** A file of bytes that nothing makes smaller. */
export function randomFile(bytes: number): Make {
  return (path) => {
    write(path, content(`${bytes} bytes`, bytes));
    return { path, folder: false, files: 1, bytes };
  };
}

/** A file of lines as a web server writes them, which compress like such lines do. */
export function logFile(bytes: number): Make {
  return (path) => {
    write(path, lines(bytes));
    return { path, folder: false, files: 1, bytes };
  };
}

/** So many random files of a size, `each` in a folder, and ten such folders in one. */
export function tree(files: number, size: number, each: number): Make {
  return (path) => {
    const source = content(`${files} files`, files * size);
    let block = Buffer.alloc(0);
    for (let file = 0; file < files; file++) {
      const number = Math.floor(file / each);
      const folder = join(path, `${Math.floor(number / 10)}`, `${number}`);
      if (file % each === 0) mkdirSync(folder, { recursive: true });
      while (block.length < size)
        block = Buffer.concat([block, source.next().value ?? Buffer.alloc(size)]);
      writeFileSync(join(folder, `file-${file}`), block.subarray(0, size));
      block = block.subarray(size);
    }
    return { path, folder: true, files, bytes: files * size };
  };
}

/**
 * A million files, every other one empty and the rest a few hundred bytes: nine in ten in folders
 * of three hundred, the others in a single folder.
 */
export const million: Make = (path) => {
  let bytes = 0;
  for (let file = 0; file < 1_000_000; file++) {
    const number = Math.floor(file / 300);
    const flat = file >= 900_000;
    const folder = flat
      ? join(path, 'flat')
      : join(path, `${Math.floor(number / 100)}`, `${number}`);
    if (flat ? file === 900_000 : file % 300 === 0) mkdirSync(folder, { recursive: true });
    const size = file % 2 === 0 ? 0 : 100 + (file % 400);
    writeFileSync(join(folder, `file-${file}`), `${file} `.repeat(size).slice(0, size));
    bytes += size;
  }
  return { path, folder: true, files: 1_000_000, bytes };
};

/** Writes as much into a folder and deletes it: memory that a guest has not touched for long is slow. */
export function warm({ path, folder }: Payload, into: string): void {
  const copy = join(into, `warm-${basename(path)}`);
  if (folder) cpSync(path, copy, { recursive: true });
  else copyFileSync(path, copy);
  rmSync(copy, { recursive: true });
}

/** The first thing that is not the same at both paths, if anything. Times and modes do not count. */
export function difference(left: string, right: string): string | undefined {
  const [here, there] = [statSync(left), statSync(right)];
  if (here.isDirectory() !== there.isDirectory()) return `${right} is of another kind`;
  if (!here.isDirectory()) {
    const same = here.size === there.size && sameBytes(left, right, here.size);
    return same ? undefined : `${right} has another content`;
  }
  const others = new Set(readdirSync(right));
  for (const name of readdirSync(left)) {
    if (!others.delete(name)) return `${join(right, name)} is missing`;
    const found = difference(join(left, name), join(right, name));
    if (found !== undefined) return found;
  }
  for (const name of others) return `${join(right, name)} was never sent`;
  return undefined;
}

function sameBytes(left: string, right: string, size: number): boolean {
  const [here, there] = [openSync(left, 'r'), openSync(right, 'r')];
  try {
    for (let at = 0; at < size; at += LEFT.length) {
      const length = Math.min(LEFT.length, size - at);
      if (readSync(here, LEFT, 0, length, at) !== length) return false;
      if (readSync(there, RIGHT, 0, length, at) !== length) return false;
      if (!LEFT.subarray(0, length).equals(RIGHT.subarray(0, length))) return false;
    }
    return true;
  } finally {
    closeSync(here);
    closeSync(there);
  }
}

const LEFT = Buffer.alloc(MIB);
const RIGHT = Buffer.alloc(MIB);

function write(path: string, blocks: Iterable<Uint8Array>): void {
  const file = openSync(path, 'w');
  try {
    for (const block of blocks) writeSync(file, block);
  } finally {
    closeSync(file);
  }
}

function* lines(bytes: number): Generator<Buffer> {
  const random = numbers('log');
  const pick = <T>(all: readonly T[]): T => all[random() % all.length] as T;
  let at = Date.UTC(2026, 0, 1);
  let left = bytes;
  while (left > 0) {
    let text = '';
    while (text.length < Math.min(left, MIB)) {
      at += random() % 400;
      const client = `10.${random() % 4}.${random() % 256}.${random() % 256}`;
      const path = `/${pick(PLACES)}/${random() % 100_000}`;
      const took = `${random() % 900}.${random() % 1000}ms`;
      const trace = [0, 1, 2, 3].map(() => random().toString(16).padStart(8, '0')).join('');
      text +=
        `${new Date(at).toISOString()} ${pick(LEVELS)} [worker-${random() % 16}] ${client} ` +
        `"${pick(VERBS)} ${path} HTTP/1.1" ${pick(STATES)} ${random() % 50_000} ${took} ` +
        `trace=${trace} "${pick(AGENTS)}"\n`;
    }
    const block = Buffer.from(text, 'latin1').subarray(0, left);
    left -= block.length;
    yield block;
  }
}

/** Numbers below 2^32 that are the same for the same seed. */
function numbers(seed: string): () => number {
  let round = 0;
  let block = Buffer.alloc(0);
  let at = 0;
  return () => {
    if (at === block.length) {
      block = createHash('sha512').update(`${seed} ${round++}`).digest();
      at = 0;
    }
    at += 4;
    return block.readUInt32LE(at - 4);
  };
}

const PLACES = ['items', 'orders', 'users', 'static/js', 'static/css', 'search', 'api/v2/carts'];
const LEVELS = ['INFO', 'INFO', 'INFO', 'INFO', 'INFO', 'DEBUG', 'WARN', 'ERROR'];
const VERBS = ['GET', 'GET', 'GET', 'GET', 'POST', 'PUT', 'HEAD'];
const STATES = [200, 200, 200, 200, 200, 204, 304, 404, 500];
const AGENTS = [
  'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0',
  'curl/8.5.0',
  'internal-health-check/1.4',
];
