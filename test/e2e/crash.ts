import { cpSync, lstatSync, readdirSync } from 'node:fs';
import { mkdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Drop, drop } from '../support/bin.ts';
import { content } from '../support/content.ts';
import {
  hasty,
  loose,
  type Moment,
  type Note,
  notesOf,
  unrecorded,
  watched,
} from '../support/crash.ts';
import { Home, TempFolder } from '../support/home.ts';
import { freePort } from '../support/ports.ts';
import { treeDifferences } from '../support/tree.ts';

/** Files and links by their paths, and folders, whose paths end with a slash. */
type Tree = Readonly<Record<string, File | Link | Folder>>;
interface File {
  readonly of: string;
  readonly size: number;
  readonly mode?: number;
  /** In ms since 1970. */
  readonly time?: number;
}
interface Link {
  readonly link: string;
}
interface Folder {
  readonly time?: number;
}

/** What Bob sends, and what is there at Ana's. */
export interface Scene {
  readonly args?: readonly string[];
  readonly there: Tree;
  /** No two files are of the same size, by which their parts are called in the log. */
  readonly sent: Tree;
  /** Where something lands, if not under the name that it was offered under. */
  readonly lands?: Readonly<Record<string, string>>;
  /** Where an earlier receiver ended already. */
  readonly earlier?: Moment;
}

const KiB = 1024;

/** New names, a taken one, one that is unchanged, folders that are merged and that are made. */
export const BESIDE: Scene = {
  sent: {
    large: { of: 'large', size: 2600 * KiB + 1 },
    'taken.txt': { of: 'taken', size: 300 * KiB },
    'album/': {},
    'album/here.jpg': { of: 'here', size: 1500 },
    'album/new.jpg': { of: 'new', size: 1600 },
    'album/deep/': { time: 1_000_000_000_000 },
    'album/deep/inner.jpg': { of: 'inner', size: 1700 },
    'project/': { time: 1_100_000_000_000 },
    'project/.env': { of: 'env', size: 40 },
    'project/.git/': { time: 1_200_000_000_000 },
    'project/.git/config': { of: 'config', size: 50 },
    'project/empty': { of: '', size: 0 },
    'project/run.sh': { of: 'run', size: 60, mode: 0o755, time: 900_000_000_000 },
    'project/sealed': { of: 'sealed', size: 70, mode: 0o444 },
    'project/run': { link: 'run.sh' },
  },
  lands: { 'taken.txt': 'taken (1).txt' },
  there: {
    'hers.txt': { of: 'hers', size: 10 },
    'taken.txt': { of: 'hers', size: 20 },
    'album/': {},
    'album/hers.jpg': { of: 'hers', size: 30 },
    'album/here.jpg': { of: 'here', size: 1500 },
  },
};

/** Names that are taken by files that are to be replaced. */
export const INSTEAD: Scene = {
  args: ['--on-conflict', 'overwrite'],
  sent: {
    large: { of: 'large', size: 1100 * KiB },
    small: { of: 'small', size: 1000 },
    'album/': {},
    'album/run': { of: 'run', size: 1600, mode: 0o755 },
  },
  there: {
    'hers.txt': { of: 'hers', size: 10 },
    large: { of: 'older large', size: 1200 * KiB },
    small: { of: 'older small', size: 1000, time: 900_000_000_000 },
    'album/': {},
    'album/run': { of: 'older run', size: 20 },
  },
};

/** A receiver ended already, in the midst of a part. */
export const RESUMED: Scene = {
  sent: { large: { of: 'large', size: 2600 * KiB } },
  there: {},
  earlier: { step: `write into/.drop/part of ${2600 * KiB}`, nth: 2, when: 'amid' },
};

/** A receiver ended already, when a part was whole and had no name yet. */
export const WHOLE: Scene = {
  sent: { sealed: { of: 'sealed', size: 1200 * KiB, mode: 0o444, time: 900_000_000_000 } },
  there: {},
  earlier: {
    step: `link into/.drop/part of ${1200 * KiB} -> into/sealed`,
    nth: 1,
    when: 'before',
  },
};

/** What came of it. */
export interface Run {
  /** Whether the moment came at which something was to end. */
  readonly ended: boolean;
  readonly complaints: readonly string[];
  /** What the first receiver did. */
  readonly notes: readonly Note[];
}

/** Whether the sender of the first receiver goes on, or another one begins anew. */
export type Sender = 'goes on' | 'begins anew';

/** Ana and Bob, who know each other: whatever they do in a run, they do with copies of their keys. */
export class Couple implements AsyncDisposable {
  readonly #ana = new Home();
  readonly #bob = new Home();

  static async pair(): Promise<Couple> {
    const couple = new Couple();
    await couple.#pair();
    return couple;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ana[Symbol.asyncDispose]();
    await this.#bob[Symbol.asyncDispose]();
  }

  /**
   * Receives a scene in a process that ends at this moment, and what is missing in another one.
   * Complains of what is not as it should be there and then, and in the end.
   */
  async receive(scene: Scene, end?: Moment, sender: Sender = 'goes on'): Promise<Run> {
    await using stage = await this.#stage(scene);
    if (scene.earlier !== undefined) {
      const earlier = stage.receive('earlier', scene.earlier);
      await earlier.event('ready');
      stage.send();
      await earlier.outcome();
    }
    const first = stage.receive('first', end);
    if (await says(first, 'ready')) {
      const sending = stage.sending ?? stage.send();
      await Promise.race([first.outcome(), sending.outcome()]);
      // What there is to clear away, it does when the sender has heard that all is complete.
      if (await says(first, 'summary')) await first.stop();
    }
    const { signal, stderr } = await first.outcome();
    const ended = signal === 'SIGKILL';
    if (!ended && signal !== 'SIGINT') throw new Error(`It could not begin: ${stderr}`);
    const notes = stage.notes('first');
    const complaints = [...(await stage.complaintsMeanwhile()), ...unrecorded(notes)];
    complaints.push(...hasty(notes, stage.stored));
    const all = [...notes];
    if (ended) {
      if (sender === 'begins anew') await stage.sending?.stop('SIGKILL');
      const second = stage.receive('second');
      await second.event('ready');
      const sending = (sender === 'goes on' && stage.sending) || stage.send();
      complaints.push(...(await stage.complaintsAbout(sending)));
      const sums = sending.events.find((one) => one.event === 'summary');
      // The first may just have said that all is complete.
      const isMine = ({ transfer }: { transfer: string }) => transfer === sums?.transfer;
      if (!first.events.some((one) => one.event === 'accepted' && isMine(one)))
        await second.event('summary', isMine);
      await second.stop();
      all.push(...stage.notes('second'));
    } else complaints.push(...(await stage.complaintsAbout(stage.sending)));
    complaints.push(...hasty(all, stage.stored), ...loose(all));
    complaints.push(...(await stage.complaintsInTheEnd()));
    return { ended, complaints, notes };
  }

  /** Sends a scene in a process that ends at this moment, and all of it again in another one. */
  async send(scene: Scene, end?: Moment): Promise<Run> {
    await using stage = await this.#stage(scene);
    const receiving = stage.receive('receiver');
    await receiving.event('ready');
    const { signal } = await stage.send('sender', end).outcome();
    const ended = signal === 'SIGKILL';
    const complaints = await stage.complaintsAbout(ended ? stage.send() : stage.sending);
    const sums = await stage.sending?.event('summary');
    await receiving.event('summary', ({ transfer }) => transfer === sums?.transfer);
    await receiving.stop();
    const done = stage.notes('receiver');
    complaints.push(...hasty(done, stage.stored), ...loose(done));
    complaints.push(...(await stage.complaintsInTheEnd()));
    return { ended, complaints, notes: stage.notes('sender') };
  }

  async #pair(): Promise<void> {
    const ana = this.#ana;
    const bob = this.#bob;
    await writeFile(join(bob.path, 'a.txt'), 'a');
    await using receiving = drop(['receive', '--json', '--yes', '--name', 'Ana'], { home: ana });
    const { code, port } = await receiving.event('ready');
    const env = { DROP_CODE: code ?? '' };
    await using sending = drop(['send', '--to', `127.0.0.1:${port}`, 'a.txt'], { home: bob, env });
    const outcome = await sending.outcome();
    if (outcome.code !== 0) throw new Error(outcome.stderr);
    await receiving.stop();
  }

  async #stage(scene: Scene): Promise<Stage> {
    const stage = new Stage(scene, await freePort());
    cpSync(this.#ana.state, stage.ana.state, { recursive: true });
    cpSync(this.#bob.state, stage.bob.state, { recursive: true });
    await stage.set();
    return stage;
  }
}

/** What a story complains of for each of these moments, a few of them at a time. */
export async function complaintsAt(
  moments: readonly Moment[],
  story: (couple: Couple, end: Moment) => Promise<Run>,
): Promise<string[]> {
  const complaints: string[] = [];
  const ahead = moments.values();
  const lane = async (): Promise<void> => {
    // A sender that looks for its Ana must not find the one of another lane.
    await using couple = await Couple.pair();
    for (const end of ahead) {
      let run = await story(couple, end);
      // Which files come together, and so the number of a part, is not always the same.
      for (let i = 1; i < TRIES && !run.ended && run.complaints.length === 0; i++)
        run = await story(couple, end);
      const never = run.ended || mayBeMissed(end) ? [] : ['It never came.'];
      const said = [...run.complaints, ...never];
      const which = `${end.when} ${end.step} (${end.nth})`;
      complaints.push(...said.map((complaint) => `${which}: ${complaint}`));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return complaints;
}

/** As many as keep two processors busy. */
const LANES = 3;

/** How often a moment that does not come is waited for. */
const TRIES = 3;

/** How many files share a sync depends on how fast the disk is; how often we look at the clock, too. */
function mayBeMissed({ step, nth }: Moment): boolean {
  return /^(fsync into|say progress)/.test(step) && nth > 1;
}

/** The homes of Ana and Bob in one run, and what happens there. */
class Stage implements AsyncDisposable {
  readonly ana = new Home();
  readonly bob = new Home();
  readonly #scene: Scene;
  readonly #port: number;
  readonly #receivings: Drop[] = [];
  readonly #sendings: Drop[] = [];
  /** What Ana has before, and what she shall have. */
  readonly #before = new TempFolder();
  readonly #after = new TempFolder();

  constructor(scene: Scene, port: number) {
    this.#scene = scene;
    this.#port = port;
  }

  async set(): Promise<void> {
    const { there, sent, args } = this.#scene;
    const kept = Object.entries(there).filter(([path]) => args === undefined || !(path in sent));
    const landed = Object.entries(sent).map(([path, leaf]) => [this.#landing(path), leaf] as const);
    await plant(this.#before.path, there);
    await plant(this.#after.path, Object.fromEntries([...landed, ...kept]));
    await plant(this.ana.downloads, there);
    await plant(this.#from, sent);
  }

  /** Ana receives, and what she does is noted under this name. */
  receive(name: string, end?: Moment): Drop {
    const { args = [] } = this.#scene;
    const folders = { into: this.ana.downloads, index: this.#index };
    const env = watched({ log: this.#log(name), folders, end });
    const all = ['receive', '--json', '--yes', '--name', 'Ana', '--port', `${this.#port}`, ...args];
    const receiving = drop(all, { home: this.ana, env });
    this.#receivings.push(receiving);
    return receiving;
  }

  /** Bob sends all that he has; what he does is noted if there is a name for it. */
  send(name?: string, end?: Moment): Drop {
    const folders = { from: this.#from };
    const env = name ? watched({ log: this.#log(name), folders, reads: true, end }) : {};
    const args = ['send', '--json', '--to', `127.0.0.1:${this.#port}`, ...this.#roots];
    const sending = drop(args, { home: this.bob, cwd: this.#from, env });
    this.#sendings.push(sending);
    return sending;
  }

  /** The last one who sends. */
  get sending(): Drop | undefined {
    return this.#sendings.at(-1);
  }

  notes(name: string): Note[] {
    return notesOf(this.#log(name));
  }

  /** Where everything lies of which a sender has heard that it is stored. */
  get stored(): string[] {
    return this.#told('saved').map((path) => this.#landing(path));
  }

  /** Whatever has a name is as it was, or as it shall be; whatever is stored is as it shall be. */
  async complaintsMeanwhile(): Promise<string[]> {
    const changed = await treeDifferences(this.#before.path, this.ana.downloads);
    const lacking = await treeDifferences(this.#after.path, this.ana.downloads);
    const { stored } = this;
    return lacking.filter((line) => {
      const path = pathOf(line);
      if (path.startsWith('.drop-') || isFolder(join(this.ana.downloads, path))) return false;
      return stored.includes(path) || changed.some((other) => pathOf(other) === path);
    });
  }

  /** How it ended, and whether what was said in all adds up. */
  async complaintsAbout(sending: Drop | undefined): Promise<string[]> {
    const { code, stderr } = (await sending?.outcome()) ?? {};
    if (code !== 0) return [`sending ended with ${code}: ${stderr}`];
    const complaints: string[] = [];
    const files = Object.entries(this.#scene.sent).flatMap(([path, leaf]) =>
      'of' in leaf ? [{ path, ...leaf }] : [],
    );
    const saved = this.#told('saved');
    if (new Set(saved).size < saved.length) complaints.push(`stored twice: ${saved}`);
    const settled = new Set([...saved, ...this.#told('skipped')]);
    for (const { path } of files)
      if (!settled.has(path)) complaints.push(`nothing was said of ${path}`);
    const sums = await sending?.event('summary');
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    const right = { ok: true, files: files.length, bytes, failed: 0 };
    for (const [name, value] of Object.entries(right))
      if (sums?.[name as keyof typeof right] !== value)
        complaints.push(`the sums are wrong, ${name} is not ${value}: ${JSON.stringify(sums)}`);
    if (sums !== undefined && sums.sent + sums.resumed < bytes)
      complaints.push(`bytes came from nowhere: ${JSON.stringify(sums)}`);
    return complaints;
  }

  /** All is there, nothing twice, and nothing else. */
  async complaintsInTheEnd(): Promise<string[]> {
    const found = await treeDifferences(this.#after.path, this.ana.downloads);
    // What is put into a folder that was there changes its time.
    const wrong = found.filter(
      (line) => !(line.includes(': mtime ') && `${pathOf(line)}/` in this.#scene.there),
    );
    return [...wrong, ...readdirSync(this.#index).map((name) => `left in the index: ${name}`)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of [...this.#receivings, ...this.#sendings, this.ana, this.bob])
      await one[Symbol.asyncDispose]();
    for (const folder of [this.#before, this.#after]) await folder[Symbol.asyncDispose]();
  }

  get #from(): string {
    return join(this.bob.path, 'from');
  }

  get #index(): string {
    return join(this.ana.state, 'staging');
  }

  get #roots(): string[] {
    const roots = Object.keys(this.#scene.sent).map((path) => path.split('/')[0] ?? '');
    return [...new Set(roots)];
  }

  #log(name: string): string {
    return join(this.ana.path, `${name}.log`);
  }

  #landing(path: string): string {
    return this.#scene.lands?.[path] ?? path;
  }

  /** The paths that events of this name were about. */
  #told(name: 'saved' | 'skipped'): string[] {
    const events = this.#sendings.flatMap((sending) => sending.events);
    return events.flatMap((one) => (one.event === name ? [one.path] : []));
  }
}

async function plant(folder: string, tree: Tree): Promise<void> {
  const leaves = Object.entries(tree).map(([path, leaf]) => ({ at: join(folder, path), leaf }));
  for (const { at, leaf } of leaves) {
    const isFile = 'of' in leaf;
    await mkdir(isFile || 'link' in leaf ? dirname(at) : at, { recursive: true });
    if ('link' in leaf) await symlink(leaf.link, at);
    if (isFile) await writeFile(at, content(leaf.of, leaf.size), { mode: leaf.mode });
  }
  // Last, as a folder's time changes with what is put into it.
  for (const { at, leaf } of leaves) {
    if ('link' in leaf) continue;
    const time = new Date(leaf.time ?? LONG_AGO);
    await utimes(at, time, time);
  }
}

const LONG_AGO = 1_400_000_000_123;

/** The path that a line of differences is about. */
function pathOf(line: string): string {
  return JSON.parse(/^"(?:[^"\\]|\\.)*"/.exec(line)?.[0] ?? '""');
}

function isFolder(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Whether a process comes to say this before it ends. */
function says(process: Drop, name: 'ready' | 'summary'): Promise<boolean> {
  return process.event(name).then(
    () => true,
    () => false,
  );
}
