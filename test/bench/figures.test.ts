import { describe, expect, test } from 'vitest';
import {
  judge,
  type Measurement,
  memory,
  ratios,
  speeds,
  table,
  targetTable,
} from '../../bench/transfer/figures.ts';
import { measured, runs } from './measured.ts';

describe('ratios', () => {
  test('are those of each round, so that a machine that drifts does not matter', () => {
    // The second round is ten times as slow for both.
    expect(ratios(runs(1, 10), runs(2, 20))).toEqual([2, 2]);
  });

  test('leave out a round that one of them did not see', () => {
    expect(ratios(runs(1, 1, 1), runs(3))).toEqual([3]);
    expect(ratios([], runs(3))).toEqual([]);
  });
});

describe('judge', () => {
  const bound = { row: 'large', what: 'it', must: 2, aim: 3 } as const;

  test('takes the median of ratios', () => {
    const least = { ...bound, unit: 'x', bound: 'at least' } as const;
    expect(judge(least, [9, 1, 2.5])).toMatchObject({ figure: 2.5, met: true, aimed: false });
    expect(judge(least, [9, 1, 1.9])).toMatchObject({ figure: 1.9, met: false, aimed: false });
    expect(judge(least, [3, 3, 3])).toMatchObject({ met: true, aimed: true });
  });

  test('takes the worst of memory', () => {
    const most = { ...bound, unit: 'MiB', bound: 'at most', must: 110, aim: 80 } as const;
    expect(judge(most, [70, 111, 70])).toMatchObject({ figure: 111, met: false, aimed: false });
    expect(judge(most, [70, 110, 70])).toMatchObject({ figure: 110, met: true, aimed: false });
    expect(judge(most, [70, 80])).toMatchObject({ met: true, aimed: true });
  });

  test('knows nothing where nothing was measured', () => {
    const least = { ...bound, unit: 'x', bound: 'at least' } as const;
    expect(judge(least, [])).toMatchObject({ figure: null, met: null, aimed: null });
  });
});

const MEASUREMENT: Measurement = {
  row: 'large',
  title: '1 MB',
  bytes: 1e6,
  programs: [measured('drop', 0.5, 0.5, 1), measured('scp', 1, 1.5, 1), measured('drop -x', 1)],
  without: [{ name: 'nc', why: 'there is no nc' }],
  notes: ['It was cold.'],
};

test('speeds are those of the first program, unless another is named', () => {
  const [first, second, none] = speeds(MEASUREMENT, [
    { against: 'scp', least: 2, aim: 2.5 },
    { program: 'drop -x', against: 'scp', least: 2, aim: 2.5 },
    { against: 'nc', least: 2, aim: 2.5 },
  ]);
  expect(first).toMatchObject({ what: 'drop, speed of scp', values: [2, 3, 1], met: true });
  expect(second).toMatchObject({ what: 'drop -x, speed of scp', values: [1], met: false });
  expect(none).toMatchObject({ what: 'drop, speed of nc', values: [], met: null });
});

test('memory is that of drop with whatever options, and of nobody else', () => {
  const large = (name: string, peak: number) => ({
    ...measured(name),
    runs: runs(1).map((run) => ({
      ...run,
      sender: { cpu: 1, peak },
      receiver: { cpu: 1, peak: null },
    })),
  });
  const programs = [large('drop', 70), large('drop -x', 120), large('scp', 500)];
  const [sender, receiver] = memory({ ...MEASUREMENT, programs }, { must: 110, aim: 80 });
  expect(sender).toMatchObject({ values: [70, 120], figure: 120, met: false });
  expect(receiver).toMatchObject({ values: [], met: null });
});

test('a table shows medians, and how many times as fast the first program was', () => {
  const [head, ...lines] = table(MEASUREMENT).split('\n');
  expect(head).toMatch(/^1 MB, 3 times +seconds +from - to +MB\/s +drop is/);
  expect(lines[0]).toMatch(/^drop +0\.500 +0\.500 - 1\.000 +2 +0\.300 +0\.400 +50 +60$/);
  expect(lines[1]).toMatch(/^scp +1\.000 +1\.000 - 1\.500 +1 +2\.00x +1\.00 - 3\.00 /);
  expect(lines.slice(3)).toEqual(['Without nc: there is no nc.', 'It was cold.']);
});

test('a table says how much later a receiver ended', () => {
  const late = runs(1, 1, 1).map((run, round) => ({ ...run, late: round / 10 }));
  const programs = [{ name: 'drop', encrypted: true, runs: late }];
  expect(table({ ...MEASUREMENT, programs })).toContain(
    '\ndrop: the receiver ended 0.100 s after the sender.\n',
  );
  expect(table(MEASUREMENT)).not.toContain('ended');
});

test('the table of targets says what was met, and what was not measured', () => {
  const [least, none] = speeds(MEASUREMENT, [
    { against: 'scp', least: 2, aim: 2.5 },
    { against: 'nc', least: 2, aim: 2.5 },
  ]);
  const lines = targetTable([least, none].filter((one) => one !== undefined)).split('\n');
  expect(lines[1]).toMatch(
    /^large: drop, speed of scp +2\.00x +1\.00x - 3\.00x +at least 2\.00x +yes +2\.50x +NO$/,
  );
  expect(lines[2]).toMatch(/^large: drop, speed of nc +- +- +at least 2\.00x +- +2\.50x +-$/);
});
