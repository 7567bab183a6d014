import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { Stream } from '../../src/disk/stream.ts';
import type { Kept } from '../../src/protocol/message.ts';
import type { Block } from '../../src/transfer/sender.ts';

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

function keptOf(bytes: Uint8Array): Kept {
  return { entry: 0, size: bytes.length, digest: sha256(bytes) };
}

async function drain(blocks: AsyncGenerator<Block, Uint8Array>, into: Buffer[]) {
  for (;;) {
    const { value, done } = await blocks.next();
    if (done) return Buffer.from(value);
    into.push(Buffer.from(value.bytes));
  }
}

test('goes on after what was kept', async () => {
  const content = randomBytes(3_000_000);
  const stream = new Stream('x', Readable.from([content]));
  const blocks = stream.read(undefined, undefined);
  const parts: Buffer[] = [];
  while (Buffer.concat(parts).length < 1_000_000) {
    const { value, done } = await blocks.next();
    if (done) throw new Error();
    parts.push(Buffer.from(value.bytes));
  }
  await blocks.return(new Uint8Array());
  const rest: Buffer[] = [];
  const digest = await drain(stream.read(keptOf(content.subarray(0, 700_000)), undefined), rest);
  expect(Buffer.concat(rest).equals(content.subarray(700_000))).toBe(true);
  expect(digest).toEqual(sha256(content));
});
