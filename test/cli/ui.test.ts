import { expect, test, vi } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { openLink, runUi } from '../../src/web/window/ui.ts';
import { fakeIo, fakeLibrary } from './fake.ts';

vi.mock(import('../../src/web/window/ui.ts'), () => ({ openLink: vi.fn(), runUi: vi.fn() }));

test('drop ui sees the page of a window that is there, however quick the browser is', async () => {
  /** Those who wait for a page. */
  const listening: (() => void)[] = [];
  vi.mocked(runUi).mockImplementation(async ({ onReady }) =>
    onReady('http://127.0.0.1:1/#token', {
      elsewhere: true,
      listen: async () => ({ page: new Promise((come) => listening.push(come)) }),
    }),
  );
  const forget = vi.fn(async () => {});
  // It has opened the page by the time that we hear that there is a browser.
  vi.mocked(openLink).mockImplementation(async () => {
    for (const come of listening) come();
    return { opened: true, forget };
  });
  const io = fakeIo(fakeLibrary({}));
  expect(await main(['ui'], io)).toBe(0);
  expect(io.said.err()).toContain('Your window runs already, and opens in your browser.');
  expect(forget).toHaveBeenCalledOnce();
});
