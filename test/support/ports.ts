import { createServer } from 'node:net';

/**
 * A port that nobody listens on, for the one who asks alone: neither one that `drop` takes by
 * itself, nor one that a client gets, nor one that was given to somebody who does not listen yet,
 * or for the moment not.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = AHEAD.next().value;
    const server = createServer();
    const taken = await new Promise((resolve) => {
      server.once('error', resolve);
      server.listen(port, () => resolve(undefined));
    });
    if (taken !== undefined) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** No browser refuses one of them, as Chromium does 10080. */
const [FIRST, COUNT] = [11_000, 9_000];
const AHEAD = ports();

/** From anywhere on, as another process may ask, too. */
function* ports(): Generator<number, never> {
  for (let i = Math.floor(Math.random() * COUNT); ; i++) yield FIRST + (i % COUNT);
}
