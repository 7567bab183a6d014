import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import type { PeerId } from '../../src/events.ts';
import { MAX_CLAIMS, MAX_CLAIMS_PER_SOURCE } from '../../src/limits.ts';
import { type Address, formatAddress } from '../../src/net/addresses.ts';
import { latest } from '../../src/net/latest.ts';
import { type Change, type ProvenCard, type Sighting, watchPeers } from '../../src/net/watch.ts';
import type { Way } from '../../src/protocol/card.ts';
import { fakeClock, settled } from './fake-clock.ts';

const ANA = 'a'.repeat(64) as PeerId;
const BOB = 'b'.repeat(64) as PeerId;

/** A network of addresses that answer with ids, and a watcher of it. */
function network(way?: Way) {
  const clock = fakeClock();
  const stop = new AbortController();
  const answers = new Map<string, PeerId | ProvenCard>();
  const asked: string[] = [];
  const silent: string[] = [];
  const told: Change[] = [];
  let heard = 0;
  const sightings = latest<Sighting>();
  const prove = async (address: Address) => {
    asked.push(formatAddress(address));
    const answer = answers.get(formatAddress(address));
    if (!answer) throw new DropError('unreachable');
    return typeof answer === 'string' ? cardOf(answer) : answer;
  };
  const browse = (signal: AbortSignal) => {
    signal.addEventListener('abort', () => sightings.end());
    return sightings;
  };
  const changes = watchPeers(browse, prove, {
    clock,
    signal: stop.signal,
    way,
    onSilent: ({ addresses }) => silent.push(addresses.join()),
  });
  const watching = (async () => {
    for await (const change of changes) told.push(change);
  })();
  const end = () => {
    stop.abort();
    return watching;
  };
  onTestFinished(end);
  return {
    clock,
    answers,
    asked,
    silent,
    end,
    async hear(...said: Sighting[]) {
      for (const one of said) sightings.put(String(heard++), one);
      await settled();
    },
    /** What was told since last asked, in short. */
    news: () => told.splice(0).map((c) => `${c.state} ${c.name} at ${c.addresses.join(' ')}`),
  };
}

function cardOf(id: PeerId, more: Partial<ProvenCard> = {}): ProvenCard {
  const name = id === ANA ? 'Ana' : 'Bob';
  return { id, run: RUN, name, part: 'announcer', way: 'send', ...more };
}

const RUN = '1111111111111111';
const OTHER_RUN = '2222222222222222';

type Announcement = Extract<Sighting, { heard: 'announcement' }>;

function announced(parts: Partial<Announcement> = {}): Announcement {
  const from = parts.from ?? '10.0.0.1';
  return {
    heard: 'announcement',
    run: RUN,
    name: 'Ana',
    way: 'send',
    port: 1,
    from,
    hosts: [from],
    ...parts,
  };
}

function goodbye({ run }: { run: string } = announced()): Sighting {
  return { heard: 'goodbye', run, from: '10.0.0.66' };
}

describe('a peer', () => {
  test('is found once it answers, and only then', async () => {
    const { clock, answers, hear, news, silent } = network();
    await hear(announced());
    expect(news()).toEqual([]);
    expect(silent).toEqual(['10.0.0.1:1']);
    answers.set('10.0.0.1:1', ANA);
    await clock.pass(3000);
    expect(news()).toEqual(['found Ana at 10.0.0.1:1']);
    await hear(announced());
    await clock.pass(60_000);
    expect(news()).toEqual([]);
  });

  test('is lost after two checks in a row that failed', async () => {
    const { clock, answers, hear, news } = network();
    answers.set('10.0.0.1:1', ANA);
    await hear(announced());
    answers.clear();
    await clock.pass(3000);
    answers.set('10.0.0.1:1', ANA);
    await clock.pass(1500);
    answers.clear();
    await clock.pass(3000);
    expect(news()).toEqual(['found Ana at 10.0.0.1:1']);
    await clock.pass(1500);
    expect(news()).toEqual(['lost Ana at 10.0.0.1:1']);
  });

  test('is not said to be announced when it has gone, until it speaks again', async () => {
    const { clock, answers, hear, news, silent } = network();
    answers.set('10.0.0.1:1', ANA);
    await hear(announced());
    answers.clear();
    await hear(goodbye());
    await clock.pass(30_000);
    expect(news()).toEqual(['found Ana at 10.0.0.1:1', 'lost Ana at 10.0.0.1:1']);
    expect(silent).toEqual([]);
    await hear(announced());
    await clock.pass(1);
    expect(silent).toEqual(['10.0.0.1:1']);
  });

  test('is found again when it answers again', async () => {
    const { clock, answers, hear, news } = network();
    answers.set('10.0.0.1:1', ANA);
    await hear(announced());
    answers.clear();
    await clock.pass(6000);
    answers.set('10.0.0.1:1', ANA);
    await clock.pass(3000);
    expect(news()).toEqual([
      'found Ana at 10.0.0.1:1',
      'lost Ana at 10.0.0.1:1',
      'found Ana at 10.0.0.1:1',
    ]);
  });

  test('is lost as soon as its address answers with another key', async () => {
    const { clock, answers, hear, news } = network();
    answers.set('10.0.0.1:1', ANA);
    await hear(announced());
    news();
    answers.set('10.0.0.1:1', BOB);
    await clock.pass(6000);
    expect(news()[0]).toBe('lost Ana at 10.0.0.1:1');
  });

  test('that says goodbye is lost at the first check that fails', async () => {
    const { answers, hear, news } = network();
    answers.set('10.0.0.1:1', ANA);
    await hear(announced());
    news();
    answers.clear();
    await hear(goodbye());
    expect(news()).toEqual(['lost Ana at 10.0.0.1:1']);
  });

  test('is not lost by a goodbye that somebody else said', async () => {
    const { clock, answers, asked, hear, news } = network();
    answers.set('10.0.0.1:1', ANA);
    await hear(announced());
    news();
    asked.length = 0;
    for (let n = 0; n < 100; n++) await hear(goodbye());
    expect(asked.length).toBe(1);
    await clock.pass(60_000);
    expect(news()).toEqual([]);
  });

  test('has one line for all its addresses, the one that answered last in front', async () => {
    const { clock, answers, hear, news } = network();
    answers.set('10.0.0.1:1', ANA).set('[fe80::1%eth0]:1', ANA);
    await hear(announced(), announced({ from: 'fe80::1%eth0' }));
    expect(news()).toEqual(['found Ana at 10.0.0.1:1']);
    await clock.pass(400);
    expect(news().at(-1)).toBe('found Ana at 10.0.0.1:1 [fe80::1%eth0]:1');
    answers.delete('10.0.0.1:1');
    await clock.pass(3000);
    expect(news()).toEqual(['found Ana at [fe80::1%eth0]:1 10.0.0.1:1']);
  });

  test('that moved is told with its new address, and soon without the old one', async () => {
    const { clock, answers, hear, news } = network();
    answers.set('10.0.0.1:1', ANA);
    await hear(announced());
    answers.clear();
    answers.set('10.0.0.2:1', ANA);
    await hear(announced({ from: '10.0.0.2' }));
    for (let n = 0; n < 5; n++) {
      await clock.pass(20_000);
      await hear(announced({ from: '10.0.0.2' }));
    }
    expect(news().at(-1)).toBe('found Ana at 10.0.0.2:1');
  });

  test('is called what it says of itself, and not what others say of it', async () => {
    const { clock, answers, hear, news } = network();
    answers.set('10.0.0.1:1', ANA);
    await hear(announced({ name: 'Eve' }));
    await hear(announced({ from: '10.0.0.66', hosts: ['10.0.0.66', '10.0.0.1'], name: 'Eve' }));
    answers.set('10.0.0.1:1', cardOf(ANA, { name: 'Ana 2' }));
    await clock.pass(3000);
    expect(news()).toEqual(['found Ana at 10.0.0.1:1', 'found Ana 2 at 10.0.0.1:1']);
  });

  test('cannot be redirected by an announcement of its run with another port', async () => {
    const { clock, answers, hear, news } = network();
    answers.set('10.0.0.1:1', ANA).set('10.0.0.1:2', BOB);
    await hear(announced());
    await hear(announced({ port: 2, name: 'Bob' }));
    await clock.pass(60_000);
    expect(news()).toEqual(['found Ana at 10.0.0.1:1', 'found Bob at 10.0.0.1:2']);
  });

  test('without a name goes by its id', async () => {
    const { answers, hear, news } = network();
    answers.set('10.0.0.1:1', cardOf(ANA, { name: '' }));
    await hear(announced());
    expect(news()).toEqual(['found aaaaaaaa at 10.0.0.1:1']);
  });

  test('that runs twice is listed twice', async () => {
    const { answers, hear, news } = network();
    answers.set('10.0.0.1:1', ANA).set('10.0.0.1:2', cardOf(ANA, { run: OTHER_RUN }));
    await hear(announced(), announced({ run: OTHER_RUN, port: 2 }));
    expect(news()).toEqual(['found Ana at 10.0.0.1:1', 'found Ana at 10.0.0.1:2']);
  });

  test('that is started again and again is found each time at once', async () => {
    const { answers, hear, news } = network();
    for (let n = 0; n < 3 * MAX_CLAIMS_PER_SOURCE; n++) {
      const run = n.toString(16).padStart(16, '0');
      answers.set('10.0.0.1:1', cardOf(ANA, { run }));
      await hear(announced({ run }));
      expect(news()).toEqual(['found Ana at 10.0.0.1:1']);
      answers.clear();
      await hear(goodbye({ run }));
      expect(news()).toEqual(['lost Ana at 10.0.0.1:1']);
    }
  });

  test('that only chooses is not listed', async () => {
    const { clock, answers, hear, news } = network();
    answers.set('10.0.0.1:1', cardOf(ANA, { part: 'chooser' }));
    await hear(announced());
    await clock.pass(60_000);
    expect(news()).toEqual([]);
  });

  test('that is there for something else is neither dialled nor said to be silent', async () => {
    const { clock, asked, silent, hear } = network('send');
    await hear(announced({ way: 'get' }));
    await clock.pass(60_000);
    expect([asked, silent]).toEqual([[], []]);
  });

  test.each(['send', 'get'] as const)(
    'is listed by what its card says, not its announcement: %s',
    async (way) => {
      const other = way === 'get' ? 'send' : 'get';
      const { clock, answers, hear, news } = network(way);
      answers.set('10.0.0.1:1', cardOf(ANA, { way: other }));
      answers.set('10.0.0.2:1', cardOf(BOB, { way }));
      await hear(announced({ way }), announced({ way, from: '10.0.0.2', run: OTHER_RUN }));
      await clock.pass(60_000);
      expect(news()).toEqual(['found Bob at 10.0.0.2:1']);
    },
  );

  test('of any kind is listed where all are wanted', async () => {
    const { answers, hear, news } = network();
    answers.set('10.0.0.1:1', cardOf(ANA, { way: 'get' }));
    await hear(announced({ way: 'get' }));
    expect(news()).toEqual(['found Ana at 10.0.0.1:1']);
  });

  test('that was lost and speaks again is checked at once', async () => {
    const { clock, answers, asked, hear, news } = network();
    answers.set('10.0.0.1:1', ANA);
    await hear(announced());
    answers.clear();
    await clock.pass(30_000);
    expect(news().at(-1)).toBe('lost Ana at 10.0.0.1:1');
    answers.set('10.0.0.1:1', ANA);
    await hear(announced());
    expect(news()).toEqual(['found Ana at 10.0.0.1:1']);
    answers.clear();
    await clock.pass(30_000);
    asked.length = 0;
    for (let n = 0; n < 100; n++) await hear(announced());
    expect(asked.length).toBeLessThan(2);
  });
});

describe('where a peer was met before', () => {
  const place = (id?: PeerId): Sighting => ({
    heard: 'place',
    id,
    address: { host: '10.0.0.1', port: 1 },
  });

  test('it is found without a word, and is one with what is announced', async () => {
    const { answers, hear, news } = network();
    answers.set('10.0.0.1:1', ANA);
    await hear(place(ANA));
    await hear(announced());
    expect(news()).toEqual(['found Ana at 10.0.0.1:1']);
  });

  test('another one does not count, unless anybody does', async () => {
    const { clock, answers, hear, news, silent } = network();
    answers.set('10.0.0.1:1', BOB);
    await hear(place(ANA));
    await clock.pass(60_000);
    expect(news()).toEqual([]);
    await hear(place());
    expect(news()).toEqual(['found Bob at 10.0.0.1:1']);
    expect(silent).toEqual([]);
  });
});

describe('a line', () => {
  function line(card = cardOf(ANA)): { sighting: Sighting; end: () => void } {
    let end = (): void => {};
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    return { sighting: { heard: 'line', card, over }, end };
  }

  test('lists a peer that cannot be dialled, for as long as it is there', async () => {
    const { clock, hear, news } = network();
    const { sighting, end } = line();
    await hear(announced(), sighting);
    await clock.pass(120_000);
    expect(news()).toEqual(['found Ana at ']);
    end();
    await settled();
    expect(news()).toEqual(['lost Ana at ']);
  });

  test('that follows upon another keeps the peer in the list', async () => {
    const { clock, hear, news } = network();
    const [first, second] = [line(), line()];
    await hear(first.sighting, second.sighting);
    first.end();
    await clock.pass(10_000);
    expect(news()).toEqual(['found Ana at ']);
  });

  test('of a peer that can be dialled, too, tells nothing more', async () => {
    const { clock, answers, hear, news } = network();
    answers.set('10.0.0.1:1', ANA);
    const { sighting, end } = line();
    await hear(announced());
    await hear(sighting);
    end();
    await clock.pass(10_000);
    expect(news()).toEqual(['found Ana at 10.0.0.1:1']);
  });
});

describe('strangers', () => {
  const invented = (n: number): Announcement =>
    announced({ run: n.toString(16).padStart(16, '0'), from: `10.1.${n >> 8}.${n & 255}` });

  test('who announce 2000 peers are dialled a few times, then forgotten', async () => {
    const { clock, asked, hear } = network();
    for (let n = 0; n < 2000; n++) await hear(invented(n));
    expect(asked.length).toBe(MAX_CLAIMS);
    await clock.pass(200_000);
    expect(asked.length).toBeLessThanOrEqual(MAX_CLAIMS * 6);
    const before = asked.length;
    await clock.pass(1_000_000);
    expect(asked.length).toBe(before);
  });

  test('at one address get no more than their share, however long they talk', async () => {
    const { clock, asked, hear } = network();
    for (let n = 0; n < 2000; n++) {
      await hear(announced({ ...invented(n), from: '10.0.0.66' }));
      if (n % 200 === 0) await clock.pass(3000);
    }
    expect(asked.length).toBeLessThanOrEqual(MAX_CLAIMS_PER_SOURCE * 2 * 10);
  });

  test('cannot crowd out a peer that answered, nor keep a new one out for long', async () => {
    const { clock, answers, hear, news } = network();
    answers.set('10.0.0.1:1', ANA).set('10.0.0.2:1', BOB);
    await hear(announced());
    for (let n = 0; n < 1000; n++) await hear(invented(n));
    await clock.pass(6000);
    await hear(announced({ run: '2222222222222222', from: '10.0.0.2', name: 'Bob' }));
    await clock.pass(60_000);
    expect(news()).toEqual(['found Ana at 10.0.0.1:1', 'found Bob at 10.0.0.2:1']);
  });

  test('whatever they say, a peer that answers is found and never lost', async () => {
    const run = fc.constantFrom('1111111111111111', '2222222222222222', '3333333333333333');
    const host = fc.constantFrom('10.0.0.66', '10.0.0.67', '10.0.0.1', 'fe80::6%eth0');
    const said = fc.oneof(
      fc.record({ heard: fc.constant('goodbye' as const), run, from: host }),
      fc.record({
        heard: fc.constant('announcement' as const),
        run,
        name: fc.constantFrom('Ana', 'Eve', ''),
        way: fc.constantFrom('send' as const, 'get' as const),
        port: fc.constantFrom(1, 2),
        from: fc.constantFrom('10.0.0.66', '10.0.0.67', 'fe80::6%eth0'),
        hosts: fc.array(host, { maxLength: 4 }),
      }),
    );
    const steps = fc.array(fc.oneof(said, fc.constantFrom(100, 3000, 70_000)), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const { clock, answers, hear, news, end } = network();
        answers.set('10.0.0.1:1', ANA);
        await hear(announced());
        for (const step of script)
          if (typeof step === 'number') await clock.pass(step);
          else await hear(step);
        await end();
        const told = news();
        expect(told[0]).toBe('found Ana at 10.0.0.1:1');
        expect(told.filter((line) => line.startsWith('lost'))).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });
});

test('ends when it is told to, and leaves no timer and no attempt behind', async () => {
  const { clock, answers, hear, end } = network();
  answers.set('10.0.0.1:1', ANA);
  await hear(announced(), announced({ run: '2222222222222222', from: '10.0.0.2' }));
  await end();
  expect(clock.pending).toBe(0);
});

test('ends when its reader leaves', async () => {
  const sightings = latest<Sighting>();
  let ended = false;
  const browse = async function* (signal: AbortSignal) {
    signal.addEventListener('abort', () => sightings.end());
    yield announced();
    yield* sightings;
    ended = true;
  };
  for await (const change of watchPeers(browse, async () => cardOf(ANA))) {
    expect(change.id).toBe(ANA);
    break;
  }
  expect(ended).toBe(true);
});

test('what breaks the browsing reaches the reader', async () => {
  const browse = () => ({
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new DropError('usage')) }),
  });
  const changes = watchPeers(browse, async () => cardOf(ANA));
  await expect(changes.next()).rejects.toMatchObject({ code: 'usage' });
});
