import { describe, expect, test } from 'vitest';
import type { Library } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';
import type { Arrival } from '../../src/index.ts';
import { BOB, fakeIo, fakeLibrary, HOSTILE, idOf, jsonLines, STEERING } from './fake.ts';

const ARRIVAL: Arrival = {
  at: new Date(2026, 10, 2, 9, 5).toISOString(),
  transfer: '1'.repeat(32),
  peer: BOB,
  ok: true,
  files: 1,
  bytes: 2_100_000,
  roots: ['report.pdf'],
  into: '/in',
};
const ALL: readonly Arrival[] = [
  ARRIVAL,
  { ...ARRIVAL, ok: false, code: 'disk-full', files: 12, roots: ['a', 'b', 'c'] },
  { ...ARRIVAL, files: 0, bytes: 0, roots: [] },
];

async function drop(line: string, parts: Partial<Library> = {}) {
  const io = fakeIo(fakeLibrary({ history: async () => [...ALL], ...parts }));
  const end = await main(line.split(' '), io);
  return { end, out: io.said.out(), err: io.said.err() };
}

describe('drop history', () => {
  test('prints a table, the latest last', async () => {
    const { end, out, err } = await drop('history');
    expect({ end, err }).toEqual({ end: 0, err: '' });
    expect(out.split('\n')).toEqual([
      'WHEN              FROM  HOW MUCH                      WHAT        WHERE',
      '2026-11-02 09:05  Bob   1 file, 2.1 MB                report.pdf  /in',
      '2026-11-02 09:05  Bob   12 files, 2.1 MB, incomplete  a and more  /in',
      '2026-11-02 09:05  Bob   0 files, 0 B                  -           /in',
      '',
    ]);
  });

  test('of two names prints both', async () => {
    const { out } = await drop('history', {
      history: async () => [{ ...ARRIVAL, roots: ['a', 'b'] }],
    });
    expect(out).toContain('  a and b  ');
  });

  test('of long names prints what leaves room for the rest', async () => {
    const [wide, long] = ['漢'.repeat(60), 'n'.repeat(60)];
    const { out } = await drop('history', {
      history: async () => [
        { ...ARRIVAL, roots: [wide] },
        { ...ARRIVAL, roots: [long, long] },
      ],
    });
    expect(out).toContain(`  ${'漢'.repeat(19)}…`);
    expect(out).not.toContain('漢'.repeat(20));
    expect(out).toContain(`  ${'n'.repeat(39)}… and more  /in\n`);
  });

  test('prints the last ones only, if asked', async () => {
    const { out } = await drop('history -n 1');
    expect(out).toContain('0 files');
    expect(out).not.toContain('report.pdf');
    expect((await drop('history -n 9')).out).toContain('report.pdf');
  });

  test('prints all that is known for scripts', async () => {
    const { out, err } = await drop('history --json -n 2');
    expect(jsonLines(out)).toEqual(
      ALL.slice(1).map((arrival) => ({ v: 1, event: 'arrived', ...arrival })),
    );
    expect(err).toBe('');
  });

  test('says so if there is nothing', async () => {
    const none = { history: async () => [] };
    expect(await drop('history', none)).toMatchObject({
      ...{ end: 0, out: '', err: 'Nothing has arrived yet, as far as is written down.\n' },
    });
    expect(await drop('history --json', none)).toEqual({ end: 0, out: '', err: '' });
  });

  test('shows names that cannot steer the terminal', async () => {
    const hostile = { ...ARRIVAL, roots: [HOSTILE], into: `/${HOSTILE}` };
    const peer = { name: HOSTILE, id: idOf('e') };
    for (const how of ['', ' --json']) {
      const { out } = await drop(`history${how}`, { history: async () => [{ ...hostile, peer }] });
      expect(out).not.toMatch(STEERING);
      expect(out.split('\n')).toHaveLength(how === '' ? 3 : 2);
    }
  });

  test('is cleared', async () => {
    let cleared = 0;
    const clearHistory = async (): Promise<void> => {
      cleared += 1;
    };
    const { end, out, err } = await drop('history --clear', { clearHistory });
    expect({ end, out, cleared }).toEqual({ end: 0, out: '', cleared: 1 });
    expect(err).toContain('The history is empty now.');
  });
});
