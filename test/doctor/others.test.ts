import { describe, expect, test } from 'vitest';
import { findMacFirewall } from '../../src/doctor/macos.ts';
import { findWindowsFirewall } from '../../src/doctor/windows.ts';
import { systemOf } from './support.ts';

const MAC_NODE = '/usr/local/bin/node';

describe('the firewall of macOS', () => {
  const of = (state: string, blockAll: string, app: string) =>
    findMacFirewall(
      systemOf({
        platform: 'darwin',
        runs: {
          'socketfilterfw --getglobalstate': state,
          'socketfilterfw --getblockall': blockAll,
          [`socketfilterfw --getappblocked ${MAC_NODE}`]: app,
        },
      }),
      MAC_NODE,
    );
  const OFF = 'Firewall is disabled. (State = 0) \n';
  const ON = 'Firewall is enabled. (State = 1) \n';
  const SOME = 'Firewall has block all state set to disabled.\n';
  const PERMITTED = `Incoming connection to the application is permitted \n`;
  const BLOCKED = 'Incoming connection to the application is blocked \n';
  const UNLISTED = `The application is not part of the firewall \n`;

  test.each([
    ['off', OFF, SOME, UNLISTED, 'accept', undefined],
    ['on, and node permitted', ON, SOME, PERMITTED, 'accept', undefined],
    ['on, and node blocked', ON, SOME, BLOCKED, 'drop', /--unblockapp "\/usr\/local\/bin\/node"$/],
    ['on, and it will ask', ON, SOME, UNLISTED, 'unknown', undefined],
    [
      'on, and blocks everything',
      'Firewall is set to block all non-essential incoming connections. (State = 2) \n',
      'Firewall has block all state set to enabled.\n',
      PERMITTED,
      'drop',
      /--setblockall off$/,
    ],
  ])('is %s', async (_, state, blockAll, app, says, fix) => {
    const { verdicts, names, readable } = await of(state, blockAll, app);
    expect(readable).toBe(true);
    expect(names).toHaveLength(state === OFF ? 0 : 1);
    expect(verdicts['tcp-in'].says).toBe(says);
    expect(verdicts['multicast-in'].says).toBe(says);
    expect(verdicts['multicast-out'].says).toBe('accept');
    const verdict = verdicts['tcp-in'];
    if (fix) expect(verdict.says === 'drop' && verdict.fix).toMatch(fix);
  });

  test('is unknown where its tool says nothing', async () => {
    const { readable, verdicts } = await findMacFirewall(systemOf({ platform: 'darwin' }));
    expect({ readable, says: verdicts['tcp-in'].says }).toEqual({
      readable: false,
      says: 'unknown',
    });
  });
});

const NODE = 'C:\\Program Files\\nodejs\\node.exe';

describe('the firewall of Windows', () => {
  const PROFILES = ['Domain', 'Private', 'Public'].map((Name) => {
    return { Name, Enabled: 'True', In: 'NotConfigured' };
  });
  const HOME = { Alias: 'Wi-Fi', Category: 'Private' };
  const CAFE = { Alias: 'Wi-Fi', Category: 'Public' };
  const ALLOW = { Name: 'Node.js JavaScript Runtime', Action: 'Allow', Profile: 'Private' };
  const BLOCK = { ...ALLOW, Action: 'Block' };
  const of = (heard: object) =>
    findWindowsFirewall(
      systemOf({ platform: 'win32', runs: { powershell: `${JSON.stringify(heard)}\r\n` } }),
      NODE,
    );

  test.each<[string, object, string, RegExp | undefined]>([
    ['nothing was allowed yet', { networks: [HOME], rules: [] }, 'unknown', undefined],
    ['node is allowed', { networks: [HOME], rules: [ALLOW] }, 'accept', undefined],
    [
      'the network is public',
      { networks: [CAFE], rules: [ALLOW] },
      'drop',
      /-InterfaceAlias 'Wi-Fi' -NetworkCategory Private/,
    ],
    [
      'the question was answered by no',
      { networks: [HOME], rules: [BLOCK, ALLOW] },
      'drop',
      /Remove-NetFirewallRule -DisplayName 'Node\.js/,
    ],
    [
      'it was for another network',
      { networks: [HOME], rules: [{ ...BLOCK, Profile: 'Public' }, ALLOW] },
      'accept',
      undefined,
    ],
    [
      'a rule is for all networks',
      { networks: [CAFE], rules: [{ ...ALLOW, Profile: 'Any' }] },
      'accept',
      undefined,
    ],
    ['there is no network', { networks: [], rules: [ALLOW] }, 'unknown', undefined],
  ])('%s', async (_, heard, says, fix) => {
    const { verdicts, readable } = await of({ profiles: PROFILES, ...heard });
    const verdict = verdicts['tcp-in'];
    expect({ readable, says: verdict.says }).toEqual({ readable: true, says });
    if (fix) expect(verdict.says === 'drop' && verdict.fix).toMatch(fix);
  });

  test('is off', async () => {
    const profiles = PROFILES.map((profile) => ({ ...profile, Enabled: 'False' }));
    const { names, verdicts } = await of({ profiles, networks: [CAFE], rules: [BLOCK] });
    expect({ names, says: verdicts['tcp-in'].says }).toEqual({ names: [], says: 'accept' });
  });

  test('is unknown where PowerShell says something else', async () => {
    const { readable } = await of({ profiles: 1 });
    expect(readable).toBe(false);
  });
});
