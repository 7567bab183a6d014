import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LINE_SILENCE, MAX_STRANGE_LINES } from '../../src/limits.ts';
import { openSelf, type Self } from '../../src/meeting/self.ts';
import { Porch } from '../../src/net/porch.ts';
import { type Connection, dial, probe } from '../../src/net/tls.ts';
import type { Part, Way } from '../../src/protocol/card.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { TempFolder } from '../support/home.ts';

let folder: TempFolder;
let eve: Self;
let porch: Porch;
let port: number;
let known: boolean;
let lines: Connection[];
/** The runs of all lines that were ever let wait. */
let held: string[];

beforeEach(async () => {
  [folder, known, lines, held] = [new TempFolder(), false, [], []];
  const bob = await openSelf({ home: `${folder.path}/bob`, name: 'Bob' });
  eve = await openSelf({ home: `${folder.path}/eve`, name: 'Eve' });
  porch = new Porch(bob.identity, {
    card: { run: 'b0b0b0b0b0b0b0b0', name: 'Bob', part: 'chooser', way: 'send' },
    welcomes: async () => known,
    interfaces: ['lo'],
    ports: [0],
  });
  porch.onLine(({ card }) => held.push(card.run));
  port = (await porch.open()) ?? 0;
});
afterEach(async () => {
  for (const line of lines) line.destroy();
  await porch.close();
  await folder[Symbol.asyncDispose]();
});

/** Eve comes, as one of her processes. */
async function come(run: string, part: Part = 'announcer', way: Way = 'send'): Promise<Connection> {
  const never = new AbortController().signal;
  const line = await dial({ host: '127.0.0.1', port }, eve.identity, never, 'chooser');
  lines.push(line);
  const card = { run, name: 'Eve', part, way };
  await new Channel('announcer', line).say({ type: 'here', card });
  return line;
}

/** It may take a while until something is so. */
const soon = <T>(what: () => T) => expect.poll(what, { timeout: 20_000 });
const runOf = (n: number): string => `${n}`.repeat(16);
const waits = (run: string): boolean => porch.has({ run, hosts: [] });

/** And not only as it says nothing, which would end it, too. */
async function endsAtOnce(line: Connection | undefined): Promise<void> {
  let over = false;
  void line?.over.then(() => {
    over = true;
  });
  await expect.poll(() => over, { timeout: LINE_SILENCE / 2 }).toBe(true);
}

test('whoever looks who is here has heard a knock, if there was one at that host', async () => {
  const look = () => probe({ host: '127.0.0.1', port }, new AbortController().signal);
  await look();
  expect(porch.wasHeardBy(['127.0.0.1'])).toBe(false);
  await porch.knock('127.0.0.1', 'send');
  await look();
  await soon(() => porch.wasHeardBy(['::ffff:127.0.0.1'])).toBe(true);
  expect(porch.wasHeardBy(['127.0.0.2'])).toBe(false);
});

describe('who comes', () => {
  test('and was not knocked at is sent away, unless it is known', async () => {
    await (await come(runOf(1))).over;
    expect(held).toEqual([]);
    known = true;
    await come(runOf(2));
    await soon(() => waits(runOf(2))).toBe(true);
  });

  test('and only chooses, too, is sent away', async () => {
    known = true;
    await (await come(runOf(1), 'chooser')).over;
    expect(held).toEqual([]);
  });

  test('and is there for something else is sent away', async () => {
    known = true;
    await (await come(runOf(1), 'announcer', 'get')).over;
    expect(held).toEqual([]);
  });

  test('as it was knocked at waits, eight of them; then the oldest gives way', async () => {
    for (let n = 0; n <= MAX_STRANGE_LINES; n++) {
      await porch.knock(runOf(n), 'look');
      await come(runOf(n));
      await soon(() => waits(runOf(n))).toBe(true);
    }
    await endsAtOnce(lines[0]);
    expect(waits(runOf(0))).toBe(false);
    expect(waits(runOf(1))).toBe(true);
  });

  test('twice waits once', async () => {
    known = true;
    const first = await come(runOf(1));
    await soon(() => waits(runOf(1))).toBe(true);
    await come(runOf(1));
    await endsAtOnce(first);
    expect(waits(runOf(1))).toBe(true);
  });
});
