import { Writable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Outflow } from '../../src/net/outflow.ts';
import { concat } from '../../src/protocol/bytes.ts';

/** A socket that takes what is written when it is told to, and looks at the bytes only then. */
class Slow extends Writable {
  readonly taken: Uint8Array[] = [];
  /** The memory of each piece. */
  readonly memory = new Set<ArrayBufferLike>();
  #next: ((error?: Error | null) => void) | undefined;

  constructor() {
    super({ highWaterMark: 1 });
  }

  override _write(bytes: Buffer, _: string, taken: (error?: Error | null) => void): void {
    this.#next = (error) => {
      if (error) return taken(error);
      this.memory.add(bytes.buffer);
      this.taken.push(new Uint8Array(bytes));
      taken();
    };
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#next?.(error);
    done(error);
  }

  /** Takes the piece that came first. Whether there was one. */
  take(): boolean {
    const next = this.#next;
    this.#next = undefined;
    next?.();
    return next !== undefined;
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function takeAll(socket: Slow): Promise<void> {
  do await turn();
  while (socket.take());
}

const lengths = fc.oneof(
  fc.nat(40),
  fc.integer({ min: 0, max: 70_000 }),
  fc.constantFrom(64 * 1024, 64 * 1024 + 1, 200_000),
);
const steps = fc.oneof(
  { weight: 3, arbitrary: fc.array(lengths, { minLength: 1, maxLength: 4 }) },
  { weight: 1, arbitrary: fc.constantFrom('turn' as const, 'take' as const, 'flush' as const) },
);

test('all bytes go out in order, and whoever wrote them is told when they are out', async () => {
  const visited = { joined: 0, waited: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { maxLength: 60, size: 'max' }), async (all) => {
      const socket = new Slow();
      const outflow = new Outflow(socket);
      const said: Uint8Array[] = [];
      let length = 0;
      let told = 0;
      let writes = 0;
      const out = (): number => socket.taken.reduce((sum, piece) => sum + piece.length, 0);
      for (const step of all) {
        if (step === 'turn') await turn();
        else if (step === 'take') socket.take();
        else if (step === 'flush') outflow.flush();
        else {
          const parts = step.map((size) => new Uint8Array(size).fill(++writes));
          said.push(...parts.map((part) => part.slice()));
          length += step.reduce((sum, size) => sum + size, 0);
          const end = length;
          outflow.write(parts, (error) => {
            expect(error ?? undefined).toBeUndefined();
            expect(out()).toBeGreaterThanOrEqual(end);
            told += 1;
            // They may be overwritten now, and not before.
            for (const part of parts) part.fill(0xee);
          });
          if (length > out()) visited.waited += 1;
        }
      }
      await takeAll(socket);
      expect(told).toBe(all.filter((step) => typeof step !== 'string').length);
      expect(Buffer.compare(concat(...socket.taken), concat(...said))).toBe(0);
      if (socket.taken.length < said.length) visited.joined += 1;
    }),
    { numRuns: 150 },
  );
  for (const [what, times] of Object.entries(visited)) expect(times, what).toBeGreaterThan(20);
});

test('short parts of one turn are one piece, and long ones are not copied', async () => {
  const socket = new Slow();
  const outflow = new Outflow(socket);
  const long = new Uint8Array(100_000);
  outflow.write([new Uint8Array(3), new Uint8Array(4)], () => {});
  outflow.write([new Uint8Array(5), long, new Uint8Array(6)], () => {});
  outflow.write([new Uint8Array(7)], () => {});
  await takeAll(socket);
  expect(socket.taken.map(({ length }) => length)).toEqual([12, long.length, 13]);
  expect(socket.memory).toContain(long.buffer);
});

test('a peer that takes nothing for long makes nobody hold more than what is said', async () => {
  const socket = new Slow();
  const outflow = new Outflow(socket);
  for (let n = 0; n < 1_000; n++) {
    outflow.write([new Uint8Array(9)], () => {});
    await turn();
  }
  await takeAll(socket);
  expect(socket.memory.size).toBe(1);
});

test('memory is used again', async () => {
  const socket = new Slow();
  const outflow = new Outflow(socket);
  for (let n = 0; n < 100; n++) {
    outflow.write([new Uint8Array(60_000), new Uint8Array(60_000)], () => {});
    await turn();
    if (n % 2 === 1) await takeAll(socket);
  }
  expect(socket.memory.size).toBeLessThanOrEqual(2);
});

test('nothing at all is written at once', () => {
  let told = 0;
  new Outflow(new Slow()).write([], () => {
    told += 1;
  });
  expect(told).toBe(1);
});

test('whoever waits learns that the socket broke', async () => {
  const socket = new Slow();
  socket.on('error', () => {});
  const outflow = new Outflow(socket);
  const told: unknown[] = [];
  outflow.write([new Uint8Array(9)], (error) => told.push(error));
  await turn();
  outflow.write([new Uint8Array(9)], (error) => told.push(error));
  socket.destroy(new Error('broken'));
  await turn();
  await turn();
  expect(told).toEqual([expect.any(Error), expect.any(Error)]);
});
