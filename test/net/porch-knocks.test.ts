import { expect, test, vi } from 'vitest';
import { openSelf } from '../../src/meeting/self.ts';
import { Porch } from '../../src/net/porch.ts';
import { TempFolder } from '../support/home.ts';

const knocking = vi.hoisted(() => new Set<object>());

vi.mock(import('../../src/net/mdns.ts'), async (original) => ({
  ...(await original()),
  knocker: () => ({
    at() {
      const knock = {};
      knocking.add(knock);
      return () => knocking.delete(knock);
    },
    close: async () => {},
  }),
}));

test('what is called off before it is begun, and asked for again, is one knock', async () => {
  await using folder = new TempFolder();
  const { identity } = await openSelf({ home: folder.path });
  const porch = new Porch(identity, {
    card: { run: 'b0b0b0b0b0b0b0b0', name: 'Bob', part: 'chooser', way: 'send' },
    welcomes: async () => false,
    interfaces: ['lo'],
    ports: [0],
  });
  await porch.open();
  const run = '1'.repeat(16);
  const first = porch.knock(run, 'look');
  porch.stopKnocking(run);
  await Promise.all([first, porch.knock(run, 'look')]);
  expect(knocking.size).toBe(1);
  porch.stopKnocking(run);
  expect(knocking.size).toBe(0);
  await porch.close();
});
