import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { utf8 } from '../../src/protocol/bytes.ts';
import type { Message } from '../../src/protocol/message.ts';
import { type Drop, drop, dropOnScreen } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { file, folder, Rogue, type Talk } from '../support/rogue-peer.ts';

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
