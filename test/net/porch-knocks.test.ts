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
  await using there = await Knocking.begin();
  const { porch } = there;
  const first = porch.knock(RUN, 'look');
  porch.stopKnocking(RUN);
  await Promise.all([first, porch.knock(RUN, 'look')]);
  expect(knocking.size).toBe(1);
  porch.stopKnocking(RUN);
  expect(knocking.size).toBe(0);
});

test('who looks no more knocks no more, but at who was chosen', async () => {
  await using there = await Knocking.begin();
  const { porch } = there;
  await porch.knock(RUN, 'send');
  const [chosen] = knocking;
  for (const run of [RUN, '2'.repeat(16)]) await porch.knock(run, 'look');
  expect(knocking.size).toBe(3);
  porch.stopLooking();
  expect([...knocking]).toEqual([chosen]);
});

const RUN = '1'.repeat(16);

/** A porch that is open. */
class Knocking implements AsyncDisposable {
  readonly #folder: TempFolder;
  readonly porch: Porch;

  private constructor(folder: TempFolder, porch: Porch) {
    this.#folder = folder;
    this.porch = porch;
  }

  static async begin(): Promise<Knocking> {
    const folder = new TempFolder();
    const { identity } = await openSelf({ home: folder.path });
    const porch = new Porch(identity, {
      card: { run: 'b0b0b0b0b0b0b0b0', name: 'Bob', part: 'chooser', way: 'send' },
      welcomes: async () => false,
      interfaces: ['lo'],
      ports: [0],
    });
    await porch.open();
    return new Knocking(folder, porch);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    knocking.clear();
    await this.porch.close();
    await this.#folder[Symbol.asyncDispose]();
  }
}
