import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { type SendOptions, send } from '../src/index.ts';
import { TempFolder } from './support/home.ts';

test('what cannot be sent is said before anybody is looked for', async () => {
  await using home = new TempFolder();
  const common = { to: 'Ana', home: home.path, interfaces: ['lo'] };
  const attempt = (paths: string[], more: Partial<SendOptions> = {}) =>
    send(paths, { ...common, ...more }).next();

  const nothing = { code: 'usage', message: 'There is nothing to send.' };
  await expect(attempt([])).rejects.toMatchObject(nothing);
  await expect(attempt([], { lent: [] })).rejects.toMatchObject(nothing);
  await expect(attempt([], { text: '' })).rejects.toMatchObject({ code: 'usage' });
  await expect(attempt([home.path], { lent: [] })).rejects.toMatchObject({ code: 'usage' });
});

test('nothing is left open of what is not sent, as we cannot be who we are', async () => {
  await using folder = new TempFolder();
  const home = join(folder.path, 'file');
  await writeFile(home, '');
  const source = Readable.from([new Uint8Array(1)]);
  const sending = send([], { to: 'Ana', home, stream: { name: 'stream', source } });
  await expect(sending.next()).rejects.toThrow();
  expect(source.destroyed).toBe(true);
});
