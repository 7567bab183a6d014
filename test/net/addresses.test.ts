import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DropError } from '../../src/errors.ts';
import {
  candidates,
  canonical,
  formatAddress,
  legible,
  MAX_CANDIDATES,
  onLink,
  parseAddress,
  race,
} from '../../src/net/addresses.ts';
import type { Link } from '../../src/net/links.ts';
import { fakeClock, settled } from './fake-clock.ts';
import { link } from './link.ts';

describe('parseAddress', () => {
  test.each([
    ['192.168.1.5', { host: '192.168.1.5' }],
    ['192.168.1.5:23767', { host: '192.168.1.5', port: 23767 }],
    ['laptop.local:80', { host: 'laptop.local', port: 80 }],
    ['bücher', { host: 'bücher' }],
    ['fe80::1%eth0', { host: 'fe80::1%eth0' }],
    ['[fe80::1%eth0]:80', { host: 'fe80::1%eth0', port: 80 }],
    ['[::1]', { host: '::1' }],
    ['2001:db8::1:80', { host: '2001:db8::1:80' }],
    ['host:0', undefined],
    ['host:65536', undefined],
    ['host:', undefined],
    ['[host]:80', undefined],
    ['[::1', undefined],
    ["Ana's laptop", undefined],
    ['-v', undefined],
    ['a/b', undefined],
    ['', undefined],
  ])('%j is %j', (text, address) => {
    expect(parseAddress(text)).toEqual(address);
  });

  test('what is formatted is parsed to the same address', () => {
    const host = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.ipV6().map((address) => `${address}%eth0`),
      fc.domain(),
    );
    fc.assert(
      fc.property(fc.record({ host, port: fc.integer({ min: 1, max: 65535 }) }), (address) => {
        expect(parseAddress(formatAddress(address))).toEqual(address);
      }),
    );
  });

  test('whatever is typed, it is an address or it is not, in no time worth mentioning', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'a.-_[]:%1é'), maxLength: 300 }), (text) => {
        const host = parseAddress(text)?.host;
        expect(host === undefined || (host !== '' && text.includes(host))).toBe(true);
      }),
    );
  });
});

test.each([
  ['192.168.1.5', '192.168.1.5'],
  ['::ffff:192.168.1.5', '192.168.1.5'],
  ['::FFFF:C0A8:105', '192.168.1.5'],
  ['FE80:0:0::1%eth0', 'fe80::1'],
  ['2001:db8:0:0:0:0:0:1', '2001:db8::1'],
  ['::1', '::1'],
])('the one spelling of %s is %s', (address, spelling) => {
  expect(canonical(address)).toBe(spelling);
});

const wifi = link({ networks: ['192.168.1.5/24', 'fe80::5/64', '2001:db8:1::5/64'] });

test.each([
  ['192.168.1.200', true],
  ['::ffff:192.168.1.200', true],
  ['192.168.2.1', false],
  ['2001:db8:1::99', true],
  ['2001:db8:2::99', false],
  ['fe80::9%eth0', true],
  ['fe80::9%docker0', false],
  ['fe80::9', false],
  ['nonsense', false],
])('that %s is on the link is %s', (address, is) => {
  expect(onLink(wifi)(address)).toBe(is);
});

test.each([
  [['[fe80::1%eth0]:23767', '10.0.0.1:23767', '10.0.0.2:23767'], '10.0.0.1:23767'],
  [['[fe80::1%eth0]:23767', '[2001:db8::1]:23767'], '[fe80::1%eth0]:23767'],
  [[], undefined],
])('of %j a person reads %s', (addresses, legibly) => {
  expect(legible(addresses)).toBe(legibly);
});

describe('candidates', () => {
  const own = new Set([
    '192.168.1.5',
    'fe80::5',
    '2001:db8:1::5',
    '172.17.0.1',
    '127.0.0.1',
    '::1',
  ]);
  const at = (here: Link) => ({ link: here, near: onLink(here), own });

  test.each([
    {
      name: 'the source first, then neighbours, then the rest',
      from: '192.168.1.9',
      addresses: ['10.0.0.9', '2001:db8:1::9', '192.168.1.9', '2001:db8:2::9'],
      expected: ['192.168.1.9', '2001:db8:1::9', '10.0.0.9', '2001:db8:2::9'],
    },
    {
      name: 'link-local addresses with the scope of the link',
      from: 'fe80::9%eth0',
      addresses: ['fe80::9', 'fe80::a', '192.168.1.9'],
      expected: ['fe80::9%eth0', 'fe80::a%eth0', '192.168.1.9'],
    },
    {
      name: 'never one of our own, unless the packet came from one',
      from: '192.168.1.9',
      addresses: ['172.17.0.1', '::ffff:192.168.1.5', 'fe80::5'],
      expected: ['192.168.1.9'],
    },
    {
      name: 'our own, when another process of this computer spoke',
      from: '192.168.1.5',
      addresses: ['192.168.1.5', '2001:db8:1::5'],
      expected: ['192.168.1.5', '2001:db8:1::5'],
    },
    {
      name: 'nothing that leads nowhere or back to us',
      from: '192.168.1.9',
      addresses: [
        ...['0.0.0.0', '127.0.0.1', '::1', '::', '224.0.0.251', 'ff02::fb', '255.255.255.255'],
        ...['::ffff:127.0.0.1', '::ffff:7f00:1', '10.0.undefined.undefined', 'localhost'],
      ],
      expected: ['192.168.1.9'],
    },
  ])('$name', ({ from, addresses, expected }) => {
    expect(candidates({ from, addresses }, at(wifi))).toEqual(expected);
  });

  test('loopback counts on the loopback link', () => {
    const lo = link({ name: 'lo', networks: ['127.0.0.1/8'], loopback: true });
    expect(candidates({ from: '127.0.0.1', addresses: [] }, at(lo))).toEqual(['127.0.0.1']);
  });

  test('whatever was announced, no more than a few, no two alike, all of them addresses', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string());
    fc.assert(
      fc.property(address, fc.array(address, { maxLength: 40, size: 'max' }), (from, addresses) => {
        const found = candidates({ from, addresses }, at(wifi));
        expect(found.length).toBeLessThanOrEqual(MAX_CANDIDATES);
        expect(new Set(found).size).toBe(found.length);
        for (const one of found) expect(parseAddress(one)?.host).toBe(one);
      }),
    );
  });
});

test('a long name of a device is told from a host at once', () => {
  expect(parseAddress(`${'a'.repeat(50)} laptop`)).toBeUndefined();
  expect(parseAddress(`${'a-'.repeat(40)}!`)).toBeUndefined();
});

describe('race', () => {
  /** Candidates by name, settled by hand. */
  function entrants() {
    interface Attempt {
      readonly signal: AbortSignal;
      readonly resolve: (result: string) => void;
      readonly reject: (error: Error) => void;
    }
    const attempts = new Map<string, Attempt>();
    const attempt = (name: string, signal: AbortSignal) =>
      new Promise<string>((resolve, reject) => attempts.set(name, { signal, resolve, reject }));
    return { attempt, attempts, started: () => [...attempts.keys()] };
  }

  test('the next one starts after the stagger, or as soon as the one before has failed', async () => {
    const { attempt, attempts, started } = entrants();
    const clock = fakeClock();
    const result = race(['a', 'b', 'c'], attempt, { clock, stagger: 150 });
    await clock.pass(149);
    expect(started()).toEqual(['a']);
    await clock.pass(1);
    expect(started()).toEqual(['a', 'b']);
    attempts.get('b')?.reject(new Error('refused'));
    await settled();
    expect(started()).toEqual(['a', 'b', 'c']);
    attempts.get('c')?.resolve('c');
    expect(await result).toBe('c');
  });

  test('the winner goes on; the losers are aborted, and what they still bring is discarded', async () => {
    const { attempt, attempts } = entrants();
    const clock = fakeClock();
    const late: string[] = [];
    const discard = (one: string) => late.push(one);
    const result = race(['a', 'b'], attempt, { clock, discard });
    await clock.pass(200);
    attempts.get('b')?.resolve('b');
    expect(await result).toBe('b');
    expect(attempts.get('a')?.signal.aborted).toBe(true);
    expect(attempts.get('b')?.signal.aborted).toBe(false);
    attempts.get('a')?.resolve('a');
    await settled();
    expect(late).toEqual(['a']);
    expect(clock.pending).toBe(0);
  });

  test('one that does not answer in time has failed, even if it ignores its signal', async () => {
    const { attempt, attempts } = entrants();
    const clock = fakeClock();
    const result = race(['a'], attempt, { clock, limit: 2000 });
    const failed = expect(result).rejects.toMatchObject({ code: 'unreachable' });
    await clock.pass(2000);
    await failed;
    expect(attempts.get('a')?.signal.aborted).toBe(true);
  });

  test.each([
    ['nobody to ask', [], { code: 'unreachable', cause: undefined }],
    [
      'a closed port before silence',
      [
        new DropError('unreachable'),
        new DropError('unreachable', {
          cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }),
        }),
      ],
      { code: 'unreachable', cause: { code: 'ECONNREFUSED' } },
    ],
    [
      'a wrong answer before a closed port',
      [Object.assign(new Error(), { code: 'ECONNREFUSED' }), new DropError('wrong-peer')],
      { code: 'wrong-peer' },
    ],
  ])('rejects with what tells most: %s', async (_, errors, expected) => {
    const attempt = (error: Error) => Promise.reject(error);
    await expect(race(errors, attempt)).rejects.toMatchObject(expected);
  });

  test('an attempt that throws at once has failed like any other', async () => {
    const attempt = (name: string) => {
      if (name === 'a') throw new Error('at once');
      return Promise.resolve(name);
    };
    expect(await race(['a', 'b'], attempt)).toBe('b');
  });

  test('aborting aborts all, with the reason that was given, and leaves no timer', async () => {
    const { attempt, attempts } = entrants();
    const clock = fakeClock();
    const abort = new AbortController();
    const result = race(['a', 'b'], attempt, { clock, signal: abort.signal });
    const failed = expect(result).rejects.toThrow('enough');
    await clock.pass(150);
    abort.abort(new Error('enough'));
    await failed;
    expect([...attempts.values()].every(({ signal }) => signal.aborted)).toBe(true);
    expect(clock.pending).toBe(0);
    await expect(race(['a'], attempt, { signal: abort.signal })).rejects.toThrow('enough');
  });
});
