import { expect, test } from 'vitest';
import { main } from '../../src/cli/main.ts';
import type { CheckEvent, Diagnosis, DoctorOptions } from '../../src/index.ts';
import { fakeIo, fakeLibrary, HOSTILE, jsonLines, STEERING } from './fake.ts';

const CHECKS: readonly CheckEvent[] = [
  { event: 'check', name: 'clock', ok: true, level: 'ok', message: 'The clock is right.' },
  {
    event: 'check',
    name: 'silent',
    ok: true,
    level: 'warning',
    message: `Silent: ${HOSTILE}`,
    fix: 'Run there: drop doctor',
  },
  {
    event: 'check',
    name: 'hear',
    ok: false,
    level: 'failed',
    message: 'Nothing comes in.',
    fix: 'sudo ufw allow 5353/udp',
    interface: 'eth0',
  },
];

const SICK: Diagnosis = { ok: false, failed: ['hear'], message: 'It is ill.', code: 'unreachable' };

async function run(words: string, diagnosis: Diagnosis) {
  const asked: DoctorOptions[] = [];
  const io = fakeIo(
    fakeLibrary({
      async *doctor(options = {}) {
        asked.push(options);
        yield* CHECKS;
        return diagnosis;
      },
    }),
  );
  const end = await main(words.split(' '), io);
  return { end, out: io.said.out(), err: io.said.err(), asked };
}

test('drop doctor says each check in a line, with what mends it beneath, and then the verdict', async () => {
  const { end, out, err } = await run('doctor', SICK);
  expect({ end, out }).toEqual({ end: 3, out: '' });
  expect(err).not.toMatch(STEERING);
  const lines = err.trimEnd().split('\n').slice(1);
  expect(lines[0]).toBe('OK:    The clock is right.');
  expect(lines[1]).toMatch(/^Note: {2}Silent: evil/);
  expect(lines.slice(2)).toEqual([
    '       Run there: drop doctor',
    'Wrong: Nothing comes in.',
    '       sudo ufw allow 5353/udp',
    'It is ill.',
  ]);
});

test('drop doctor -q says only what is wrong', async () => {
  const { err } = await run('doctor -q', SICK);
  expect(err).toBe('Wrong: Nothing comes in.\n       sudo ufw allow 5353/udp\n');
});

test('drop doctor --json prints the checks, and ends with 0 if nothing failed', async () => {
  const { end, out, err, asked } = await run('doctor --json --into in --interface eth0', {
    ok: true,
    failed: [],
    message: 'It is well.',
  });
  expect({ end, err }).toEqual({ end: 0, err: '' });
  expect(jsonLines(out)).toEqual(CHECKS.map((check) => ({ v: 1, ...check })));
  expect(asked).toMatchObject([{ into: 'in', interfaces: ['eth0'] }]);
});
