import { expect, test } from 'vitest';
import { explain } from '../../src/cli/explanation.ts';
import type { LinkReport } from '../../src/events.ts';
import { forTerminal } from '../../src/protocol/names.ts';
import { HOSTILE, linkReport, NOTHING, STEERING } from './fake.ts';

const asked = (...links: LinkReport[]): string =>
  explain({ ...NOTHING, asked: links }, forTerminal).asked;

const ipv6 = { family: 'IPv6' } as const;
const nothing = { echoed: 0, heard: 0 } as const;

test('what was heard is said of each interface, with all of its addresses', () => {
  expect(asked(linkReport('eth0'), linkReport('eth0', { ...ipv6, heard: 2 }))).toBe(
    'Asked on eth0 (others heard).',
  );
  const all = asked(
    linkReport('eth0'),
    linkReport('wlan0', { heard: 1 }),
    linkReport('docker0'),
    linkReport('tun0', { ...nothing, trouble: 'EPERM' }),
    linkReport('veth1', nothing),
  );
  expect(all).toBe(
    'Asked on eth0, docker0 (nobody heard); wlan0 (others heard); tun0 (failed: EPERM); veth1 (nothing comes in).',
  );
  expect(asked(linkReport('eth0', { ...nothing, said: 0 }))).toBe(
    'Asked on eth0 (nothing goes out).',
  );
});

test('trouble with one address family is none of the interface', () => {
  expect(asked(linkReport('eth0'), linkReport('eth0', { ...ipv6, trouble: 'EPERM' }))).toBe(
    'Asked on eth0 (nobody heard).',
  );
});

test('loopback is only named if there is nothing else', () => {
  const loopback = linkReport('lo', { loopback: true });
  expect(asked(loopback, linkReport('eth0'))).toBe('Asked on eth0 (nobody heard).');
  expect(asked(loopback)).toBe('Asked on lo (nobody heard).');
  expect(asked()).toBe('No network interface could be asked.');
});

test('dozens of interfaces are one sentence', () => {
  const many = Array.from({ length: 40 }, (_, n) => linkReport(`br-${n}`));
  expect(asked(...many)).toBe('Asked on br-0, br-1, br-2, br-3, br-4 (nobody heard); 35 more.');
});

test('what a device calls itself cannot steer the terminal', () => {
  const { message } = explain({ ...NOTHING, message: `"${HOSTILE}" is announced.` }, forTerminal);
  expect(message).not.toMatch(STEERING);
});
