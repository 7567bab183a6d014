import { getEventListeners } from 'node:events';
import { afterEach, expect, test, vi } from 'vitest';
import { look, makePorch } from '../../src/meeting/look.ts';
import { openSelf } from '../../src/meeting/self.ts';
import { Survey } from '../../src/net/survey.ts';
import { Home } from '../support/home.ts';

afterEach(() => void vi.restoreAllMocks());

test('a look that is over is held by nothing: there is one for each loss', async () => {
  await using home = new Home();
  const any = vi.spyOn(AbortSignal, 'any');
  const self = await openSelf({ home: home.state, name: 'Ana' });
  const interfaces = ['none'];
  const porch = makePorch(self, 'send', { interfaces });
  const stop = new AbortController();
  const looking = look(self, { interfaces }, { porch, survey: new Survey(), signal: stop.signal });
  const next = looking.next();
  setImmediate(() => stop.abort());
  await next.catch(() => {});
  await looking.return();
  await porch.close();
  const signals = any.mock.results.map(({ value }) => value as AbortSignal);
  expect(signals).not.toEqual([]);
  expect(signals.flatMap((one) => getEventListeners(one, 'abort'))).toEqual([]);
});
