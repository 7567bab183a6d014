import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Disk } from '../../lab/disk.ts';
import type { Host, Lab } from '../../lab/hosts.ts';
import { type Drop, drop } from '../../support/bin.ts';
import { Home } from '../../support/home.ts';
import { Onlooker } from '../../support/onlooker.ts';
import { Freight, type Problem } from './cargo.ts';
import type { Figures } from './figures.ts';
import { type Fault, LANES, type LaneName, plan } from './plan.ts';

/** Something that must not happen, and all that was noted of the round in which it did. */
export class Mishap extends Error {}

/** A sender and a receiver, each with a computer, to whom the faults of one lane happen. */
export class Lane implements AsyncDisposable {
  readonly #name: LaneName;
  readonly #seed: number;
  readonly #figures: Figures;
  readonly #lab: Lab;
  readonly #hosts: { readonly sender: Host; readonly receiver: Host };
  readonly #bob = new Home();
  readonly #ana = new Home();
  readonly #disk: Disk;
  #receiving: Drop | undefined;
  #sending: Drop | undefined;
  #identity = '';
  #code = '';
  #addresses = 0;
  /** Faults that were begun, and whether one is there now. */
  #struck = 0;
  #striking = false;
  /** What happened in this round. */
  #log: string[] = [];
  #began = 0;

  constructor(name: LaneName, lab: Lab, seed: number, figures: Figures) {
    this.#name = name;
    this.#seed = seed;
    this.#figures = figures;
    this.#lab = lab;
    this.#hosts = { sender: this.#host('b'), receiver: this.#host('a') };
    this.#disk = new Disk(join(this.#ana.path, 'disk'), DISK);
  }

  /** Sends what the plan has for this round, through all that it has in store, until it is there. */
  async round(number: number): Promise<void> {
    const round = plan(this.#seed, this.#name, number);
    this.#log = [];
    this.#began = performance.now();
    try {
      if (this.#receiving === undefined) {
        await this.#receive();
        await this.#pair();
      }
      // Not before: what came with the pairing was removed again.
      using onlooker = new Onlooker(this.#disk.folder, LOOK_EVERY);
      this.#hosts.sender.limit('lan', `${round.mbit}mbit`);
      const freight = new Freight(round.cargo, `round ${number}`, this.#bob.path);
      await freight.make();
      await this.#deliver(freight, round.faults, onlooker);
      this.#figures.delivered(round.cargo.kind);
      if (round.cargo.kind === 'folder' && round.changed > 0) {
        await freight.change(round.changed);
        await this.#deliver(freight, round.faultsAgain, onlooker);
        this.#figures.delivered('folder again');
      }
      await this.#checkReceiver();
      onlooker[Symbol.dispose]();
      await rm(join(this.#disk.folder, freight.name), { recursive: true });
      await freight.remove();
      const seconds = Math.round((performance.now() - this.#began) / 1000);
      const happened = this.#log.filter((line) => line.includes('! ')).length;
      console.log(
        `${this.#name} ${number}: ${describe(round.cargo)}, ${happened} faults, ${seconds} s`,
      );
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const command = `npm run soak -- --seed ${this.#seed} --round ${number}`;
      throw new Mishap(
        [
          `${this.#name}, round ${number} of seed ${this.#seed}: ${reason}`,
          `again: ${command}`,
          `plan: ${JSON.stringify(round)}`,
          ...this.#log,
          `sender: ${lastEvents(this.#sending)}`,
          `receiver: ${lastEvents(this.#receiving)}`,
        ].join('\n'),
        { cause: error },
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of [this.#sending, this.#receiving]) await process?.[Symbol.asyncDispose]();
    this.#disk[Symbol.dispose]();
    await this.#ana[Symbol.asyncDispose]();
    await this.#bob[Symbol.asyncDispose]();
  }

  /** Runs the same command until it ends with 0, while the faults come one after the other. */
  async #deliver(freight: Freight, faults: readonly Fault[], onlooker: Onlooker): Promise<void> {
    const { sender } = this.#hosts;
    const before = sender.traffic('lan').sent;
    let over = false;
    const striking = this.#strikeAll(faults, freight.bytes, () => over);
    striking.catch(() => {}); // It is awaited below.
    try {
      for (let runs = 1; !(await this.#run(freight)); runs++) {
        if (runs === MAX_RUNS) throw new Error(`it did not arrive in ${MAX_RUNS} runs`);
        await sleep(BETWEEN_RUNS);
      }
    } finally {
      over = true;
      await striking;
    }
    this.#figures.carried(freight, sender.traffic('lan').sent - before);
    await this.#check(freight, onlooker);
  }

  /** Runs the command once. Returns whether all was delivered. */
  async #run(freight: Freight): Promise<boolean> {
    const struck = this.#striking ? this.#struck - 1 : this.#struck;
    this.#figures.runs += 1;
    const args = ['send', '--json', '--to', this.#name, '--wait', '60', ...freight.args];
    const env = { DROP_CODE: this.#code };
    const { input } = freight;
    this.#sending = drop(args, {
      host: this.#hosts.sender,
      home: this.#bob,
      env,
      patience: PATIENCE,
      ...(input === undefined ? {} : { input }),
    });
    this.#note(`runs ${args.join(' ')}`);
    const { code, signal, stderr } = await this.#sending.outcome();
    this.#note(`ended with ${code ?? signal}`);
    for (const event of this.#sending.events)
      if (event.event === 'error') this.#note(`it said: ${event.code} ${event.path ?? ''}`);
    if (code === 0) return true;
    const excused = this.#struck > struck && (code === null || code === 3 || code === 5);
    if (!excused) throw new Error(`the sender ended with ${code ?? signal}: ${stderr}`);
    return false;
  }

  async #strikeAll(faults: readonly Fault[], bytes: number, isOver: () => boolean): Promise<void> {
    for (const fault of faults) {
      if (fault.at === 0) await sleep(fault.ms % 600);
      while (fault.at > this.#share(bytes) && !isOver()) await sleep(10);
      if (isOver()) return;
      this.#note(`! ${fault.what} (${fault.side}, ${fault.ms} ms) at ${this.#share(bytes)}`);
      this.#figures.struck(fault.what);
      this.#struck += 1;
      this.#striking = true;
      await this.#strike(fault);
      this.#striking = false;
      this.#note(`. ${fault.what} is over`);
    }
  }

  /** How much of all bytes is there, for all that the sender knows. */
  #share(bytes: number): number {
    const last = this.#sending?.events.findLast(({ event }) => event === 'progress');
    return last?.event === 'progress' ? last.bytes / bytes : 0;
  }

  async #strike({ what, ms, side, mbit }: Fault): Promise<void> {
    const host = this.#hosts[side];
    const process = side === 'sender' ? this.#sending : this.#receiving;
    switch (what) {
      case 'receiver killed':
      case 'receiver stopped':
        await this.#receiving?.stop(what === 'receiver killed' ? 'SIGKILL' : 'SIGINT');
        await sleep(Math.min(ms, 3000));
        return this.#receive();
      case 'sender killed':
      case 'sender stopped':
        return void (await this.#sending?.stop(what === 'sender killed' ? 'SIGKILL' : 'SIGINT'));
      case 'link down':
        host.unplug('lan');
        await sleep(ms);
        return host.replug('lan');
      case 'connections reset':
        host.reset('meta l4proto tcp');
        await sleep(ms / 4);
        return host.loseNothing();
      case 'receiver shut in':
        return this.#shutIn(ms);
      case 'address changed':
        return this.#address(host);
      case 'rate changed':
        return this.#hosts.sender.limit('lan', `${mbit}mbit`);
      case 'one suspended':
        return suspend(ms, process);
      case 'both suspended':
        return suspend(ms, this.#sending, this.#receiving);
      case 'disk full':
        await this.#disk.fill(ROOM_LEFT);
        await sleep(Math.min(ms, 3000));
        return this.#disk.empty();
      case 'stranger at the door':
        return this.#strange();
    }
  }

  /** What runs is cut off, and from then on nobody can dial the receiver, only it others. */
  async #shutIn(ms: number): Promise<void> {
    const { receiver } = this.#hosts;
    receiver.reset('meta l4proto tcp');
    await sleep(200);
    receiver.loseNothing();
    receiver.lose('meta l4proto tcp ct state new', 10);
    await sleep(ms + 3_000);
    receiver.loseNothing();
  }

  async #receive(): Promise<void> {
    const args = ['receive', '--json', '--yes', '--name', this.#name, '--into', this.#disk.folder];
    const where = { host: this.#hosts.receiver, home: this.#ana };
    this.#receiving = drop(args, { ...where, patience: PATIENCE });
    this.#code = (await this.#receiving.event('ready')).code ?? '';
    const identity = await readFile(join(this.#ana.state, 'identity.pem'), 'utf8');
    this.#identity ||= identity;
    if (this.#identity !== identity) throw new Error('the receiver has another identity');
  }

  /** Before anything strikes: a receiver that starts anew has another code. */
  async #pair(): Promise<void> {
    await writeFile(join(this.#bob.path, 'first'), '');
    await using sending = drop(['send', '--to', this.#name, 'first'], {
      host: this.#hosts.sender,
      home: this.#bob,
      env: { DROP_CODE: this.#code },
      patience: PATIENCE,
    });
    const { code, stderr } = await sending.outcome();
    if (code !== 0) throw new Error(`they did not pair: ${code}: ${stderr}`);
    await rm(join(this.#disk.folder, 'first'));
  }

  /** Somebody who knows no code, and gets nowhere. */
  async #strange(): Promise<void> {
    await using eve = new Home();
    const args = ['send', '--to', this.#name, '--wait', '5', join(this.#bob.path, 'state')];
    await using sending = drop(args, { host: this.#hosts.sender, home: eve, patience: PATIENCE });
    const { code } = await sending.outcome();
    if (code !== 6 && code !== 3) throw new Error(`a stranger ended with ${code}`);
  }

  async #check(freight: Freight, onlooker: Onlooker): Promise<void> {
    const halfMade = onlooker.complaints().map((path): Problem => ({ kind: 'half-made', path }));
    // The last word to the sender comes shortly before the folder is cleared away.
    for (let patience = 50; patience > 0 && this.#stagings().length > 0; patience--)
      await sleep(100);
    const problems = [...halfMade, ...(await freight.problems(this.#disk.folder))];
    this.#figures.found(problems);
    if (problems.length > 0)
      throw new Error(problems.map(({ kind, path }) => `${kind}: ${path}`).join('\n'));
  }

  #stagings(): string[] {
    return readdirSync(this.#disk.folder).filter((name) => name.startsWith('.drop-'));
  }

  async #checkReceiver(): Promise<void> {
    const receiving = this.#receiving as Drop;
    if (!existsSync(`/proc/${receiving.pid}/fd`)) throw new Error('the receiver has ended');
    const bugs = receiving.events.filter((one) => one.event === 'error' && one.code === 'internal');
    if (bugs.length > 0) throw new Error(`the receiver has a bug: ${JSON.stringify(bugs)}`);
    if (this.#name === 'lasting') this.#figures.footprint(footprintOf(receiving.pid));
  }

  #host(role: string): Host {
    const host = this.#lab.host(`${this.#name}-${role}`, { bridge: 'lan', ipv4Only: true });
    this.#address(host);
    return host;
  }

  /** Another one than it has, of a network that all share. */
  #address(host: Host): void {
    this.#addresses += 1;
    const n = this.#addresses * LANES.length + LANES.indexOf(this.#name);
    host.setAddresses('lan', [`10.77.${Math.floor(n / 250)}.${1 + (n % 250)}/16`]);
  }

  #note(what: string): void {
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(2);
    this.#log.push(`${seconds.padStart(7)} ${what}`);
  }
}

const MiB = 1024 * 1024;

/** Bytes of the receiver's disk, enough for all that one round can bring. */
const DISK = 400 * MiB;
const ROOM_LEFT = MiB;

/** ms. All faults of a round, one after the other, and what comes after them. */
const PATIENCE = 240_000;
const BETWEEN_RUNS = 200;
const LOOK_EVERY = 100;

/** A full disk is run into several times. */
const MAX_RUNS = 60;

async function suspend(ms: number, ...processes: (Drop | undefined)[]): Promise<void> {
  for (const process of processes) process?.kill('SIGSTOP');
  await sleep(ms);
  for (const process of processes) process?.kill('SIGCONT');
}

/** KiB in memory, and open files. */
function footprintOf(pid: number): { memory: number; files: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const memory = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
  return { memory, files: readdirSync(`/proc/${pid}/fd`).length };
}

function describe(cargo: ReturnType<typeof plan>['cargo']): string {
  const size = `${Math.round(cargo.size / 1024)} KiB`;
  return cargo.kind === 'folder'
    ? `${cargo.files} files of up to ${size}`
    : `${cargo.kind} of ${size}`;
}

function lastEvents(process: Drop | undefined): string {
  const events = process?.events.filter(({ event }) => !COMMON.has(event)) ?? [];
  const lines = events
    .slice(-20)
    .map(({ v: _, ...event }) => JSON.stringify({ ...event, peer: undefined }));
  return lines.map((line) => `\n  ${line}`).join('');
}

/** Events of which there are too many to be shown. */
const COMMON: ReadonlySet<string> = new Set(['progress', 'saved', 'skipped']);
