import { createCipheriv, createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

/**
 * `size` bytes that are the same for the same seed and repeat nowhere, so that whatever lands in
 * a wrong place shows.
 */
export function* content(seed: string, size: number): Generator<Buffer, void, undefined> {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16));
  for (let left = size; left > 0; left -= BLOCK)
    yield cipher.update(ZEROS.subarray(0, Math.min(left, BLOCK)));
}

/** Makes a file of such content. */
export async function makeFile(path: string, seed: string, size: number): Promise<void> {
  await using file = await open(path, 'w');
  for (const block of content(seed, size)) await file.write(block);
}

/** The SHA-256 of what is in a file. */
export async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

const BLOCK = 1024 * 1024;
const ZEROS = Buffer.alloc(BLOCK);
