import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { u32, utf8 } from '../../src/protocol/bytes.ts';
import type { Message } from '../../src/protocol/message.ts';
import { type Drop, drop, dropOnScreen } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { file, folder, KIND, Rogue, type Talk } from '../support/rogue-peer.ts';

const ID = 'ab'.repeat(16);
const OTHER = 'cd'.repeat(16);

describe('who fetches, and is hostile', () => {
  let ana: Home;
  let eve: Rogue;
  let sharing: Drop;
  let port: number;

  beforeEach(async () => {
    ana = new Home();
    eve = await Rogue.make();
    await eve.befriend(ana);
    mkdirSync(join(ana.path, 'tree'));
    for (const name of ['a', 'b']) writeFileSync(join(ana.path, 'tree', name), name.repeat(1e6));
    sharing = drop(['share', '--json', '--yes', '--name', 'Ana', 'tree'], { home: ana });
    ({ port } = await sharing.event('ready'));
  });
  afterEach(async () => {
    await sharing[Symbol.asyncDispose]();
    await eve[Symbol.asyncDispose]();
    await ana[Symbol.asyncDispose]();
  });

  /** Accepts what is offered under this name. */
  async function accepts(talk: Talk, transfer = ID): Promise<void> {
    await talk.hear('offer');
    talk.say({ type: 'begun', transfer, digest: 'sha256', codecs: [] });
    talk.say({ type: 'accept' });
  }

  test('gets nothing by what no program would say', async () => {
    const begun = { type: 'begun', transfer: ID, digest: 'sha256', codecs: [] } as const;
    const all = { count: 3, skip: [], kept: [], failed: [] };
    const wants = (more: object) => (talk: Talk) => talk.utter(KIND.want, { ...all, ...more });
    const acts: readonly ((talk: Talk) => void)[] = [
      (talk) => talk.utter(KIND.want, all),
      (talk) => talk.say({ type: 'accept' }),
      (talk) => talk.say({ ...begun, digest: 'blake2' as 'blake3' }),
      (talk) => talk.utter(KIND.begun, { ...begun, type: undefined, transfer: '../../secret' }),
      (talk) => talk.say({ type: 'intro', name: 'Ana' }),
      (talk) => talk.offer([folder('of Eve').entry]),
      ...[
        wants({ count: 4 }),
        wants({ paths: ['../secret'] }),
        wants({ kept: [{ entry: 3, size: 1, digest: '00'.repeat(32) }] }),
        wants({ kept: [{ entry: 1, size: 2e6, digest: '00'.repeat(32) }] }),
        (talk: Talk) => talk.utter(KIND.compare, u32(7)),
        (talk: Talk) => talk.utter(KIND.stored, u32(1)),
        (talk: Talk) => talk.say({ type: 'complete', missed: 0 }),
      ].map((act) => (talk: Talk) => {
        talk.say(begun);
        talk.say({ type: 'accept' });
        act(talk);
      }),
    ];
    for (const act of acts) {
      const talk = await eve.fetch(port);
      await talk.hear('offer');
      act(talk);
      expect(await talk.end(), String(act)).toBe('protocol');
      expect(talk.heard.filter(({ type }) => /chunk|packed|files|end/.test(type))).toEqual([]);
    }
    const looking = await eve.fetch(port, undefined, 'peek');
    await looking.hear('offer');
    looking.say(begun);
    expect(await looking.end()).toBe('protocol');
    const [talk] = [await eve.fetch(port)];
    await accepts(talk);
    talk.utter(KIND.want, { ...all, skip: [{ entry: 2, reason: 'unwanted' }] });
    await talk.hear('end');
    const sums = sharing.events.filter(({ event }) => event === 'summary');
    expect(sums.filter((sum) => 'ok' in sum && sum.ok)).toEqual([]);
  });

  test('gives no two transfers one name', async () => {
    const first = await eve.fetch(port);
    await accepts(first);
    await sharing.event('accepted');
    const second = await eve.fetch(port);
    await accepts(second);
    expect(await second.end()).toBe('protocol');
    first.say({ type: 'want', count: 3, skip: [], kept: [], failed: [] } as Message);
    await first.hear('end');
  });

  test('calls what goes on nothing else', async () => {
    const first = await eve.fetch(port);
    await accepts(first);
    await sharing.event('accepted');
    first.leave();
    await sharing.event('reconnecting');
    const second = await eve.fetch(port, ID);
    expect((await second.hear('begin')).continues).toBe(ID);
    second.say({ type: 'begun', transfer: OTHER, digest: 'sha256', codecs: [] });
    expect(await second.end()).toBe('protocol');
    await sharing.event('summary', ({ transfer }) => transfer === ID);
  });
});

describe('who shares, and is hostile', () => {
  let bob: Home;
  let eve: Rogue;

  beforeEach(async () => {
    bob = new Home();
    eve = await Rogue.make();
    await eve.befriend(bob);
  });
  afterEach(async () => {
    await eve[Symbol.asyncDispose]();
    await bob[Symbol.asyncDispose]();
  });

  test.each<[string, (talk: Talk) => unknown]>([
    ['sends what was left out', (talk) => talk.send(2, utf8('evil'))],
    ['sends more than it offered', (talk) => talk.send(1, utf8('wanted and more'))],
    ['sends what it did not offer', (talk) => talk.send(3, utf8('evil'))],
    ['offers more than all', (talk) => talk.more([file('docs/b', 'evil').entry])],
    ['is done too early', (talk) => talk.say({ type: 'done' })],
    ['wants something itself', (talk) => talk.utter(KIND.want, { count: 1 })],
  ])('and %s brings nothing', async (_, act) => {
    const port = await eve.wait(
      async (talk) => {
        talk.offer([
          folder('docs').entry,
          file('docs/a', 'wanted').entry,
          file('docs/b', 'b').entry,
        ]);
        await talk.hear('want');
        act(talk);
        await talk.end();
      },
      'Eve',
      'get',
    );
    await using getting = drop(['get', '--json', '--only', 'a', '--from', `127.0.0.1:${port}`], {
      home: bob,
    });
    expect((await getting.outcome()).code).toBe(7);
    expect(getting.events.filter(({ event }) => event === 'saved')).toEqual([]);
    expect(readdirSync(join(bob.downloads, 'docs'))).toEqual([]);
  });

  test.each(['*', '[', '\\'])('cannot make %j mean more than a name', async (name) => {
    const things = [file(`docs/${name}`, 'wanted'), file('docs/evil.sh', 'not wanted')];
    const port = await eve.wait(
      async (talk) => {
        const entries = [folder('docs').entry, ...things.map(({ entry }) => entry)];
        talk.offer(entries);
        await talk.decided(entries);
        talk.send(1, utf8('wanted'));
        talk.say({ type: 'done' });
        await talk.end();
      },
      'Eve',
      'get',
    );
    await using screen = dropOnScreen(['--plain', 'get', '--from', `127.0.0.1:${port}`], {
      home: bob,
    });
    await screen.waitFor(/or numbers\]/);
    screen.type('1\r');
    expect((await screen.outcome()).code).toBe(0);
    expect(readdirSync(join(bob.downloads, 'docs'))).toHaveLength(1);
  });
});
