import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PeerId } from '../../src/events.ts';
import { CODE_TRIES } from '../../src/limits.ts';
import { makePorch } from '../../src/meeting/look.ts';
import { type Manner, meet } from '../../src/meeting/meet.ts';
import type { Target } from '../../src/meeting/reach.ts';
import { openSelf, type Self } from '../../src/meeting/self.ts';
import type { Porch } from '../../src/net/porch.ts';
import { type Connection, type Listener, listen } from '../../src/net/tls.ts';
import { CodeGuard } from '../../src/protocol/code.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { type Door, greetAsAnnouncer, introduce } from '../../src/transfer/greeting.ts';
import { TempFolder } from '../support/home.ts';
import { cable } from '../support/memory.ts';

const RUN = '1234567890abcdef';
const ANA = 'aa'.repeat(32) as PeerId;

let folders: TempFolder[];
let bob: Self;
let eve: Self;
let listener: Listener;
/** How Eve greets, and who said hello to her. */
let door: Partial<Door>;
let hellos: PeerId[];

beforeEach(async () => {
  folders = [new TempFolder(), new TempFolder()];
  const [bobs, eves] = folders.map(({ path }) => path);
  bob = await openSelf({ home: bobs, name: 'Bob' });
  eve = await openSelf({ home: eves, name: 'Eve' });
  [door, hellos] = [{ knows: true }, []];
  listener = await listen([0], eve.identity, {
    card: { run: RUN, name: 'Eve', part: 'announcer', way: 'send' },
    onConnection: (connection) => void receive(connection).catch(() => {}),
  });
});
afterEach(async () => {
  listener.close();
  for (const folder of folders) await folder[Symbol.asyncDispose]();
});

async function receive(connection: Connection): Promise<void> {
  const channel = new Channel('announcer', connection);
  const { peer, binding } = connection;
  try {
    const greeted = await greetAsAnnouncer(
      channel,
      { me: eve.identity.id, peer, binding },
      {
        knows: false,
        guard: undefined,
        now: () => 0,
        endIn: () => () => {},
        ...door,
        onHello: () => hellos.push(peer),
      },
    );
    if (greeted !== null) await introduce(channel, 'Eve');
  } catch (error) {
    channel.fail(error);
  }
}

/** Bob wants to send to somebody, and Eve answers. */
async function send(target: Partial<Target>, manner: Partial<Manner> = {}) {
  const porch = manner.porch ?? makePorch(bob, 'send', { interfaces: ['lo'] });
  const addresses = [{ host: '127.0.0.1', port: listener.port }];
  try {
    const all = { name: 'Ana', addresses, ...target };
    const how = { way: 'send', tries: { wrong: 0 }, ...manner, porch } as const;
    const met = await meet(bob, all, how, new AbortController().signal);
    met.connection.destroy();
    return met;
  } finally {
    await porch.close();
  }
}

test('who is reached just as it is stopped is asked for nothing', async () => {
  const { left } = cable();
  const connection: Connection = {
    ...left,
    incoming: left.incoming,
    peer: eve.identity.id,
    dialled: false,
    remote: '192.0.2.7',
    binding: new Uint8Array(32),
    silence: 0,
    unheard: 0,
    over: new Promise(() => {}),
    greeting: () => {},
    greeted: () => {},
    destroy: () => void left.end(),
  };
  const stop = new AbortController();
  const stopped = new Error('stopped');
  const porch = {
    has: () => true,
    async line() {
      stop.abort(stopped);
      return { connection, channel: new Channel('chooser', connection) };
    },
  } as unknown as Porch;
  const target = { name: 'Eve', addresses: [] };
  const how = { way: 'send', tries: { wrong: 0 }, porch } as const;
  await expect(meet(bob, target, how, stop.signal)).rejects.toBe(stopped);
});

describe('whoever answers', () => {
  test('with another key is not the one that was chosen, and hears nothing', async () => {
    await bob.trust.add({ id: eve.identity.id, name: 'Eve' });
    await expect(send({ id: ANA })).rejects.toMatchObject({ code: 'wrong-peer' });
    expect(hellos).toEqual([]);
  });

  test('is sent nothing if it is blocked', async () => {
    await bob.trust.add({ id: eve.identity.id, name: 'Eve' });
    await bob.trust.setTrust(eve.identity.id, 'blocked');
    await expect(send({})).rejects.toMatchObject({ code: 'refused' });
    expect(hellos).toEqual([]);
  });

  test('is sent nothing if it was chosen as Ana and is Eve, unless that is meant', async () => {
    await bob.trust.add({ id: eve.identity.id, name: 'Eve' });
    await expect(send({ run: RUN })).rejects.toMatchObject({ code: 'wrong-peer' });
    await expect(send({ run: RUN }, { confirm: async () => false })).rejects.toMatchObject({
      code: 'wrong-peer',
    });
    expect(hellos).toEqual([]);
    const met = await send({ run: RUN, name: 'EVE' });
    expect(met).toMatchObject({ greeted: 'known', peer: { name: 'Eve' } });
  });

  test('is sent nothing if anybody may be there, unless a person agrees', async () => {
    door = { open: true };
    await expect(send({})).rejects.toMatchObject({ code: 'unproven' });
    await expect(send({}, { confirm: async () => false })).rejects.toMatchObject({
      code: 'unproven',
    });
    expect((await send({}, { confirm: async () => true })).greeted).toBe('open');
    expect(await bob.trust.all()).toEqual([]);
  });

  test('gets three answers of a person, and no fourth', async () => {
    door = { guard: new CodeGuard(() => '493027'), now: () => performance.now() };
    let asked = 0;
    const code = async (): Promise<string> => {
      expect(asked).toBeLessThan(CODE_TRIES);
      asked += 1;
      return '000000';
    };
    await expect(send({}, { code })).rejects.toMatchObject({ code: 'wrong-code' });
    expect(asked).toBe(CODE_TRIES);
  });

  test('with our own key from another computer is a copy of it', async () => {
    const { left } = cable();
    const connection: Connection = {
      ...left,
      peer: bob.identity.id,
      dialled: true,
      remote: '192.0.2.7',
      binding: new Uint8Array(32),
      silence: 0,
      unheard: 0,
      over: new Promise(() => {}),
      greeting: () => {},
      greeted: () => {},
      destroy: () => {},
    };
    const channel = new Channel('chooser', connection);
    const card = {
      id: bob.identity.id,
      run: RUN,
      name: 'Ana',
      part: 'announcer',
      way: 'send',
    } as const;
    const line = { card, connection, channel, known: true };
    const porch = Object.assign(makePorch(bob, 'send', {}), {
      has: () => true,
      line: async () => line,
    });
    await expect(send({}, { porch })).rejects.toMatchObject({ code: 'clone' });
    expect(channel.session.opened).toBe(false);
  });
});
