import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Awake, guardOf, Vigil } from '../../src/handover/awake.ts';
import type { Report } from '../../src/transfer/report.ts';
import { TempFolder } from '../support/home.ts';
import { finished, PATIENCE } from '../support/process.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

/** Writes down when it begins and ends, and runs the command that it is given, as the real one does. */
const RECORDS = `#!/bin/sh
trap exit TERM
trap 'echo "ended $$" >> "$0.log"' EXIT
echo "\${DROP_CODE-no code} and \${DROP_PIN-no PIN}" > "$0.knows"
echo "began $$ $*" >> "$0.log"
shift 4
"$@"
`;

/** As where nothing listens on the bus. */
const FAILS = `#!/bin/sh
echo "failed $$" >> "$0.log"
echo 'Failed to connect to bus' >&2
exit 1
`;

/** A folder for PATH with a `systemd-inhibit` of our own. */
class Guards extends TempFolder {
  constructor(script: string) {
    super();
    const program = join(this.path, 'systemd-inhibit');
    writeFileSync(program, script);
    chmodSync(program, 0o755);
  }

  get PATH(): string {
    return `${this.path}${delimiter}${process.env.PATH}`;
  }

  get log(): string[] {
    const path = join(this.path, 'systemd-inhibit.log');
    return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : [];
  }

  /** The guards that began, ended or failed, once there are so many. */
  until(what: 'began' | 'ended' | 'failed', count = 1): Promise<number[]> {
    return vi.waitFor(
      () => {
        const pids = this.log.flatMap((line) => {
          const [word, pid] = line.split(' ');
          return word === what ? [Number(pid)] : [];
        });
        expect(pids).toHaveLength(count);
        return pids;
      },
      { timeout: PATIENCE, interval: 20 },
    );
  }
}

const linux = { platform: 'linux', after: 1 } as const;

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('the machine is kept awake', () => {
  test('until it is released: then it may sleep at once, and nothing is left', async () => {
    await using guards = new Guards(RECORDS);
    vi.stubEnv('PATH', guards.PATH);
    vi.stubEnv('DROP_CODE', '123456');
    vi.stubEnv('DROP_PIN', '12345678');
    const release = new Awake(linux).hold();
    const [pid = 0] = await guards.until('began');
    expect(guards.log).toEqual([
      `began ${pid} --what=idle:sleep --who=drop --why=Files are on their way --mode=block cat`,
    ]);
    const knows = readFileSync(join(guards.path, 'systemd-inhibit.knows'), 'utf8');
    expect(knows).toBe('no code and no PIN\n');
    release();
    await guards.until('ended');
    // Nobody waits for it any more, not even as a zombie.
    await expect.poll(() => isRunning(pid)).toBe(false);
  });

  test('by one guard, as long as anybody holds it', async () => {
    await using guards = new Guards(RECORDS);
    vi.stubEnv('PATH', guards.PATH);
    const awake = new Awake(linux);
    const [first, second] = [awake.hold(), awake.hold()];
    await guards.until('began');
    first();
    first();
    const third = awake.hold();
    second();
    expect(guards.log).toHaveLength(1);
    third();
    await guards.until('ended');
    const again = awake.hold();
    await guards.until('began', 2);
    again();
    await guards.until('ended', 2);
  });

  test('not for what is over in a moment', async () => {
    await using guards = new Guards(RECORDS);
    vi.stubEnv('PATH', guards.PATH);
    const awake = new Awake(linux);
    for (let n = 0; n < 1000; n++) awake.hold()();
    const release = awake.hold();
    await guards.until('began');
    release();
    await guards.until('ended');
  });
});

test('a transfer holds it from its first bytes on, and not while anybody lets it rest', () => {
  const awake = new Awake(linux);
  let held = 0;
  awake.hold = () => {
    held += 1;
    return () => {
      held -= 1;
    };
  };
  const vigil = new Vigil(awake);
  const moved: Report = { type: 'moved', bytes: 1, wire: 1 };
  const after = (...reports: Report[]): number => {
    for (const report of reports) vigil.hear(report);
    return held;
  };
  expect(after({ type: 'accepted', transfer: '' })).toBe(0);
  expect(after(moved, moved)).toBe(1);
  // What was on its way still comes.
  expect(after({ type: 'paused', by: 'there' }, moved)).toBe(0);
  expect(after({ type: 'paused', by: 'here' }, { type: 'resumed', by: 'there' }, moved)).toBe(0);
  expect(after({ type: 'resumed', by: 'here' })).toBe(0);
  expect(after(moved)).toBe(1);
  vigil.end();
  expect(held).toBe(0);
});

describe('a program that keeps the machine awake', () => {
  /** Runs `script` in a process of its own, in which `awake` is held. */
  function holding(PATH: string, script: string): ChildProcess {
    const awake = new URL('../../dist/handover/awake.js', import.meta.url);
    const start = `import { Awake } from '${awake}'; new Awake({ platform: 'linux', after: 1 }).hold();`;
    return spawn(process.execPath, ['--input-type=module', '-e', `${start}${script}`], {
      env: { PATH },
      timeout: PATIENCE,
    });
  }

  /** As long as a guard takes to begin, and longer. */
  const FOR_A_WHILE = 'setTimeout(() => {}, 1500)';

  test('may be killed: the guard ends with it', async () => {
    await using guards = new Guards(RECORDS);
    const child = holding(guards.PATH, 'setInterval(() => {}, 1000)');
    await guards.until('began');
    child.kill('SIGKILL');
    await guards.until('ended');
  });

  test('ends when it has nothing else to do, and the guard with it', async () => {
    await using guards = new Guards(RECORDS);
    expect(await finished(holding(guards.PATH, FOR_A_WHILE))).toMatchObject({ code: 0 });
    await guards.until('ended');
  });

  test('goes on where there is no guard, and says nothing', async () => {
    await using nothing = new TempFolder();
    const outcome = await finished(holding(nothing.path, FOR_A_WHILE));
    expect(outcome).toEqual({ code: 0, signal: null, stdout: '', stderr: '' });
  });

  test('goes on where the guard fails, and says nothing', async () => {
    await using guards = new Guards(FAILS);
    const outcome = await finished(holding(guards.PATH, FOR_A_WHILE));
    expect(outcome).toEqual({ code: 0, signal: null, stdout: '', stderr: '' });
    await guards.until('failed');
  });
});

test.each([
  ['linux', 'systemd-inhibit', ['--mode=block', 'cat']],
  ['darwin', '/usr/bin/caffeinate', ['-w', '42']],
  [
    'win32',
    'D:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe',
    ['-Command', expect.stringMatching(/^[^\n]*SetThreadExecutionState[^\n]*ReadToEnd\(\)$/)],
  ],
] as const)('on %s it is %s', (platform, program, end) => {
  const [name, ...args] = guardOf(platform, 42, { SystemRoot: 'D:\\Windows' }) ?? [];
  expect(name).toBe(program);
  expect(args.slice(-2)).toEqual(end);
});

test('elsewhere nothing is known that would keep it awake', () => {
  expect(guardOf('freebsd', 42, {})).toBeUndefined();
});
