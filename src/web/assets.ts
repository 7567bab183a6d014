import { readFile } from 'node:fs/promises';

/** Reads a file of those that the build makes for browsers, by its name. */
export function readAsset(name: string): Promise<Uint8Array> {
  return readFile(new URL(name, FOLDER));
}

/** Both `src/web` and what is built of it lie two folders down. */
const FOLDER = new URL('../../dist/page/', import.meta.url);
