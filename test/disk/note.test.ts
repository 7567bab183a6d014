import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { openNote } from '../../src/index.ts';
import { newFolder } from './support.ts';

const disk = vi.hoisted(() => ({ linking: () => {} }));

vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  return {
    ...fs,
    linkSync(...args) {
      disk.linking();
      fs.linkSync(...args);
    },
  };
});

test('of processes that write at once, each has read what the one before it wrote', async () => {
  const home = newFolder();
  const [processes, times] = [4, 100];
  const counter = fileURLToPath(new URL('counter.mjs', import.meta.url));
  await Promise.all(
    Array.from({ length: processes }, () =>
      promisify(execFile)(process.execPath, [counter, home, `${times}`]),
    ),
  );
  expect(readFileSync(join(home, 'count.json'), 'utf8')).toBe(`${processes * times}`);
  expect(readdirSync(home)).toEqual(['count.json']);
});

test('whose turn it is comes first, and is not overwritten', async () => {
  const home = newFolder();
  const note = await openNote('x', { home });
  await note.write('one');
  writeFileSync(join(home, 'x.json.next'), 'other', { mode: 0o600 });
  // However slow this machine is, the other one has not crashed.
  vi.useFakeTimers({ toFake: ['performance'] });
  try {
    let tries = 0;
    disk.linking = () => {
      tries += 1;
      if (tries === 2) renameSync(join(home, 'x.json.next'), join(home, 'x.json'));
    };
    expect(await note.write('two')).toBe(false);
    expect([tries, await note.read()]).toEqual([2, 'other']);
  } finally {
    disk.linking = () => {};
    vi.useRealTimers();
  }
});

test('nor is it for ever the turn of one that crashed', async () => {
  const home = newFolder();
  const note = await openNote('x', { home });
  await note.write('one');
  writeFileSync(join(home, 'x.json.next'), 'half');
  expect(await note.write('two')).toBe(true);
  expect(await note.read()).toBe('two');
  expect(readdirSync(home)).toEqual(['x.json']);
});
