import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, statfsSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  type Judged,
  judge,
  type Measurement,
  memory,
  type Run,
  speeds,
  type Target,
} from './figures.ts';
import { now, sleep } from './measured.ts';
import {
  difference,
  logFile,
  type Make,
  MIB,
  million,
  type Payload,
  randomFile,
  tree,
  warm,
} from './payloads.ts';
import {
  COMMAND,
  deliver,
  drop,
  type Kit,
  knows,
  nc,
  type Program,
  rsyncDaemon,
  rsyncOverSsh,
  scp,
  socat,
  tar,
} from './programs.ts';
import { type Ground, type Link, type Place, Stage } from './stage.ts';

export interface Row {
  readonly measure: (name: string, rounds: number, tools: Tools) => Promise<Findings>;
  /** Rounds that are measured, in full and with --quick. */
  readonly full: number;
  readonly quick: number;
  /** It takes so long that it is only measured when asked for. */
  readonly apart?: boolean;
}

interface Tools {
  readonly kit: Kit;
  readonly ground: Ground;
  /** Aborted when somebody has had enough. */
  readonly signal: AbortSignal;
}

export interface Findings {
  readonly measurement: Measurement;
  readonly judged: readonly Judged[];
}

/** Programs that bring the same to the other host, in turn. */
interface Contest {
  readonly title: string;
  readonly payload: Make;
  readonly place: Place;
  readonly link?: Link;
  /** The first one is drop. */
  readonly programs: (kit: Kit) => readonly Program[];
  readonly targets?: readonly Target[];
}

const AES = ['-c', 'aes128-gcm@openssh.com'];
const ALWAYS_FSYNC = ['--fsync'];
const AUTO = ['--compress', 'auto'];
const NEVER = ['--compress', 'never'];

export const ROWS: Readonly<Record<string, Row>> = {
  large: {
    measure: contest({
      title: '512 MiB, in memory',
      payload: randomFile(512 * MIB),
      place: 'memory',
      programs: (kit) => [
        drop(kit),
        nc(),
        rsyncDaemon(kit),
        socat(kit),
        scp(kit, ...AES),
        scp(kit),
        rsyncOverSsh(kit),
      ],
      targets: [
        { against: 'scp', least: 1.7, aim: 2.5 },
        { against: `scp ${AES.join(' ')}`, least: 1.2, aim: 1.8 },
        { against: 'nc', least: 0.3, aim: 0.47 },
        { against: 'socat TLS 1.3', least: 0.45, aim: 0.7 },
      ],
    }),
    full: 9,
    quick: 3,
  },
  small: {
    measure: contest({
      title: '10,000 x 4 KiB, in memory',
      payload: tree(10_000, 4096, 100),
      place: 'memory',
      programs: (kit) => [
        drop(kit),
        tar(nc()),
        tar(socat(kit)),
        rsyncDaemon(kit),
        rsyncOverSsh(kit),
        scp(kit),
      ],
      targets: [
        { against: 'rsync over ssh', least: 1.5, aim: 2.2 },
        { against: 'tar | nc', least: 0.25, aim: 0.38 },
      ],
    }),
    full: 9,
    quick: 3,
  },
  hundred: {
    measure: contest({
      title: '100 x 1 MiB, in memory',
      payload: tree(100, MIB, 100),
      place: 'memory',
      programs: (kit) => [
        drop(kit),
        tar(nc()),
        tar(socat(kit)),
        rsyncDaemon(kit),
        rsyncOverSsh(kit),
        scp(kit),
      ],
    }),
    full: 7,
    quick: 2,
  },
  'large-disk': {
    measure: contest({
      title: '512 MiB, on a disk',
      payload: randomFile(512 * MIB),
      place: 'disk',
      programs: (kit) => [
        drop(kit),
        nc(),
        socat(kit),
        scp(kit, ...AES),
        rsyncOverSsh(kit),
        rsyncOverSsh(kit, ...ALWAYS_FSYNC),
      ],
    }),
    full: 5,
    quick: 1,
  },
  'small-disk': {
    measure: contest({
      title: '10,000 x 4 KiB, on a disk',
      payload: tree(10_000, 4096, 100),
      place: 'disk',
      programs: (kit) => [
        drop(kit),
        tar(nc()),
        rsyncOverSsh(kit),
        rsyncOverSsh(kit, ...ALWAYS_FSYNC),
      ],
      targets: [{ against: 'rsync --fsync over ssh', least: 1, aim: 2 }],
    }),
    full: 5,
    quick: 1,
  },
  gigabit: {
    measure: contest({
      title: '512 MiB of random bytes at 1 Gbit/s',
      payload: randomFile(512 * MIB),
      place: 'memory',
      link: { rate: '1gbit' },
      programs: (kit) => [...withAndWithout(kit), nc(), scp(kit)],
      targets: [{ against: 'nc', least: 0.95, aim: 0.98 }],
    }),
    full: 7,
    quick: 2,
  },
  'log-100': {
    measure: contest({
      title: '64 MiB of log at 100 Mbit/s',
      payload: logFile(64 * MIB),
      place: 'memory',
      link: { rate: '100mbit' },
      programs: (kit) => [...withAndWithout(kit), nc(), rsyncOverSsh(kit, '-z')],
      targets: [
        {
          program: `drop ${AUTO.join(' ')}`,
          against: `drop ${NEVER.join(' ')}`,
          least: 2.5,
          aim: 3,
        },
      ],
    }),
    full: 5,
    quick: 1,
  },
  'log-1000': {
    measure: contest({
      title: '256 MiB of log at 1 Gbit/s',
      payload: logFile(256 * MIB),
      place: 'memory',
      link: { rate: '1gbit' },
      programs: (kit) => [...withAndWithout(kit), nc(), rsyncOverSsh(kit, '-z')],
    }),
    full: 7,
    quick: 2,
  },
  loss: {
    measure: contest({
      title: '128 MiB at 1 Gbit/s, 1 % lost',
      payload: randomFile(128 * MIB),
      place: 'memory',
      link: { rate: '1gbit', lost: 1 },
      programs: (kit) => [drop(kit), nc(), scp(kit)],
    }),
    full: 7,
    quick: 2,
  },
  start: { measure: start, full: 15, quick: 5 },
  'first-byte': { measure: firstByte, full: 5, quick: 1 },
  million: { measure: aMillion, full: 1, quick: 1, apart: true },
};

/** The rows that --picture shows. */
export const PICTURED = ['large', 'small'];

/** With compression and without; as it is, where it cannot be chosen. */
function withAndWithout(kit: Kit): Program[] {
  return [...(knows('--compress') ? [] : [drop(kit)]), drop(kit, ...AUTO), drop(kit, ...NEVER)];
}

/** MiB that each end of drop may take, whatever is sent. */
const MEMORY = { must: 110, aim: 80 };

/** Lets them run in turn, after a round that only warms up. */
function contest({ title, payload: make, place, link, programs, targets = [] }: Contest) {
  return async (row: string, rounds: number, { kit, ground, signal }: Tools): Promise<Findings> => {
    using stage = new Stage(link);
    const noDisk = place === 'disk' && ground.disk === undefined;
    const all = programs(kit).map((program) => ({
      program,
      why: noDisk ? 'the folder for temporary files is in memory' : program.missing(),
      runs: [] as Run[],
    }));
    const taking = all.filter(({ why }) => why === undefined);
    const payload = make(join(ground.at(place), row));
    try {
      for (let round = -1; round < rounds; round++)
        for (const { program, runs } of taking) {
          signal.throwIfAborted();
          const into = join(ground.at(place), 'into');
          const run = await transfer(program, stage, payload, into);
          if (round >= 0) runs.push(run);
        }
    } finally {
      rmSync(payload.path, { recursive: true });
    }
    const measurement = {
      row,
      title: place === 'disk' && !noDisk ? `${title} (${ground.disk})` : title,
      bytes: payload.bytes,
      programs: taking.map(({ program: { name, encrypted }, runs }) => ({ name, encrypted, runs })),
      without: all.flatMap(({ program: { name }, why }) =>
        why === undefined ? [] : [{ name, why }],
      ),
    };
    return {
      measurement,
      judged: [...speeds(measurement, targets), ...memory(measurement, MEMORY)],
    };
  };
}

/** One transfer into an empty folder, and whether all has arrived. */
async function transfer(
  program: Program,
  stage: Stage,
  payload: Payload,
  into: string,
): Promise<Run> {
  mkdirSync(into);
  try {
    warm(payload, into);
    // What others have left to be written is not to be waited for by this one.
    spawnSync('sync');
    const run = await program.run(stage, payload, into);
    verify(payload, into);
    return run;
  } finally {
    rmSync(into, { recursive: true });
  }
}

function verify({ path }: Payload, into: string): void {
  const wrong = difference(path, join(into, basename(path)));
  if (wrong !== undefined) throw new Error(wrong);
}

/** How long the shortest thing that drop does takes, beside nothing at all. */
async function start(row: string, rounds: number, { signal }: Tools): Promise<Findings> {
  const nothing = { cpu: null, peak: null };
  const all = [
    { name: 'drop --version', args: [COMMAND, '--version'], runs: [] as Run[] },
    { name: 'node -e 0', args: ['-e', '0'], runs: [] as Run[] },
  ] as const;
  for (let round = -1; round < rounds; round++)
    for (const { args, runs } of all) {
      signal.throwIfAborted();
      const before = now();
      const [code] = await once(spawn(process.execPath, args, { stdio: 'ignore' }), 'exit');
      const run = { wall: now() - before, late: 0, sender: nothing, receiver: nothing };
      if (code !== 0) throw new Error(`node ${args.join(' ')} ends with ${code}`);
      if (round >= 0) runs.push(run);
    }
  const [ours, bare] = all;
  const measurement = {
    row,
    title: 'to start',
    bytes: 0,
    programs: all.map(({ name, runs }) => ({ name, encrypted: false, runs })),
    without: [],
  };
  const judged = judge(
    {
      row,
      what: 'drop --version, time of node -e 0',
      unit: 'x',
      bound: 'at most',
      must: 1.3,
      aim: 1.1,
    },
    ours.runs.map(({ wall }, round) => wall / (bare.runs[round]?.wall ?? Number.NaN)),
  );
  return { measurement, judged: [judged] };
}

/** How long a large offer that was accepted keeps the first byte waiting. */
async function firstByte(
  row: string,
  rounds: number,
  { kit, ground, signal }: Tools,
): Promise<Findings> {
  using stage = new Stage();
  const payload = tree(100_000, 100, 1000)(join(ground.at('memory'), row));
  const into = join(ground.at('memory'), 'into');
  const runs: Run[] = [];
  const waits: number[] = [];
  await kit.pair(stage);
  try {
    for (let round = -1; round < rounds; round++) {
      signal.throwIfAborted();
      mkdirSync(into);
      const first = new FirstByte();
      const run = await deliver(kit, stage, payload.path, into, {
        options: ['--json'],
        onOutput: (text) => first.hear(text),
      });
      verify(payload, into);
      rmSync(into, { recursive: true });
      if (round < 0) continue;
      runs.push(run);
      waits.push(first.waited);
    }
  } finally {
    for (const path of [payload.path, into]) rmSync(path, { recursive: true, force: true });
  }
  const measurement = {
    row,
    title: '100,000 x 100 bytes, in memory',
    bytes: payload.bytes,
    programs: [{ name: 'drop --json', encrypted: true, runs }],
    without: [],
  };
  const wait = judge(
    {
      row,
      what: 'from acceptance to the first byte',
      unit: 's',
      bound: 'at most',
      must: 0.5,
      aim: 0.1,
    },
    waits,
  );
  return { measurement, judged: [wait, ...memory(measurement, MEMORY)] };
}

/** Hears the events of a sender until the first byte of a file has arrived. */
class FirstByte {
  #accepted: number | undefined;
  #arrived: number | undefined;
  #line = '';

  hear(text: string): void {
    if (this.#arrived !== undefined) return;
    const at = now();
    const lines = (this.#line + text).split('\n');
    this.#line = lines.pop() ?? '';
    for (const line of lines) {
      const told = JSON.parse(line) as { event: string; bytes?: number };
      if (told.event === 'accepted') this.#accepted = at;
      const some = told.event === 'progress' && (told.bytes ?? 0) > 0;
      if (some || told.event === 'saved') this.#arrived ??= at;
    }
  }

  get waited(): number {
    if (this.#accepted === undefined || this.#arrived === undefined)
      throw new Error('drop send never told that its offer was accepted and something saved');
    return this.#arrived - this.#accepted;
  }
}

/** Whether drop gets slower or larger with the count of files. */
async function aMillion(
  row: string,
  rounds: number,
  { kit, ground, signal }: Tools,
): Promise<Findings> {
  using stage = new Stage();
  const payload = million(join(ground.at('memory'), row));
  const into = join(ground.at('memory'), 'into');
  const runs: Run[] = [];
  const rates: number[][] = [];
  await kit.pair(stage);
  try {
    for (let round = 0; round < rounds; round++) {
      signal.throwIfAborted();
      mkdirSync(into);
      const milestones = new Milestones(ground.at('memory'), 100_000);
      const watching = milestones.watch();
      runs.push(await deliver(kit, stage, payload.path, into, {}));
      milestones.stop();
      await watching;
      process.stderr.write(`files a second, of each 100,000: ${milestones.rates.join(' ')}\n`);
      verify(payload, into);
      rmSync(into, { recursive: true });
      rates.push(milestones.rates);
    }
  } finally {
    for (const path of [payload.path, into]) rmSync(path, { recursive: true, force: true });
  }
  const measurement = {
    row,
    title: '1,000,000 files, in memory',
    bytes: payload.bytes,
    programs: [{ name: 'drop', encrypted: true, runs }],
    without: [],
    notes: rates.map((each) => `Files a second, of each 100,000: ${each.join(' ')}.`),
  };
  const steady = judge(
    {
      row,
      what: 'files a second, the second half beside the first',
      unit: 'x',
      bound: 'at least',
      must: 0.8,
      aim: 0.95,
    },
    rates.map((each) => {
      const half = Math.floor(each.length / 2);
      // Of as many files each, the time is what counts: rates have no other mean.
      const time = (some: readonly number[]) => some.reduce((sum, rate) => sum + 1 / rate, 0);
      return time(each.slice(0, half)) / time(each.slice(-half));
    }),
  );
  return { measurement, judged: [steady, ...memory(measurement, MEMORY)] };
}

/** Looks when there are so many more files in a file system, without looking into its folders. */
class Milestones {
  readonly rates: number[] = [];
  readonly #path: string;
  readonly #step: number;
  #stopped = false;

  constructor(path: string, step: number) {
    this.#path = path;
    this.#step = step;
  }

  async watch(): Promise<void> {
    const before = this.#used();
    let last: number | undefined;
    for (;;) {
      const made = this.#used() - before;
      // The clock starts with the first of them.
      if (made > 0) last ??= now();
      if (last !== undefined && made >= (this.rates.length + 1) * this.#step) {
        this.rates.push(Math.round(this.#step / (now() - last)));
        last = now();
      }
      if (this.#stopped) return;
      await sleep(50);
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  #used(): number {
    const { files, ffree } = statfsSync(this.#path);
    return files - ffree;
  }
}
