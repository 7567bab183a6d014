import { expect, test } from 'vitest';
import { Devices } from '../../src/cli/devices.ts';
import { fakeLibrary, peerEvent } from './fake.ts';

test.each([
  ['Ana', 'Ana'],
  ['Ana', 'ANA'],
  ['Ana', 'Ana\u200d'],
  ['Ana', 'Ana\ufe0f'],
  ["Ana's office", "Ana's o\ufb03ce"],
])('devices called %j and %j are shown with what tells them apart', (one, other) => {
  const devices = new Devices(fakeLibrary());
  devices.update(peerEvent(one, '1', 'new'));
  devices.update(peerEvent(other, '2', 'new'));
  devices.update(peerEvent('Bob', '3', 'new'));
  expect(devices.choices.map(({ apart }) => apart)).toEqual([
    expect.stringMatching(/^11111111 {2}\S+:\d+$/),
    expect.stringMatching(/^22222222 {2}\S+:\d+$/),
    '',
  ]);
});
