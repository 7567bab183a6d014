import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PeerId } from '../../src/events.ts';
import { utf8 } from '../../src/protocol/bytes.ts';
import { deviceFolder } from '../../src/protocol/device-folder.ts';
import { deviceName, MAX_FILE_NAME, safeName, sameName } from '../../src/protocol/names.ts';

const [ana, bob] = ['a1'.repeat(32), 'b0'.repeat(32)] as [PeerId, PeerId];
const MARK = '(a1a1a1a1a1a1a1a1)';

test.each([
  ['Ana', 'Ana'],
  ["Ana's laptop (2)", "Ana's laptop (2)"],
  ['Müller 😀', 'Müller 😀'],
  // Where the name has to be another one, it may be somebody else's.
  ['..', `_.. ${MARK}`],
  ['../../x', `_.._.._x ${MARK}`],
  ['.bashrc', `_.bashrc ${MARK}`],
  ['-rf', `_-rf ${MARK}`],
  // Nor does anybody get such a folder by its name alone.
  [`_.bashrc ${MARK}`, `_.bashrc ${MARK} ${MARK}`],
  ['This computer', `This computer ${MARK}`],
  ['unproven  devices', `unproven  devices ${MARK}`],
])('a known device called %j has the folder %j', (name, folder) => {
  expect(deviceFolder({ name, id: ana }, 'known', 'posix')).toBe(folder);
});

test('what Windows takes for something else gets another name there', () => {
  const folder = (name: string): string => deviceFolder({ name, id: ana }, 'known', 'windows');
  expect(folder('CON')).toMatch(/^CON.* \(a1a1a1a1a1a1a1a1\)$/);
  expect(folder('a:b')).toBe(`a_b ${MARK}`);
  expect(folder('a?b')).toBe(`a_b ${MARK}`);
  expect(folder('a_b')).toBe('a_b');
});

test('what this computer sends, and what nobody proved, lies apart from all known devices', () => {
  for (const id of [ana, bob])
    for (const name of ['Ana', '../x', '']) {
      expect(deviceFolder({ name, id }, 'ours', 'posix')).toBe('this computer');
      expect(deviceFolder({ name, id }, 'none', 'posix')).toBe('unproven devices');
    }
});

/** What a device may be called here: other devices are never called the same. */
const named = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc.constantFrom('.x', '_.x', `_.x ${MARK}`, '~', 'COM1', 'this computer ', 'a/b', 'a\\b'),
  )
  .map((text) => deviceName(text) || 'x');
const platform = fc.constantFrom('posix', 'darwin', 'windows');

test('a folder is one safe name, whatever a device calls itself', () => {
  fc.assert(
    fc.property(named, platform, (name, where) => {
      const folder = deviceFolder({ name, id: ana }, 'known', where);
      expect(folder).not.toMatch(/^\.{0,2}$|\//);
      if (where === 'windows') expect(folder).not.toContain('\\');
      expect(safeName(folder, { platform: where, top: true })).toBe(folder);
      expect(utf8(folder).length).toBeLessThanOrEqual(MAX_FILE_NAME);
    }),
  );
});

test('two known devices never share one', () => {
  fc.assert(
    fc.property(named, named, platform, (a, b, where) => {
      fc.pre(!sameName(a, b));
      const [hers, his] = [
        deviceFolder({ name: a, id: ana }, 'known', where),
        deviceFolder({ name: b, id: bob }, 'known', where),
      ];
      expect(sameName(hers, his)).toBe(false);
      for (const other of ['this computer', 'unproven devices'])
        expect(sameName(hers, other)).toBe(false);
    }),
  );
});
