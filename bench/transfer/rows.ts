import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Measurement, Run, Target } from './figures.ts';
import { difference, type Make, MIB, type Payload, randomFile, tree, warm } from './payloads.ts';
import {
  drop,
  type Kit,
  nc,
  type Program,
  rsyncDaemon,
  rsyncOverSsh,
  scp,
  socat,
  tar,
} from './programs.ts';
import { type Ground, type Link, type Place, Stage } from './stage.ts';

/** Programs that bring the same to the other host, in turn. */
export interface Row {
  readonly title: string;
  readonly payload: Make;
  readonly place: Place;
  readonly link?: Link;
  /** The first one is drop. */
  readonly programs: (kit: Kit) => readonly Program[];
  readonly targets?: readonly Target[];
  /** Rounds that are measured, in full and with --quick. */
  readonly full: number;
  readonly quick: number;
}

const AES = ['-c', 'aes128-gcm@openssh.com'];

export const ROWS: Readonly<Record<string, Row>> = {
  large: {
    title: '512 MiB',
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
      target('scp', 1.7, 2.5),
      target(`scp ${AES.join(' ')}`, 1.2, 1.8),
      target('nc', 0.3, 0.47),
      target('socat TLS 1.3', 0.45, 0.7),
    ],
    full: 9,
    quick: 3,
  },
  small: {
    title: '10,000 x 4 KiB',
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
    targets: [target('rsync over ssh', 1.5, 2.2), target('tar | nc', 0.25, 0.38)],
    full: 9,
    quick: 3,
  },
};

/** MiB that each end of drop may take, whatever is sent. */
export const MEMORY = { must: 110, aim: 80 };

function target(against: string, least: number, aim: number, program = 'drop'): Target {
  return { program, against, least, aim };
}

/** Lets them run in turn, after a round that only warms up. */
export async function measure(
  name: string,
  { title, payload: make, place, link, programs, targets = [] }: Row,
  rounds: number,
  kit: Kit,
  ground: Ground,
): Promise<Measurement> {
  using stage = new Stage(link);
  const all = programs(kit).map((program) => ({
    program,
    why: program.missing(),
    runs: [] as Run[],
  }));
  const taking = all.filter(({ why }) => why === undefined);
  const payload = make(join(ground.at(place), name));
  try {
    for (let round = -1; round < rounds; round++)
      for (const { program, runs } of taking) {
        const run = await transfer(program, stage, payload, join(ground.at(place), 'into'));
        if (round >= 0) runs.push(run);
      }
  } finally {
    rmSync(payload.path, { recursive: true });
  }
  return {
    row: name,
    title,
    bytes: payload.bytes,
    programs: taking.map(({ program: { name, encrypted }, runs }) => ({ name, encrypted, runs })),
    without: all.flatMap(({ program, why }) =>
      why === undefined ? [] : [{ name: program.name, why }],
    ),
    targets,
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
    const wrong = difference(payload.path, join(into, basename(payload.path)));
    if (wrong !== undefined) throw new Error(`${program.name}: ${wrong}`);
    return run;
  } finally {
    rmSync(into, { recursive: true });
  }
}
