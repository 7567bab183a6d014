import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { get, share } from '../src/index.ts';
import { Home } from './support/home.ts';

test('a fetch that is stopped waits for no answer', async () => {
  await using ana = new Home();
  await using bob = new Home();
  const file = join(bob.path, 'file');
  await writeFile(file, '');
  const stop = new AbortController();
  const reason = new Error('enough');
  const interfaces = ['lo'];
  const sharing = share([file], { home: bob.state, interfaces });
  const { value: ready } = await sharing.next();
  if (ready?.event !== 'ready') throw new Error('It is not ready.');
  const fetch = async (): Promise<void> => {
    for await (const { event } of get({
      ...{ home: ana.state, into: ana.downloads, interfaces, from: `127.0.0.1:${ready.port}` },
      code: async () => ready.code ?? '',
      accept: () => new Promise(() => {}),
      signal: stop.signal,
    }))
      if (event === 'offer') stop.abort(reason);
  };
  await expect(fetch()).rejects.toBe(reason);
  await sharing.return();
});
