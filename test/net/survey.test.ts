import { describe, expect, test } from 'vitest';
import type { LinkReport, SilentEvent } from '../../src/events.ts';
import { likelyCause, type Surroundings, Survey, stateOf } from '../../src/net/survey.ts';
import { link } from './link.ts';

/** A link that works, and on which nobody else is heard. */
const ALONE: LinkReport = {
  interface: 'eth0',
  family: 'IPv4',
  address: '10.1.0.1',
  loopback: false,
  said: 4,
  echoed: 4,
  heard: 0,
};
const V6: LinkReport = { ...ALONE, family: 'IPv6', address: 'fe80::1' };
const HEARS = { heard: 2 };
const DEAF = { echoed: 0 };
const MUTE = { said: 0, echoed: 0, trouble: 'EPERM' };
const TAKEN = { said: 0, echoed: 0, trouble: 'EADDRINUSE' };
const BROKEN = { said: 0, echoed: 0, trouble: 'ENETUNREACH' };
const KEPT_OFF = { said: 0, echoed: 0, trouble: 'EHOSTUNREACH' };
const LOOPBACK = { interface: 'lo', address: '127.0.0.1', loopback: true };
const DOCKER = { interface: 'docker0', address: '172.17.0.1' };
const TUNNEL = { interface: 'tun0', address: '10.8.0.2' };

const LINUX: Surroundings = {
  virtual: new Set(['docker0', 'tun0']),
  tunnels: new Set(['tun0']),
  platform: 'linux',
};

const SILENT: SilentEvent = {
  event: 'silent',
  state: 'found',
  name: 'Ana',
  run: '0123456789abcdef',
  addresses: ['10.1.0.2:23767'],
};

describe('why nobody is found', () => {
  test.each<[string, Partial<LinkReport>[], string]>([
    ['nothing is up', [], 'no-network'],
    ['only loopback is', [LOOPBACK], 'no-network'],
    ['only a network inside this machine is', [DOCKER], 'no-network'],
    ['only a VPN is', [TUNNEL], 'no-network'],
    ['somebody is heard inside it', [{ ...DOCKER, ...HEARS }], 'nobody'],
    ['others are heard', [HEARS], 'nobody'],
    ['others are heard by IPv6 alone', [TAKEN, { ...V6, ...HEARS }], 'nobody'],
    ['nobody is heard', [{}, V6], 'alone'],
    ['nobody is heard, and the VPN is deaf', [{}, { ...TUNNEL, ...DEAF }], 'alone'],
    ['nothing comes in', [DEAF, { ...V6, ...DEAF }], 'cannot-hear'],
    ['nothing comes in but from the VPN', [DEAF, TUNNEL], 'cannot-hear'],
    ['nothing comes in by IPv4', [DEAF, V6], 'alone'],
    ['nothing may go out', [MUTE, { ...V6, ...MUTE }], 'cannot-speak'],
    ['nothing may go out but through the VPN', [MUTE, TUNNEL], 'cannot-speak'],
    ['nothing goes out for another reason', [BROKEN], 'cannot-speak'],
    ['IPv6 does not work at all', [{}, { ...V6, ...BROKEN }], 'alone'],
    ['the port is taken', [TAKEN, { ...V6, ...TAKEN }], 'port-taken'],
    ['the port is taken for IPv4', [TAKEN, V6], 'port-taken'],
  ])('%s', (_, reports, cause) => {
    const links = reports.map((parts) => ({ ...ALONE, ...parts }));
    expect(likelyCause(links, [], LINUX)).toMatchObject({ cause });
    expect(likelyCause(links, [SILENT], LINUX)).toMatchObject({ cause: 'silent' });
  });

  test('names the interfaces that matter, and a VPN where it may be why', () => {
    const wlan = { ...ALONE, interface: 'wlan0' };
    const tunnel = { ...ALONE, ...TUNNEL };
    const alone = likelyCause(
      [wlan, { ...ALONE, ...DEAF }, V6, { ...ALONE, ...DOCKER }],
      [],
      LINUX,
    );
    expect(alone.message).toContain(' wlan0, eth0.');
    expect(alone.hint).not.toContain('VPN');
    for (const link of [wlan, { ...wlan, ...DEAF }, { ...wlan, ...MUTE }])
      expect(likelyCause([link, tunnel], [], LINUX).hint).toContain('VPN is on (tun0)');
    expect(likelyCause([tunnel], [], LINUX).message).toContain('(tun0)');
  });

  test('knows how macOS keeps a program off the network, and that others do not', () => {
    const links = [{ ...ALONE, ...KEPT_OFF }];
    expect(likelyCause(links, [], { ...LINUX, platform: 'darwin' })).toMatchObject({
      cause: 'cannot-speak',
      hint: expect.stringContaining('Local Network'),
    });
    expect(likelyCause(links, [], LINUX).hint).not.toContain('Local Network');
  });

  test('names the command that is looked for and its options, and neither where any is looked for', () => {
    const hintOf = (link: Partial<LinkReport>, way?: 'send' | 'get') =>
      likelyCause([{ ...ALONE, ...link }], [], LINUX, way).hint;
    expect(hintOf({}, 'send')).toContain('Is `drop receive` running there');
    expect(hintOf({}, 'get')).toContain('Is `drop share` running there');
    expect(hintOf({})).toContain('Is `drop` running there');
    expect(hintOf(TAKEN, 'send')).toContain('--to ADDRESS');
    expect(hintOf(TAKEN, 'get')).toContain('--from ADDRESS');
    expect(hintOf(TAKEN)).toBe('See: drop doctor');
  });

  test('shows no text of a stranger as it is', () => {
    const { message } = likelyCause([], [{ ...SILENT, name: 'a\x1b[2J' }], LINUX);
    expect(message).not.toContain('\x1b');
  });
});

test('a survey tells our own packets from those of others, and forgets old trouble', () => {
  const survey = new Survey();
  const eth0 = link({ networks: ['10.1.0.1/24', 'fe80::1/64'] });
  const tally = survey.of(eth0);
  tally.failed('ENETUNREACH');
  expect(survey.reports().map(stateOf)).toEqual(['broken']);
  tally.said();
  expect(survey.reports().map(stateOf)).toEqual(['deaf']);
  tally.heard('10.1.0.1');
  tally.heard('fe80::1%eth0');
  expect(survey.reports().map(stateOf)).toEqual(['alone']);
  survey.of(eth0).heard('10.1.0.2');
  expect(survey.reports()).toMatchObject([{ said: 1, echoed: 2, heard: 1, trouble: undefined }]);
  survey.forget(eth0);
  expect(survey.reports()).toEqual([]);
});
