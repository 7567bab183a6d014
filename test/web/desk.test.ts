import { expect, test, vi } from 'vitest';
import { type GetOptions, get, type SendOptions, send } from '../../src/index.ts';
import { Desk } from '../../src/web/window/desk.ts';
import { TempFolder } from '../support/home.ts';

vi.mock(import('../../src/index.ts'), async (original) => ({
  ...(await original()),
  send: vi.fn(),
  get: vi.fn(),
}));

test('an address at which nobody is, is waited for as long as by a command', async () => {
  await using folder = new TempFolder();
  const { signal } = new AbortController();
  const desk = new Desk({ home: folder.path, signal }, () => {});
  desk.send(['192.0.2.1'], { text: 'hello' });
  desk.get('192.0.2.1');
  const [sent, got] = [vi.mocked(send).mock.lastCall?.[1], vi.mocked(get).mock.lastCall?.[0]];
  expect(sent).toMatchObject({ to: '192.0.2.1' } satisfies Partial<SendOptions>);
  expect(got).toMatchObject({ from: '192.0.2.1' } satisfies Partial<GetOptions>);
  expect([sent?.wait, got?.wait]).toEqual([undefined, undefined]);
});
