import stringWidth from 'string-width';
import { describe, expect, test } from 'vitest';
import { Devices, nameWidthOf, rowOf } from '../../src/cli/devices.ts';
import type { DiscoverEvent } from '../../src/events.ts';
import { fakeLibrary, HOSTILE, NOTHING, peerEvent, STEERING, silentEvent } from './fake.ts';

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

function heard(...events: readonly DiscoverEvent[]): Devices {
  const devices = new Devices(fakeLibrary());
  for (const event of events) devices.update(event);
  return devices;
}

describe('devices that do not answer', () => {
  test('come after those that do, whoever came first', () => {
    const { choices } = heard(silentEvent('Eve', 'e'), peerEvent('Ana', '1', 'new'));
    expect(choices.map(({ name, standing, silent }) => [name, standing, silent])).toEqual([
      ['Ana', 'new', false],
      ['Eve', 'does not answer', true],
    ]);
  });

  test('are told apart by where they are, as nothing else of them is known', () => {
    const { choices } = heard(
      peerEvent('Ana', '1', 'new'),
      silentEvent('ana', '2'),
      silentEvent('', '3'),
    );
    expect(choices.map(({ name, apart }) => [name, apart])).toEqual([
      ['Ana', '11111111  192.168.1.1:23767'],
      ['ana', '192.168.1.2:23767'],
      ['192.168.1.3:23767', ''],
    ]);
  });

  test('are gone when they answer, or go', () => {
    const { choices } = heard(silentEvent('Ana', '1'), silentEvent('Ana', '1', 'lost'));
    expect(choices).toEqual([]);
  });
});

describe('why nobody is there', () => {
  test('is known until somebody is, and our own computer is nobody', () => {
    const devices = heard(NOTHING, silentEvent('Eve', 'e'), peerEvent('Me', '1', 'self'));
    expect(devices.explanation).toMatchObject({ message: NOTHING.message, hint: NOTHING.hint });
    devices.update(peerEvent('Ana', '2', 'new'));
    expect(devices.explanation).toBeUndefined();
    devices.update(peerEvent('Ana', '2', 'new', 'lost'));
    devices.update({ ...NOTHING, cause: 'silent', message: HOSTILE });
    expect(devices.explanation?.message).toMatch(/evil/);
    expect(devices.explanation?.message).not.toMatch(STEERING);
  });
});

test.each(['a rather long name of a laptop', '\u65e5'.repeat(30), `a${'\u65e5'.repeat(30)}`])(
  'a row of the device %j fits, however narrow the window',
  (name) => {
    const { choices } = heard(peerEvent(name, '1', 'new'), peerEvent(name, '2', 'namesake'));
    for (let width = 10; width < 100; width++)
      for (const choice of choices) {
        const row = rowOf(choice, nameWidthOf(choices), width);
        expect(stringWidth(row)).toBeLessThanOrEqual(width);
      }
  },
);
