import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Intake } from '../../src/net/intake.ts';
import { concat } from '../../src/protocol/bytes.ts';

const RECORD = 16 * 1024;

type Step = { readonly fill: number } | { readonly add: number } | 'take';
const counts = fc.oneof(fc.constant(RECORD), fc.integer({ min: 1, max: RECORD }));
const filling = fc.record({ fill: counts });
/** A socket that puts them in memory of their own may bring several records at once. */
const adding = fc.record({ add: fc.oneof(counts, fc.integer({ min: 1, max: 5 * RECORD })) });
const taking = fc.constant<Step>('take');
const steps = (own: boolean): fc.Arbitrary<Step[]> =>
  fc
    .array(fc.tuple(own ? adding : filling, fc.integer({ min: 1, max: 60 }), fc.nat(3)), {
      maxLength: 40,
      size: 'max',
    })
    // Many records come before anybody reads, and then everything is read; or only a little.
    .chain((runs) =>
      fc.tuple(
        ...runs.map(([step, times, takes]) =>
          fc.tuple(
            fc.constant(Array<Step>(times).fill(step)),
            fc.array(taking, { maxLength: takes }),
          ),
        ),
      ),
    )
    .map((runs) => runs.flat(2));

test.each([
  ['where it may say where to put them', false],
  ['or in memory of their own', true],
])('what came is what is heard, %s', (_, own) => {
  const visited = { together: 0, again: 0, untouched: 0 };
  fc.assert(
    fc.property(steps(own), (all) => {
      const intake = new Intake();
      const came: Uint8Array[] = [];
      const heard: Uint8Array[] = [];
      const memory = new Set<ArrayBufferLike>();
      let piece: Uint8Array | undefined;
      let before: Uint8Array = new Uint8Array(0);
      let n = 0;
      // Where to put the next bytes is asked before they come, at once or when they do.
      let space: Uint8Array | undefined = intake.space();
      const take = (): boolean => {
        if (piece !== undefined) {
          // Whatever came meanwhile, nobody has touched what is being heard.
          expect(Buffer.compare(piece, before)).toBe(0);
          if (n > 0) visited.untouched += 1;
        }
        piece = intake.take();
        n = 0;
        if (piece === undefined) return false;
        before = new Uint8Array(piece);
        heard.push(before);
        if (memory.has(piece.buffer)) visited.again += 1;
        memory.add(piece.buffer);
        if (piece.length > RECORD) visited.together += 1;
        return true;
      };
      for (const step of all) {
        if (step === 'take') take();
        else {
          n += 1;
          const count = 'fill' in step ? step.fill : step.add;
          const bytes = new Uint8Array(count).fill(came.length % 256);
          came.push(bytes);
          if ('add' in step) {
            const memory = Buffer.from(bytes);
            intake.add(memory);
            memory.fill(0xee); // It may be used for something else at once.
          } else {
            space ??= intake.space();
            expect(space.length).toBe(RECORD);
            space.set(bytes);
            intake.filled(count);
            space = came.length % 2 === 0 ? intake.space() : undefined;
          }
        }
        const waits = length(came) - length(heard);
        expect(intake.length).toBe(waits);
      }
      while (take());
      expect(Buffer.compare(concat(...heard), concat(...came))).toBe(0);
    }),
    { numRuns: 60 },
  );
  for (const [what, times] of Object.entries(visited)) expect(times, what).toBeGreaterThan(20);
});

function length(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

test('where all is heard as it comes, little memory is used again and again', () => {
  const intake = new Intake();
  const memory = new Set<ArrayBufferLike>();
  for (let n = 0; n < 10_000; n++) {
    memory.add(intake.space().buffer);
    intake.filled(RECORD);
    if (n % 8 === 7) intake.take();
  }
  expect(memory.size).toBeLessThanOrEqual(4);
});

test('a connection over which little comes takes little memory', () => {
  const intake = new Intake();
  const { buffer } = intake.space();
  intake.filled(100);
  expect(intake.space().buffer).toBe(buffer);
  expect(buffer.byteLength).toBeLessThanOrEqual(4 * RECORD);
});

test('what is being heard is not overwritten, however much comes meanwhile', () => {
  const intake = new Intake();
  const come = (times: number, byte: number): void => {
    for (let n = 0; n < times; n++) {
      intake.space().fill(byte);
      intake.filled(RECORD);
    }
  };
  for (let full = 1; full <= 80; full++) {
    come(full, 7);
    let piece = intake.take();
    while (intake.length > 0) piece = intake.take();
    come(80, 8);
    expect(piece?.every((byte) => byte === 7)).toBe(true);
    while (intake.take());
  }
});
