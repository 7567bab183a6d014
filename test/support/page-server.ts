import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Answer,
  type Call,
  type Door,
  jsonAnswer,
  openDoor,
  readJson,
} from '../../src/web/door.ts';
import { NOTHING } from '../../src/web/page/window/words.ts';
import type { PageEvent, View } from '../../src/web/window/model.ts';
import { freePort } from './ports.ts';

/** A command that the page has sent. */
export interface Said {
  readonly name: string;
  readonly body: unknown;
}

/**
 * Stands for the server of `drop ui`, behind its real walls: serves the page that was built, shows
 * it whatever view a test likes, and keeps what it says.
 */
export class PageServer implements AsyncDisposable {
  readonly token = 'Kq3v-token-of-a-test';
  readonly said: Said[] = [];
  /** What was brought, by loan and batch. */
  readonly brought = new Map<string, Buffer>();
  /** What the next command of a name is answered with. */
  readonly answers = new Map<string, Answer>();
  readonly #streams = new Set<Stream<PageEvent>>();
  #view: View;
  #door: Door | undefined;
  #port = 0;
  /** What the page lends, by name. */
  loans: string[] = [];
  #loans = 0;
  #pages = 0;
  /** What whoever comes back waits for. */
  #whole: Promise<void> = Promise.resolve();
  #mend = (): void => {};

  private constructor(view: View) {
    this.#view = view;
  }

  static async open(view: Partial<View> = {}): Promise<PageServer> {
    const server = new PageServer({ ...EMPTY, ...view });
    // No client gets it, where it begins again.
    server.#port = await freePort();
    await server.start();
    return server;
  }

  /** What all pages show. */
  get view(): View {
    return this.#view;
  }

  get address(): string {
    return `http://127.0.0.1:${this.#port}/`;
  }

  get link(): string {
    return `${this.address}#${this.token}`;
  }

  /** Begins, or begins again where it was. */
  async start(): Promise<void> {
    this.#door = await openDoor({
      at: '127.0.0.1',
      ports: [this.#port],
      isOurs: (host) => `http://${host}/` === this.address,
      answer: (call) => this.#answer(call),
      onBug: (error) => console.error(error),
    });
  }

  /** Changes what all pages show. */
  change(changes: Partial<View>): void {
    this.#view = { ...this.#view, ...changes };
    this.tell({ event: 'view', ...changes });
  }

  /** Another view altogether. */
  show(view: Partial<View>): void {
    this.change({ ...EMPTY, ...view });
  }

  tell(event: PageEvent): void {
    for (const stream of this.#streams) stream.say(event);
  }

  /** Breaks all connections; the page finds its way back, but not before `mend`. */
  cut(): void {
    this.#whole = new Promise((resolve) => {
      this.#mend = resolve;
    });
    for (const stream of this.#streams) stream.end();
  }

  mend(): void {
    this.#mend();
  }

  /** The next command of a name is answered when what this returns is called. */
  hold(name: string): () => void {
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    async function* body(): AsyncGenerator<Uint8Array> {
      await released;
      yield Buffer.from('{}');
    }
    this.answers.set(name, { status: 200, type: 'application/json', body: body() });
    return release;
  }

  async stop(): Promise<void> {
    this.mend();
    for (const stream of this.#streams) stream.end();
    await this.#door?.close();
    this.#door = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #answer(call: Call): Promise<Answer> {
    const { method, path, headers } = call;
    if (!path.startsWith('/api/')) return await fileOf(path);
    if (headers.authorization !== `Bearer ${this.token}`) return { status: 401 };
    if (path === '/api/events') {
      await this.#whole;
      return this.answers.get('events') ?? this.#stream(call);
    }
    const name = path.slice('/api/'.length);
    if (method === 'PUT') {
      const pieces: Uint8Array[] = [];
      for await (const piece of call.body) pieces.push(piece);
      this.brought.set(name.slice('lend/'.length), Buffer.concat(pieces));
      return jsonAnswer({});
    }
    this.said.push({ name, body: await readJson(call, 1 << 20) });
    const answer = this.answers.get(name);
    this.answers.delete(name);
    if (answer) return answer;
    if (name !== 'lend') return jsonAnswer({});
    this.#loans += 1;
    const loan = `loan-${this.#loans}`;
    this.loans.push(loan);
    return jsonAnswer({ loan });
  }

  #stream({ query, signal }: Call): Answer {
    const stream = new Stream<PageEvent>();
    this.#pages += 1;
    const page = query.get('page') ?? `page-${this.#pages}`;
    stream.say({ event: 'hello', page, version: '0.1.0', loans: this.loans });
    stream.say({ event: 'view', ...this.#view });
    this.#streams.add(stream);
    signal.addEventListener('abort', () => {
      stream.end();
      this.#streams.delete(stream);
    });
    return { status: 200, type: 'application/x-ndjson', body: stream.bytes() };
  }
}

/** Lines that are said while they are read. */
export class Stream<News> {
  #lines: string[] = [];
  #isOver = false;
  #wake: () => void = () => {};

  say(event: News): void {
    this.#lines.push(`${JSON.stringify(event)}\n`);
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async *bytes(): AsyncGenerator<Uint8Array> {
    while (!this.#isOver) {
      const lines = this.#lines;
      this.#lines = [];
      if (lines.length > 0) yield Buffer.from(lines.join(''));
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

async function fileOf(path: string): Promise<Answer> {
  const name = path === '/' ? 'index.html' : path.slice(1);
  const type = TYPES.get(name);
  if (type === undefined) return { status: 404 };
  return { status: 200, type, body: await readFile(join('dist/page', name)) };
}

const TYPES = new Map([
  ['index.html', 'text/html; charset=utf-8'],
  ['style.css', 'text/css; charset=utf-8'],
  ['app.js', 'text/javascript; charset=utf-8'],
  ['icon.svg', 'image/svg+xml'],
]);

const HERE: View['device'] = {
  name: 'mint-box',
  id: '9c41e07a',
  into: '~/Downloads',
  code: '493027',
  locked: false,
  hidden: null,
  addresses: ['192.168.1.5:4040'],
  closed: null,
};

const EMPTY: View = { ...NOTHING, device: HERE };

const ANA = { name: 'Ana’s laptop', id: '3f9a22c1' };
const BOB = { name: 'bob-desktop', id: '81d0c4b7' };

const DEVICES: View['nearby'] = [
  {
    key: 'ana',
    ...ANA,
    standing: 'paired',
    addresses: ['192.168.1.20:4040'],
    shares: false,
  },
  {
    key: 'bob',
    ...BOB,
    standing: 'new',
    addresses: ['192.168.1.31:4040'],
    shares: false,
  },
  {
    key: 'studio',
    name: 'Studio Mac',
    id: '55aa0e19',
    standing: 'paired',
    addresses: ['192.168.1.44:4040'],
    shares: true,
    offer: {
      files: 31,
      texts: 0,
      bytes: 9_120_000,
      sized: true,
      final: true,
      roots: ['photos', 'notes.txt'],
    },
  },
  {
    key: 'other-ana',
    name: 'Ana’s laptop',
    id: 'e7710b3d',
    standing: 'namesake',
    addresses: ['192.168.1.66:4040'],
    shares: false,
  },
  {
    key: 'printer-room',
    name: 'printer-room',
    id: '',
    standing: 'silent',
    addresses: ['192.168.1.90:4040'],
    shares: false,
  },
  {
    key: 'old-pc',
    name: 'old-pc',
    id: '0b11c2d3',
    standing: 'blocked',
    addresses: ['192.168.1.91:4040'],
    shares: false,
  },
];

/** A transfer that is under way. */
export const SENDING: View['transfers'][number] = {
  id: 't1',
  direction: 'out',
  begun: 'here',
  device: ANA,
  what: ['holiday.mp4', 'photos', 'notes.txt'],
  state: 'running',
  bytes: 734_000_000,
  total: 1_900_000_000,
  files: 12,
  ofFiles: 48,
  file: 'photos/2026/IMG_2041.heic',
  rate: 96_400_000,
  left: 12_000,
  resumed: 0,
  can: ['pause', 'cancel'],
  failure: null,
  failed: 0,
  renamed: null,
  leftOut: 0,
};

const TRANSFERS: View['transfers'] = [
  SENDING,
  {
    ...SENDING,
    id: 't2',
    direction: 'in',
    begun: 'there',
    device: BOB,
    what: ['backup.tar'],
    state: 'lost',
    bytes: 210_000_000,
    total: 640_000_000,
    ofFiles: 1,
    file: 'backup.tar',
    resumed: 120_000_000,
    can: ['cancel'],
  },
  {
    ...SENDING,
    id: 't3',
    direction: 'in',
    begun: 'there',
    what: ['report.pdf'],
    state: 'done',
    bytes: 2_100_000,
    total: 2_100_000,
    files: 1,
    ofFiles: 1,
    file: '',
    can: ['open', 'dismiss'],
    renamed: { count: 1, offered: 'report.pdf', name: 'report (1).pdf' },
  },
  {
    ...SENDING,
    id: 't4',
    device: BOB,
    what: ['disk.img'],
    state: 'interrupted',
    bytes: 300_000_000,
    ofFiles: 1,
    can: ['dismiss'],
    failure: { code: 'disconnected', message: 'The page that lent the files was closed.' },
  },
  {
    ...SENDING,
    id: 't5',
    device: BOB,
    what: ['movie.mkv'],
    state: 'failed',
    bytes: 0,
    ofFiles: 1,
    can: ['dismiss'],
    failure: {
      code: 'disk-full',
      message: 'There is not enough room on the other device.',
      hint: 'Free some there, and send it again.',
    },
  },
];

const OFFER = {
  files: 3,
  texts: 0,
  bytes: 1_240_000_000,
  sized: true,
  final: true,
  roots: ['setup.exe', 'holiday.mp4', 'notes.txt'],
};

const CALM: Partial<View> = {
  nearby: DEVICES,
  known: [
    { name: 'Ana’s laptop', id: `3f9a22c1${'0'.repeat(56)}`, trust: 'ask' },
    { name: 'Studio Mac', id: `55aa0e19${'0'.repeat(56)}`, trust: 'auto' },
    { name: 'old-pc', id: `0b11c2d3${'0'.repeat(56)}`, trust: 'blocked' },
  ],
  history: [
    {
      at: '2026-11-28T17:20:00.000Z',
      ok: true,
      from: 'Ana’s laptop',
      files: 31,
      bytes: 9_120_000,
      roots: ['photos'],
      into: '~/Downloads',
    },
    {
      at: '2026-11-27T08:03:00.000Z',
      ok: false,
      from: 'bob-desktop',
      files: 2,
      bytes: 710_000,
      roots: ['a.txt', 'b.txt', 'c.txt'],
      into: '~/Downloads',
    },
  ],
};

/** What the page looks like at its moments. */
export const SCENES = {
  nobody: {
    nobody: {
      message: 'Others are heard on this network, and no drop among them.',
      hint: 'Run drop ui, or drop receive, on the other computer.',
    },
    device: {
      ...HERE,
      hidden: 'Others may not find this computer: its network hides them from each other.',
    },
  },
  devices: CALM,
  transfers: {
    ...CALM,
    sharings: [
      {
        id: 's1',
        what: ['holiday photos', 'map.pdf'],
        page: 'page-1',
        code: '802415',
        locked: false,
        fetched: 2,
      },
    ],
    transfers: TRANSFERS,
    messages: [
      {
        id: 'm1',
        from: ANA,
        text: 'The meeting is at three.\nhttps://example.org/agenda',
        at: 1_795_982_400_000,
      },
    ],
    troubles: [
      {
        id: 'x1',
        message: 'bob-desktop was refused: it is blocked.',
        hint: 'Allow it under Known devices.',
      },
    ],
  },
  locked: {
    ...CALM,
    device: { ...HERE, locked: true },
    questions: [{ id: 'q0', kind: 'unlock', device: ANA }],
  },
  closed: {
    ...CALM,
    device: {
      ...HERE,
      code: null,
      closed: {
        message: 'Nothing can be received: the folder cannot be written to.',
        hint: 'Choose another one: drop ui --into FOLDER',
      },
    },
  },
  accept: {
    ...CALM,
    questions: [
      {
        id: 'q1',
        kind: 'accept',
        device: ANA,
        known: true,
        offer: OFFER,
        risks: [
          { risk: 'large', entries: 3 },
          { risk: 'runs', entries: 1, example: 'setup.exe' },
        ],
      },
    ],
  },
  stranger: {
    ...CALM,
    questions: [
      {
        id: 'q2',
        kind: 'accept',
        device: BOB,
        known: false,
        offer: { ...OFFER, files: 1, bytes: 2_100_000, roots: ['report.pdf'] },
        risks: [],
      },
    ],
  },
  fetch: {
    ...CALM,
    questions: [{ id: 'q8', kind: 'fetch', device: ANA, what: ['map.pdf'] }],
  },
  code: {
    ...CALM,
    questions: [{ id: 'q3', kind: 'code', device: BOB, needs: 'code', why: 'wrong-code' }],
  },
  pin: { ...CALM, questions: [{ id: 'q4', kind: 'code', device: BOB, needs: 'pin', why: 'new' }] },
  doubt: {
    ...CALM,
    questions: [{ id: 'q5', kind: 'doubt', device: ANA, doubt: 'other-name', claimed: 'Mallory' }],
  },
  call: {
    ...CALM,
    questions: [{ id: 'q6', kind: 'call', device: { name: '192.168.1.90', id: '' } }],
  },
  offer: {
    ...CALM,
    questions: [
      {
        id: 'q7',
        kind: 'offer',
        device: { name: 'Studio Mac', id: '55aa0e19' },
        offer: {
          ...OFFER,
          files: 33,
          bytes: 9_830_000,
          roots: ['photos', 'notes.txt', 'plan.pdf'],
        },
        risks: [],
        parts: [
          { path: 'photos', folder: true, files: 31, bytes: 9_120_000 },
          { path: 'notes.txt', folder: false, files: 1, bytes: 10_000 },
          { path: 'plan.pdf', folder: false, files: 1, bytes: 700_000 },
        ],
      },
    ],
  },
} as const satisfies Readonly<Record<string, Partial<View>>>;
