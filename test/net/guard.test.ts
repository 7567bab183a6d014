import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_PACKET, PACKET_RATE } from '../../src/limits.ts';
import { type Bucket, guardedSocket, judge, neighbours } from '../../src/net/guard.ts';
import { fakeClock } from './fake-clock.ts';
import { compressionBomb, inventedPeer, manyQuestions } from './hostile.ts';
import { link } from './link.ts';

const TYPE = '_drop-lan._tcp.local';
const wifi = link({ networks: ['192.168.1.5/24', 'fe80::5/64'] });
const lo = link({ name: 'lo', networks: ['127.0.0.1/8'], loopback: true });
const honest = inventedPeer(TYPE, 'honest', 23767, ['v=1']);
const full = (): Bucket => ({ tokens: PACKET_RATE, at: 0 });

describe('judge', () => {
  test.each([
    ['an announcement', honest, '192.168.1.9', 5353, null],
    ['an announcement over IPv6', honest, 'fe80::9%eth0', 5353, null],
    ['a question', manyQuestions(TYPE, 1), '192.168.1.9', 5353, null],
    ['an announcement from another port', honest, '192.168.1.9', 40_000, 'port'],
    ['what came in on another link', honest, 'fe80::9%docker0', 5353, 'off-link'],
    ['what was routed here', honest, '10.9.8.7', 5353, 'off-link'],
    ['loopback, on another link', honest, '127.0.0.1', 5353, 'off-link'],
    ['nothing', new Uint8Array(0), '192.168.1.9', 5353, 'size'],
    ['half a header', new Uint8Array(11), '192.168.1.9', 5353, 'size'],
    ['5000 questions', manyQuestions(TYPE), '192.168.1.9', 5353, 'size'],
    ['200 questions', manyQuestions(TYPE, 200), '192.168.1.9', 5353, 'questions'],
    ['129 records', new Uint8Array(12).fill(129, 7, 8), '192.168.1.9', 5353, 'records'],
    ['a compression bomb', compressionBomb(65_000), '192.168.1.9', 5353, 'size'],
    ['a bomb of many records', compressionBomb(MAX_PACKET), '192.168.1.9', 5353, null],
    [
      'one byte more than a frame holds',
      new Uint8Array(MAX_PACKET + 1),
      '192.168.1.9',
      5353,
      'size',
    ],
  ])('of %s', (_, packet, address, port, reason) => {
    expect(judge({ packet, address, port }, neighbours(wifi), full(), 0)).toBe(reason);
  });

  test.each([
    ['127.0.0.1', null],
    ['127.9.9.9', null],
    ['192.168.1.9', 'off-link'],
    ['fe80::9%eth0', 'off-link'],
  ])('on the loopback link, of what %s sends', (address, reason) => {
    const arrival = { packet: honest, address, port: 5353 };
    expect(judge(arrival, neighbours(lo), full(), 0)).toBe(reason);
  });

  test.each([
    ['questions', manyQuestions(TYPE, 1), null],
    ['questions', honest, 'kind'],
    ['answers', honest, null],
    ['answers', manyQuestions(TYPE, 1), 'kind'],
    ['none', honest, 'kind'],
  ] as const)('for who wants %s', (kind, packet, reason) => {
    const arrival = { packet, address: '192.168.1.9', port: 5353 };
    expect(judge(arrival, neighbours(wifi), full(), 0, kind)).toBe(reason);
  });

  test('a flood passes no more than the rate, and honest packets pass again soon after', () => {
    const bucket = full();
    const near = neighbours(wifi);
    const arrival = { packet: honest, address: '192.168.1.9', port: 5353 };
    const passed = (now: number) =>
      Array.from({ length: 2000 }, () => judge(arrival, near, bucket, now)).filter((one) => !one);
    expect(passed(0).length).toBe(PACKET_RATE);
    expect(passed(500).length).toBe(PACKET_RATE / 2);
    expect(judge(arrival, near, bucket, 510)).toBe(null);
  });

  test('what comes from elsewhere uses up nothing', () => {
    const bucket = full();
    const arrival = { packet: honest, address: '10.9.8.7', port: 5353 };
    for (let n = 0; n < 2000; n++) judge(arrival, neighbours(wifi), bucket, 0);
    expect(bucket.tokens).toBe(PACKET_RATE);
  });

  test('whatever arrives, it passes or there is a reason, and questions are paid for', () => {
    const arrivals = fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 300 });
    fc.assert(
      fc.property(arrivals, (packets) => {
        const bucket = full();
        const near = neighbours(wifi);
        let questions = 0;
        for (const packet of packets) {
          const reason = judge({ packet, address: '192.168.1.9', port: 5353 }, near, bucket, 0);
          if (reason === null) questions += (packet[4] ?? 0) * 256 + (packet[5] ?? 0);
        }
        expect(questions).toBeLessThanOrEqual(PACKET_RATE);
        expect(bucket.tokens).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

test('a guarded socket hears only what passes, and counts the rest by reason', async () => {
  const { socket, dropped } = guardedSocket(lo);
  const heard: Uint8Array[] = [];
  socket.on('message', (packet) => heard.push(packet));
  const sender = createSocket('udp4');
  try {
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    await new Promise((resolve) =>
      sender.send(honest, socket.address().port, '127.0.0.1', resolve),
    );
    while (dropped.size === 0) await new Promise((resolve) => setImmediate(resolve));
    expect([...dropped]).toEqual([['port', 1]]);

    // Real packets of the group come from port 5353, which a test on this machine may not take.
    const from = { address: '127.0.0.1', port: 5353, family: 'IPv4', size: honest.length };
    socket.emit('message', Buffer.from(honest), from);
    expect(heard).toEqual([Buffer.from(honest)]);
  } finally {
    socket.close();
    sender.close();
  }
});

test('what takes long to decode waits for its turn, as far as there is room', async () => {
  const arrived: string[] = [];
  let time = 0;
  const clock = { ...fakeClock(), now: () => time };
  const onArrival = (from: string) => arrived.push(from);
  const { socket, dropped } = guardedSocket(lo, { onArrival, clock });
  const turns: number[] = [];
  let turn = 0;
  let beat = setImmediate(function count() {
    turn++;
    beat = setImmediate(count);
  });
  socket.on('message', () => {
    turns.push(turn);
    time += 4; // As a packet made for it can take.
  });
  try {
    const from = { address: '127.0.0.1', port: 5353, family: 'IPv4', size: honest.length };
    for (let n = 0; n < PACKET_RATE; n++) socket.emit('message', Buffer.from(honest), from);
    expect(turns.length).toBe(2);
    const waiting = PACKET_RATE - 2 - (dropped.get('rate') ?? 0);
    expect(waiting).toBeLessThan(PACKET_RATE - 2);
    while (turns.length < 2 + waiting) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(new Set(turns).size).toBe(1 + Math.ceil(waiting / 2));
    expect(arrived.length).toBe(PACKET_RATE);
  } finally {
    clearImmediate(beat);
    socket.close();
  }
});
