import { expect, test } from 'vitest';
import { findHolder } from '../../src/doctor/holder.ts';
import { systemOf } from './support.ts';

const SS = 'ss -Hulpne sport = :5353';
const LINE = 'UNCONN 0 0 0.0.0.0:5353 0.0.0.0:*';
const PASSWD =
  'root:x:0:0:root:/root:/bin/sh\navahi:x:108:114::/run/avahi-daemon:/usr/sbin/nologin\n';

test.each([
  [
    'a program that we may see',
    `${LINE} users:(("node",pid=4711,fd=18)) uid:1000 ino:36741 sk:1 cgroup:/ <->`,
    { name: 'node', pid: 4711, fix: 'kill 4711' },
  ],
  [
    'avahi',
    `${LINE} users:(("avahi-daemon",pid=612,fd=12)) uid:108 ino:19313 sk:2 <->`,
    { name: 'avahi-daemon', pid: 612, fix: expect.stringContaining('disallow-other-stacks=no') },
  ],
  [
    'avahi, of which we may only see the user',
    `${LINE} uid:108 ino:19313 sk:2 <->`,
    { name: 'one of the user "avahi"', fix: expect.stringContaining('disallow-other-stacks=no') },
  ],
  [
    'a program of root',
    `${LINE} ino:19313 sk:2 <->`,
    { name: 'one of the user "root"', fix: "sudo ss -ulpn 'sport = :5353'" },
  ],
  [
    'a user without a name',
    `${LINE} uid:4000 ino:19313 sk:2 <->`,
    { name: 'one of another user', fix: "sudo ss -ulpn 'sport = :5353'" },
  ],
])('the port is held by %s', async (_, line, holder) => {
  const files = { '/etc/passwd': PASSWD };
  expect(await findHolder(systemOf({ runs: { [SS]: `${line}\n` }, files }))).toEqual(holder);
});

test('nothing is known of the holder where nothing is told', async () => {
  expect(await findHolder(systemOf({}))).toBeUndefined();
  expect(await findHolder(systemOf({ runs: { [SS]: '\n' } }))).toBeUndefined();
  expect(await findHolder(systemOf({ platform: 'darwin' }))).toBeUndefined();
});
