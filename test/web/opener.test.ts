import { expect, test } from 'vitest';
import { opener } from '../../src/web/window/opener.ts';

test.each([
  ['darwin', {}, ['/usr/bin/open']],
  ['win32', { SystemRoot: 'D:\\Windows' }, ['D:\\Windows\\explorer.exe']],
  ['win32', {}, ['C:\\Windows\\explorer.exe']],
  ['linux', { DISPLAY: ':0' }, ['xdg-open']],
  ['linux', { WAYLAND_DISPLAY: 'wayland-0' }, ['xdg-open']],
  ['linux', {}, undefined],
  ['freebsd', { DISPLAY: '' }, undefined],
] as const)('on %s with %o things are opened by %o', (platform, environment, program) => {
  expect(opener(platform, environment)).toEqual(program);
});
