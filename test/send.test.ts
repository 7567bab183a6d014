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
