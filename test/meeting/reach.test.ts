import { expect, test, vi } from 'vitest';
import { DropError } from '../../src/errors.ts';
import { reach } from '../../src/meeting/reach.ts';
import { openSelf } from '../../src/meeting/self.ts';
import type { Line, Porch } from '../../src/net/porch.ts';
import type { Connection } from '../../src/net/tls.ts';
import { Channel } from '../../src/transfer/channel.ts';
import { TempFolder } from '../support/home.ts';
import { cable } from '../support/memory.ts';

vi.mock(import('../../src/net/tls.ts'), async (original) => ({
  ...(await original()),
  dial: () => Promise.reject(new DropError('unreachable')),
}));

const NOBODY = { host: '192.0.2.1', port: 9 };

/** Bob dials an address at which nobody takes connections; `heard`: somebody has heard him knock. */
async function dial(heard: boolean, come: () => void, line: Promise<Line>) {
  await using folder = new TempFolder();
  const bob = await openSelf({ home: folder.path, name: 'Bob' });
  const knocks: string[] = [];
  const porch = {
    has: () => false,
    line: () => line,
    knock: async (to: string) => void knocks.push(to),
    stopKnocking: () => {},
    wasHeardBy(hosts: readonly string[]) {
      expect(hosts).toEqual(knocks);
      // Whoever is asked there agrees now.
      come();
      return heard;
    },
  } as unknown as Porch;
  const target = { name: 'there', addresses: [NOBODY] };
  return reach(bob, target, { way: 'send', porch }, new AbortController().signal);
}

test('a person may be asked at an address that has heard us, and nobody where none has', async () => {
  const { left } = cable();
  const connection = { ...left, remote: NOBODY.host, greeting: () => {} } as unknown as Connection;
  const line = { connection, channel: new Channel('chooser', connection) } as unknown as Line;
  let come = (): void => {};
  const coming = new Promise<Line>((resolve) => {
    come = () => setTimeout(resolve, 0, line);
  });
  expect((await dial(true, come, coming)).connection).toBe(connection);
  const never = new Promise<Line>(() => {});
  await expect(dial(false, () => {}, never)).rejects.toMatchObject({ code: 'unreachable' });
});
