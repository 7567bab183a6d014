import { describe, expect, test } from 'vitest';
import { Worth } from '../../src/transfer/worth.ts';

/** A computer, a network and what is sent over it. Rates are bytes per millisecond, or kB/s. */
interface World {
  /** What the network takes, at each time. */
  readonly link: (ms: number) => number;
  /** What one quality after the other makes of a block: how fast, and how many bytes of one. */
  readonly codec: readonly { readonly rate: number; readonly ratio: number }[];
  /** How fast the other side unpacks. */
  readonly unpacks?: number;
  /** How many blocks are packed at once. */
  readonly lanes?: number;
  /** Bytes of each file, and how many files. */
  readonly size?: number;
  readonly files?: number;
  /** Whether a block can be packed at all. */
  readonly packs?: (file: number, offset: number) => boolean;
  /** Milliseconds in which this computer reads and hashes a byte. */
  readonly reads?: number;
}

interface Course {
  /** Milliseconds, and those that it would have taken without packing. */
  readonly ms: number;
  readonly plain: number;
  /** The part of the bytes that was packed, and of all bytes those that went over the network. */
  readonly packed: number;
  readonly wire: number;
  /** What the blocks were packed by. */
  readonly qualities: ReadonlyMap<number, number>;
}

const MB = 1_000;
const BLOCK = 256 * 1024;
const steady = (rate: number) => () => rate;

/** Plays it on a clock of its own, with as much in flight and in buffers as in earnest. */
function play(world: World, worth: Worth | undefined): Omit<Course, 'plain'> {
  const { link, codec, unpacks = 1e9, lanes = 2, files = 1, reads = 1 / (1_500 * MB) } = world;
  const { size = 512 * 1024 * 1024, packs = () => true } = world;
  let now = 0;
  let [said, departed, arrived] = [0, 0, 0];
  const free = Array.from({ length: lanes }, () => 0);
  const flight: { said: number; written: number; bytes: number; wire: number }[] = [];
  const packing: { readonly at: number; readonly tell: () => void }[] = [];
  const qualities = new Map<number, number>();
  let [all, onWire, packed] = [0, 0, 0];
  let lastDone = 0;
  const settle = (): void => {
    packing.sort((a, b) => a.at - b.at);
    while (packing[0] && packing[0].at <= now) packing.shift()?.tell();
  };
  for (let file = 0; file < files; file++) {
    worth?.anew();
    for (let offset = 0; offset < size; offset += BLOCK) {
      const bytes = Math.min(BLOCK, size - offset);
      now += bytes * reads;
      settle();
      const quality = worth?.choose(bytes);
      let [ready, wire] = [now, bytes];
      if (quality !== undefined && worth) {
        const { rate, ratio } = codec[quality] ?? { rate: 1, ratio: 1 };
        const can = packs(file, offset);
        const ms = bytes / (can ? rate : 2_000 * MB);
        // Small ones are packed at once, and keep everything else waiting.
        const lane = free.indexOf(Math.min(...free));
        const begins = bytes <= 16 * 1024 ? now : Math.max(now, free[lane] ?? 0);
        ready = begins + ms;
        if (bytes <= 16 * 1024) now = ready;
        else free[lane] = ready;
        const made = can ? Math.ceil(bytes / ratio) : bytes + 10;
        if (can) wire = made;
        qualities.set(quality, (qualities.get(quality) ?? 0) + 1);
        const since = ready - Math.max(lastDone, begins);
        lastDone = Math.max(lastDone, ready);
        packing.push({
          at: ready,
          tell: () => void worth.packed(quality, bytes, made, { ms: ready - begins, since }),
        });
        settle();
      }
      if (wire < bytes) packed += bytes;
      [all, onWire] = [all + bytes, onWire + wire];
      said = Math.max(said, ready);
      // What the other side has not taken holds up the network.
      const left = Math.max(departed, said) + wire / link(now);
      arrived = Math.max(arrived, left) + (wire < bytes ? bytes / unpacks : 0);
      departed = Math.max(left, arrived - BUFFER / link(now));
      const written = Math.max(said, departed - BUFFER / link(now));
      flight.push({ said, written, bytes, wire });
      if (flight.length < 3) continue;
      const first = flight.shift();
      if (first === undefined) continue;
      const waited = Math.max(0, first.written - Math.max(now, first.said));
      now = Math.max(now, first.written);
      settle();
      worth?.went(first.bytes, first.wire, waited, now);
    }
  }
  return { ms: Math.max(now, arrived), packed: packed / all, wire: onWire / all, qualities };
}

const BUFFER = 1024 * 1024;

function course(world: World, options: { always?: boolean } = {}): Course {
  const worth = new Worth(world.codec.length, options);
  return { ...play(world, worth), plain: play(world, undefined).ms };
}

/** Like brotli on the text of a log, and like zstd. */
const BROTLI = [
  { rate: 360 * MB, ratio: 2.6 },
  { rate: 260 * MB, ratio: 3.05 },
  { rate: 120 * MB, ratio: 3.4 },
  { rate: 45 * MB, ratio: 3.7 },
];
const ZSTD = [
  { rate: 380 * MB, ratio: 3.2 },
  { rate: 230 * MB, ratio: 3.3 },
  { rate: 110 * MB, ratio: 3.6 },
];

describe('what packs well', () => {
  test.each([
    ['1 Mbit/s', 0.125, BROTLI, 2.6, 32],
    ['10 Mbit/s', 1.25, BROTLI, 2.8, 32],
    ['100 Mbit/s', 12.5, BROTLI, 3, 512],
    ['1 Gbit/s', 118, BROTLI, 2, 512],
    ['100 Mbit/s', 12.5, ZSTD, 3, 512],
    ['1 Gbit/s', 118, ZSTD, 2.2, 512],
    ['2 Gbit/s', 236, ZSTD, 1.3, 512],
  ])('is packed where the network is slow: %s', (_, link, codec, gain, mib) => {
    const { ms, plain } = course({ link: steady(link * MB), codec, size: mib * 1024 * 1024 });
    expect(plain / ms).toBeGreaterThan(gain);
  });

  test.each([
    ['loopback', 550],
    ['10 Gbit/s', 1_180],
    ['nothing but memory', 100_000],
  ])('goes as it is where that is faster: %s', (_, link) => {
    const { ms, plain, packed } = course({ link: steady(link * MB), codec: BROTLI });
    expect(ms / plain).toBeLessThan(1.01);
    expect(packed).toBe(0);
  });

  test.each([60, 120, 200, 250, 300, 330, 360, 400])(
    'at %i MB/s it is never much slower',
    (link) => {
      for (const lanes of [1, 2, 4]) {
        const world = { link: steady(link * MB), codec: BROTLI, lanes, size: 4 * 1024 ** 3 };
        const { ms, plain } = course(world);
        expect(ms / plain).toBeLessThan(1.03);
      }
    },
  );
});

test('a higher quality is chosen where there is time for it', () => {
  const { qualities } = course({ link: steady(12.5 * MB), codec: BROTLI });
  const [most] = [...qualities].sort(([, a], [, b]) => b - a);
  expect(most?.[0]).toBeGreaterThan(1);
});

test('and a lower one where there is not', () => {
  const { qualities } = course(
    { link: steady(118 * MB), codec: BROTLI, lanes: 1 },
    { always: true },
  );
  const [most] = [...qualities].sort(([, a], [, b]) => b - a);
  expect(most?.[0]).toBe(0);
});

describe('what cannot be packed', () => {
  test.each([12.5, 118, 550])('goes as it is, and costs next to nothing: at %d MB/s', (link) => {
    const world = { link: steady(link * MB), codec: BROTLI, packs: () => false };
    const { ms, plain, packed } = course(world);
    expect(packed).toBe(0);
    expect(ms / plain).toBeLessThan(1.01);
  });

  test('is left alone between files that can be', () => {
    const world: World = {
      link: steady(12.5 * MB),
      codec: BROTLI,
      size: 8 * 1024 * 1024,
      files: 40,
      packs: (file) => file % 2 === 1,
    };
    const { ms, plain, packed, qualities } = course(world);
    expect(packed).toBeGreaterThan(0.45);
    expect(plain / ms).toBeGreaterThan(1.4);
    // 32 blocks of each file; of those that cannot be packed most are not even tried.
    const tried = [...qualities.values()].reduce((sum, count) => sum + count, 0);
    expect(tried).toBeLessThan(20 * 32 + 20 * 10);
  });

  test('in the midst of a file does not keep the rest from being packed', () => {
    const half = 64 * 1024 * 1024;
    const world: World = {
      link: steady(12.5 * MB),
      codec: BROTLI,
      size: 3 * half,
      packs: (_, offset) => offset < half || offset >= 2 * half,
    };
    expect(course(world).packed).toBeGreaterThan(0.5);
  });
});

describe('many small files', () => {
  const small = { size: 4_000, files: 20_000 };

  test('are packed where the network is slow', () => {
    const codec = [{ rate: 45 * MB, ratio: 2.8 }];
    const { ms, plain } = course({ link: steady(1.25 * MB), codec, ...small });
    expect(plain / ms).toBeGreaterThan(2);
  });

  test('go as they are where that is faster', () => {
    const codec = [{ rate: 45 * MB, ratio: 2.8 }];
    const { ms, plain } = course({ link: steady(118 * MB), codec, ...small });
    expect(ms / plain).toBeLessThan(1.03);
  });
});

describe('when things change', () => {
  test('a network that becomes slow is noticed', () => {
    const link = (ms: number): number => (ms < 1_000 ? 550 : 12.5) * MB;
    const { ms, plain } = course({ link, codec: BROTLI, size: 1024 ** 3 });
    expect(plain / ms).toBeGreaterThan(2);
  });

  test('a network that becomes fast is noticed', () => {
    const link = (ms: number): number => (ms < 3_000 ? 12.5 : 1_180) * MB;
    const size = 16 * 1024 ** 3;
    const { ms } = course({ link, codec: BROTLI, size });
    const fast = play({ link: steady(1_180 * MB), codec: BROTLI, size }, undefined).ms;
    // It looks every ten seconds; the rest of it is gone by then.
    expect(ms).toBeLessThan(3_000 + 12_000 + fast);
  });

  test('gusts are no change', () => {
    const link = (ms: number): number => (Math.floor(ms / 60) % 2 === 0 ? 20 : 55) * MB;
    const { ms, plain, packed } = course({ link, codec: BROTLI });
    expect(plain / ms).toBeGreaterThan(2);
    expect(packed).toBeGreaterThan(0.9);
  });

  test('another side that is slow at unpacking is noticed', () => {
    const world = { link: steady(118 * MB), codec: BROTLI, unpacks: 60 * MB, size: 4 * 1024 ** 3 };
    const { ms, plain } = course(world);
    expect(ms / plain).toBeLessThan(1.03);
  });

  test('what was in vain is not tried with each file', () => {
    const world: World = {
      link: steady(118 * MB),
      codec: BROTLI,
      unpacks: 60 * MB,
      size: BLOCK,
      files: 8_000,
    };
    const { ms, plain, packed } = course(world);
    expect(ms / plain).toBeLessThan(1.03);
    expect(packed).toBeLessThan(0.05);
  });
});

test('a pause in what is to be sent says nothing', () => {
  const worth = new Worth(1);
  let now = 0;
  const send = (times: number, ms: number, packed: boolean): void => {
    for (let i = 0; i < times; i++) {
      const quality = worth.choose(BLOCK);
      expect(quality !== undefined).toBe(packed);
      if (quality !== undefined) worth.packed(quality, BLOCK, BLOCK / 4, { ms: 1, since: 1 });
      now += ms;
      worth.went(BLOCK, quality === undefined ? BLOCK : BLOCK / 4, ms * 0.9, now);
    }
  };
  while (worth.choose(BLOCK) === undefined) {
    now += 20;
    worth.went(BLOCK, BLOCK, 20, now);
  }
  worth.packed(0, BLOCK, BLOCK / 4, { ms: 1, since: 1 });
  send(30, 5, true);
  now += 60_000;
  send(30, 5, true);
});

test('always is always, but for what does not get smaller', () => {
  const { packed } = course({ link: steady(10_000 * MB), codec: ZSTD }, { always: true });
  expect(packed).toBe(1);
  const mixed: World = {
    link: steady(10_000 * MB),
    codec: ZSTD,
    packs: (_, offset) => (offset / BLOCK) % 10 < 5,
  };
  expect(course(mixed, { always: true }).packed).toBeCloseTo(0.5);
});
