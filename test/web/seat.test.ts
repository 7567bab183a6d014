import { execFileSync, spawn } from 'node:child_process';
import { expect, onTestFinished, test } from 'vitest';
import { LOOPBACK, listen, VISIT } from '../../src/web/window/seat.ts';
import { Changes, text } from '../support/process.ts';

/** Says its port and then each path that it is asked for. No page ever opens in it; `/end` ends it. */
const WINDOW = `
  const server = require('node:http').createServer(({ url }, response) => {
    console.log(url);
    if (url === '/end') process.exit();
    if (url === '/page') response.end();
  });
  server.listen(0, '${LOOPBACK}', () => console.log(server.address().port));
`;

/** What stands for the window of another process. */
async function windowThere() {
  const child = spawn(process.execPath, ['-e', WINDOW], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const changes = new Changes();
  const said = text(child.stdout, () => changes.announce());
  const lines = (count: number): Promise<string[]> =>
    changes.until(() => {
      const all = said().split('\n').slice(0, -1);
      return all.length < count ? undefined : all;
    }, said);
  const port = Number((await lines(1))[0]);
  return {
    place: { port, token: 'token' },
    asked: async (count: number): Promise<string[]> => (await lines(1 + count)).slice(1),
  };
}

/** Does so while nothing else happens in this process. */
function getAtOnce(port: number, path: string): void {
  const get = `require('node:http').get('http://${LOOPBACK}:${port}${path}', (answer) => answer.resume())`;
  execFileSync(process.execPath, ['-e', get]);
}

test('whoever listens for a page of a window has asked before that page can', async () => {
  const { place, asked } = await windowThere();
  await listen(place, new AbortController().signal);
  getAtOnce(place.port, '/page');
  expect(await asked(2)).toEqual([VISIT, '/page']);
});

test('whoever listens for a page hears that the window ends, or that nobody listens any more', async () => {
  const { place } = await windowThere();
  const left = new AbortController();
  const [ended, given] = [
    await listen(place, AbortSignal.any([])),
    await listen(place, left.signal),
  ];
  left.abort();
  await expect(given.page).rejects.toThrow();
  await fetch(`http://${LOOPBACK}:${place.port}/end`).catch(() => {});
  await expect(ended.page).rejects.toThrow();
  // Where none is any more, that is said there, too.
  await expect((await listen(place, AbortSignal.any([]))).page).rejects.toThrow();
});
