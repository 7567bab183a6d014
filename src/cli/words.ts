import {
  formatBytes,
  formatCode,
  formatCount,
  formatDuration,
  formatExtent,
  formatFirst,
  formatOffer,
  formatPart,
  formatQuiet,
  formatRisk,
  formatRoots,
  isMessages,
  tildePath,
} from '../figures.ts';
import type {
  Device,
  ErrorCode,
  Extent,
  Offered,
  Part,
  Peer,
  SilentPeer,
  Standing,
  Summary,
  TransferEvent,
} from '../index.ts';
import type { Failure, ShownEvent } from './face.ts';
import { fold, percentOf } from './format.ts';
import type { Line } from './lines.ts';

export interface WordsOptions {
  /** Makes text of a peer fit to be shown. */
  readonly clean: (text: string, max?: number) => string;
  readonly side: 'sender' | 'receiver';
  /** Whether others choose this device, and not it one of them. */
  readonly announced: boolean;
  readonly verbose: boolean;
  /** Whether codes may appear: it is a terminal. */
  readonly codes: boolean;
  /** The folder of the person, shown as `~`. */
  readonly home: string;
  /** The port that an address need not name. */
  readonly port: number;
  /** The networks that are used, if not all. */
  readonly interfaces?: readonly string[] | undefined;
  /** Whether what comes goes to standard output. */
  readonly stdout?: boolean;
  /** Columns of the terminal at the moment; 80 by default. */
  readonly columns?: () => number;
}

/** Files that are named one by one in each transfer; the others are only counted. */
const NAMED = 20;

/** Downloads of browsers that are named one by one. */
const NAMED_DOWNLOADS = 100;

/** Rows of a message that are shown; more would push away what stood on the screen. */
const MESSAGE_ROWS = 300;
const INDENT = '  ';

/** The characters of a path, of a device's name. They keep a line readable, whoever wrote them. */
const MAX_PATH = 200;
const MAX_NAME = 40;

/** Says in words what happens. Draws nothing and knows no terminal; one for each command. */
export class Words {
  readonly #options: WordsOptions;
  readonly #transfers = new Map<string, Told>();
  /** Those that are accepted and not over, and with which device each is. */
  readonly #open = new Map<string, string>();
  #toSeveral = false;
  /** What was chosen, if that is not all that is offered. */
  #part: PartSize | undefined;
  #stopping = false;
  /** Whether new devices need a PIN, and browsers with them. */
  #pin = false;
  #webTold = false;
  #downloads = 0;

  readonly #text = (text: string): string => this.#options.clean(text, MAX_PATH);

  constructor(options: WordsOptions) {
    this.#options = options;
  }

  /** Whether it goes to several devices. */
  get toSeveral(): boolean {
    return this.#toSeveral;
  }

  /** Says that only a part of what is offered was chosen, and how much that is if the offer counts all. */
  takePart(size: PartSize = {}): void {
    this.#part = size;
  }

  /** Says that all of it is being stopped from here, so that nobody needs to be told so of each transfer. */
  stop(): void {
    this.#stopping = true;
  }

  /** Whether something is accepted and not over. */
  get underway(): boolean {
    return this.#open.size > 0;
  }

  /** Whether a transfer has to be told from another one, by its device. */
  get several(): boolean {
    return this.#toSeveral || new Set(this.#open.values()).size > 1;
  }

  /** The lines that tell of an event. How far it is is drawn, and lists of devices are data. */
  of(event: ShownEvent): readonly Line[] {
    if ('to' in event && event.to !== undefined) this.#toSeveral = true;
    switch (event.event) {
      case 'ready':
        return this.#ready(event);
      case 'code':
        return this.#code('Next code for new devices', event.code);
      case 'locked':
        return lockedLines(event.for);
      case 'unlocked':
        return [news('New devices are let in again.')];
      case 'paired':
        return [
          news(
            this.#options.announced
              ? `New device paired: ${this.device(event)}`
              : `Paired with ${this.device(event)}${event.via === 'code' ? ': no code is needed from now on' : ''}.`,
          ),
        ];
      case 'waiting':
        return [detail(`${this.device(event)} is asked.`)];
      case 'reachable':
        return [this.#reachable(event.addresses), ...belowPicture(this.#web(event.web))];
      case 'hidden':
        return [
          news(event.message),
          news('Others may not find this device, and must name its address. See: drop doctor'),
        ];
      case 'downloaded':
        return this.#downloaded(event);
      case 'knocking':
      case 'silent':
      case 'nothing':
      case 'peer':
      case 'known':
      case 'arrived':
      case 'running':
        return [];
      case 'unrecorded':
        return [detail(`What arrives is missing in drop history: ${event.message}`)];
      case 'check':
        return checkLines(event, this.#options.clean);
      case 'fetch':
        return [detail(`${this.device(event.peer)} wants to fetch it.`)];
      case 'offer':
        // Whoever shares may begin anew as often as it likes, each time under another name.
        if (!this.#transfers.has(event.transfer)) this.#forget();
        this.#told(event.transfer).extent = event;
        return [detail(`${this.device(event.peer)} shares ${this.offer(event)}.`)];
      case 'request':
        this.#told(event.transfer).extent = event;
        return [detail(`${this.device(event.from)} wants to send ${this.offer(event)}.`)];
      case 'error':
        if (this.#stopping && event.code === 'cancelled') return [];
        if ('transfer' in event) return this.#ofTransfer(event);
        return failureLines(event, this.#options.clean, this.#subjectOf(event));
      case 'same':
        return [
          news(
            `${this.device({ name: event.to })} is ${this.device({ name: event.as })}, which gets it once.`,
          ),
        ];
      default:
        return this.#ofTransfer(event);
    }
  }

  /** That a transfer rests, if it does, in a word or two. */
  resting(transfer: string): string | undefined {
    const paused = this.#transfers.get(transfer)?.paused;
    if (paused?.has('there')) return 'paused there';
    return paused?.has('here') ? 'paused' : undefined;
  }

  /** What is offered, for a question: `report.pdf (2.1 MB)`, `photos and 2 more (31 files, 9 MB)`. */
  offer(offer: Offered): string {
    if (this.#part === undefined) return formatOffer(offer, this.#text);
    // Its names are those of all of it, its sums those of what was chosen.
    return `${formatRoots(offer, this.#text)}, of which you chose ${formatExtent(offer, true)}`;
  }

  /** What a person should know of an offer, a line each. */
  risks(extent: Extent): string[] {
    return extent.risks.map((risk) => formatRisk(risk, extent, this.#text));
  }

  /** Something to choose of an offer: `photos/2024 (31 files, 9 MB)`. */
  part(part: Part): string {
    return `${this.#text(part.path)} (${formatPart(part)})`;
  }

  device(device: Pick<Device, 'name'>): string {
    return `"${this.name(device)}"`;
  }

  name({ name }: Pick<Device, 'name'>): string {
    return this.#options.clean(name, MAX_NAME);
  }

  /** A folder of this computer, on one line. */
  folder(path: string): string {
    return this.#text(tildePath(path, this.#options.home));
  }

  #ready(event: Extract<ShownEvent, { event: 'ready' }>): readonly Line[] {
    this.#pin = event.pin;
    const name = this.device(event);
    const first =
      'into' in event
        ? `Ready as ${name}, ${this.#landing(event.into)}`
        : `Sharing ${formatFirst(event.roots, this.#text)} as ${name}`;
    const entrance = this.#entrance(event);
    const reachable = this.#reachable(event.addresses);
    const web = this.#web(event.web);
    if (web.length === 0) return [news(first), ...entrance, reachable];
    return [news(first), reachable, ...belowPicture(entrance), ...web];
  }

  #landing(into: string | null): string {
    if (into === null) return 'writing one file to standard output';
    return `saving to ${this.folder(into)}`;
  }

  /** What new devices need. */
  #entrance(event: Extract<ShownEvent, { event: 'ready' }>): readonly Line[] {
    const { code, pin } = event;
    if ('into' in event && event.open)
      return [need('Open to everyone: no code is asked for, and nobody proves who it is.')];
    if (pin && code === null) return [news('New devices are let in by the PIN that you chose.')];
    if (code === null) return [news('New devices are not let in: nobody is here to read a code.')];
    return this.#code(
      pin ? 'PIN for new devices, as long as this runs' : 'Code for new devices',
      code,
    );
  }

  #reachable(addresses: readonly string[]): Line {
    const { verbose, port, side, interfaces } = this.#options;
    const [example, ...others] = addresses.map((address) => withoutPort(address, port));
    const isAlone = interfaces === undefined && addresses.every(isLoopback);
    if (example === undefined || isAlone)
      return news('There is no network; it will be used as soon as there is one.');
    const shown = [example, ...(verbose ? others : others.slice(0, 1))].join(', ');
    const how = side === 'sender' ? 'get --from' : 'send FILE --to';
    return news(`Reachable at ${shown}, as in: drop ${how} ${example}`);
  }

  /** The link for browsers, the first time with what it is and is not. A log gets none, like codes. */
  #web(link: string | undefined): readonly Line[] {
    if (link === undefined || !this.#options.codes) return [];
    const shown = need(`In a browser: ${link}`);
    if (this.#webTold) return [shown];
    this.#webTold = true;
    const sends = this.#options.side === 'sender';
    const who = this.#pin ? 'link and PIN' : 'this link';
    const what = sends ? 'download what is shared' : 'send files here';
    return [
      shown,
      news(`Whoever has ${who} can ${what}, as long as this runs.`),
      news('It is not encrypted: others in this network could read or change it.'),
      news(
        `A browser cannot check that it is this computer. Where that matters: drop ${sends ? 'get' : 'send'}`,
      ),
    ];
  }

  #downloaded({
    from,
    path,
    bytes,
    whole,
  }: Extract<ShownEvent, { event: 'downloaded' }>): readonly Line[] {
    const what = path === '' ? 'everything' : this.#text(path);
    const text = whole
      ? `${from} downloaded ${what} (${formatBytes(bytes)})`
      : `${from} stopped downloading ${what} after ${formatBytes(bytes)}`;
    this.#downloads += 1;
    if (this.#downloads <= NAMED_DOWNLOADS || this.#options.verbose) return [news(text)];
    return this.#downloads === NAMED_DOWNLOADS + 1
      ? [news('More downloads are told of with --verbose only.')]
      : [];
  }

  /** What a failure is about that no transfer came of, as far as it does not say so itself. */
  #subjectOf(event: Extract<ShownEvent, { event: 'error' }>): string | undefined {
    const who = this.#who(event);
    const parts = [...(event.message.startsWith(who) ? [] : [who]), event.path ?? []].flat();
    return parts.length === 0 ? undefined : parts.join(': ');
  }

  /** Of whom it is told. */
  #who(event: Extract<ShownEvent, { event: 'error' }>): string {
    if ('to' in event && event.to !== undefined) return this.device({ name: event.to });
    return 'peer' in event && event.peer ? this.device(event.peer) : 'A device on this network';
  }

  /** A line that names its device only where there are several. */
  #about(peer: Device, text: string): string {
    return this.several ? `${this.device(peer)}: ${text}` : text;
  }

  /** What is taken of an offer, and how much that is: `a part of photos (3 files, 9 MB)`. */
  #taken(offer: Extent): string {
    if (this.#part === undefined) return this.offer(offer);
    const extent = formatExtent({ ...offer, ...this.#part }, true);
    return `a part of ${formatRoots(offer, this.#text)} (${extent})`;
  }

  #code(what: string, code: string): readonly Line[] {
    return this.#options.codes ? [need(`${what}: ${formatCode(code)}`)] : [];
  }

  #ofTransfer(event: TransferEvent): readonly Line[] {
    const told = this.#told(event.transfer);
    if (event.event === 'accepted') this.#open.set(event.transfer, event.peer.id);
    if (!told.lost || !GOES_ON.has(event.event)) return this.#inTransfer(event, told);
    told.lost = false;
    const back = news(`The connection to ${this.device(event.peer)} is back.`);
    return event.event === 'resuming'
      ? this.#inTransfer(event, told)
      : [back, ...this.#inTransfer(event, told)];
  }

  #inTransfer(event: TransferEvent, told: Told): readonly Line[] {
    const { side, announced, verbose, home } = this.#options;
    const receives = side === 'receiver';
    switch (event.event) {
      case 'accepted':
        if (!receives || !told.extent)
          return [news(`${this.device(event.peer)} ${announced ? 'fetches it' : 'accepted'}.`)];
        // A message says itself that it came.
        if (isMessages(told.extent)) return [];
        return [news(`Receiving ${this.#taken(told.extent)} from ${this.device(event.peer)}`)];
      case 'declined':
        this.#transfers.delete(event.transfer);
        // Whoever chose the other side is told why the command ends.
        if (!announced) return [];
        return [
          news(this.#declined(event.peer, told, event.reason)),
          ...(event.quiet ? [news(formatQuiet(this.device(event.peer), event.quiet))] : []),
        ];
      case 'saved': {
        const path = (): string => this.#text(tildePath(event.path, home));
        const size = (): string => formatBytes(event.bytes);
        const sent = (): string => this.#about(event.peer, `Sent ${path()} (${size()})`);
        if (!receives) return verbose ? [news(sent())] : [];
        const offered = (): string =>
          event.offered === undefined ? '' : `, offered as "${this.#text(event.offered)}"`;
        const did = this.#options.stdout ? 'Wrote' : 'Saved';
        return this.#named(told, 'news', () =>
          this.#about(event.peer, `${did} ${path()} (${size()})${offered()}`),
        );
      }
      case 'text':
        told.texts += 1;
        if (!receives)
          return verbose ? [news(`The message was shown to ${this.device(event.peer)}`)] : [];
        return this.#message(event.text, this.device(event.peer));
      case 'skipped':
        return this.#skipped(told, event);
      case 'resuming':
        return [news(this.#about(event.peer, `Resuming ${whereOf(event)}, verified`))];
      case 'paused':
      case 'resumed':
        return this.#paused(told, event);
      case 'reconnecting':
        return this.#reconnecting(told, event);
      case 'error':
        if (event.path === undefined) return this.#ended(told, event);
        return this.#named(told, 'trouble', () =>
          this.#about(
            event.peer,
            `Failed: ${this.#text(event.path ?? '')}: ${this.#text(event.message)}`,
          ),
        );
      case 'summary': {
        this.#transfers.delete(event.transfer);
        const line = this.#summary(event, told);
        this.#open.delete(event.transfer);
        return line === undefined ? [] : [line];
      }
      case 'progress':
        return [];
    }
  }

  #declined(peer: Device, { extent }: Told, reason: string | undefined): string {
    if (this.#options.side === 'sender')
      return reason === 'refused'
        ? `Refused: ${this.device(peer)} wanted to fetch it, and nobody can be asked here (see --yes, and drop trust)`
        : `Declined: ${this.device(peer)} wanted to fetch it.`;
    const what = extent === undefined ? 'something' : this.offer(extent);
    const offer = `${what} from ${this.device(peer)}`;
    const why = reason === undefined ? undefined : REFUSED[reason];
    return why === undefined ? `Declined: ${offer}` : `Refused: ${offer}, as ${why}`;
  }

  /** The transfer as a whole has failed. */
  #ended(told: Told, event: Extract<TransferEvent, { event: 'error' }>): readonly Line[] {
    const { announced, clean } = this.#options;
    const { lost } = told;
    told.lost = false;
    // That it was lost was said, and whoever is chosen by others can do nothing about it.
    if (lost && announced && event.code === 'disconnected') return [];
    const about = this.several ? this.device(event.peer) : undefined;
    const hint =
      announced && AGAIN_THERE.has(event.code) ? AGAIN_THERE.get(event.code) : event.hint;
    return failureLines({ ...event, hint }, clean, about);
  }

  /** Whoever receives or sends there may do so often; the picture shows it all the same. */
  #paused(
    told: Told,
    { event, peer, by }: Extract<TransferEvent, { event: 'paused' | 'resumed' }>,
  ): readonly Line[] {
    const isPaused = event === 'paused';
    if (isPaused) told.paused.add(by);
    else told.paused.delete(by);
    told.pauses += 1;
    if (told.pauses > NAMED && !this.#options.verbose) return [];
    const who = this.device(peer);
    if (by === 'there') return [news(isPaused ? `${who} has paused it.` : `${who} goes on.`)];
    return [news(this.#about(peer, isPaused ? 'Paused.' : 'Going on.'))];
  }

  /** One line for each loss, however often it is tried again. */
  #reconnecting(
    told: Told,
    { peer, reason, next }: Extract<TransferEvent, { event: 'reconnecting' }>,
  ): readonly Line[] {
    told.paused.clear();
    if (told.lost) {
      const again = next === undefined ? '' : `; trying again in ${formatDuration(next)}`;
      return [detail(`Not yet: ${reason}${again}`)];
    }
    told.lost = true;
    const lost = `The connection to ${this.device(peer)} was lost`;
    return [
      news(
        next === undefined
          ? `${lost}; what arrived is kept, and it goes on when the device is back.`
          : `${lost}; trying again...`,
      ),
    ];
  }

  #skipped(
    told: Told,
    { peer, path, reason }: Extract<TransferEvent, { event: 'skipped' }>,
  ): readonly Line[] {
    const shown = (): string => this.#text(path);
    const { side, verbose } = this.#options;
    const there = side === 'receiver' ? '' : ' there';
    switch (reason) {
      case 'unchanged':
      case 'identical':
        told.there += 1;
        return verbose ? [detail(this.#about(peer, `There already: ${shown()}`))] : [];
      case 'conflict':
        told.leftOut += 1;
        return this.#named(told, 'news', () =>
          this.#about(peer, `Left out: ${shown()} exists${there} with other content.`),
        );
      case 'unsupported':
        told.leftOut += 1;
        return this.#named(told, 'news', () =>
          this.#about(peer, `Left out: ${shown()} is no file, folder or usable link.`),
        );
    }
  }

  /** What a person wrote, so that no line of it can be taken for one of ours: indented, whatever it is. */
  #message(text: string, from: string): readonly Line[] {
    const { clean, columns = () => 80 } = this.#options;
    const lines = text.replace(/(\r\n|[\r\n])$/, '').split(/\r\n|[\r\n]/);
    const rows: string[] = [];
    for (const line of lines.slice(0, MESSAGE_ROWS)) {
      const shown = clean(line.replaceAll('\t', '    '), line.length * 4 + 1);
      rows.push(...fold(shown, Math.max(20, columns() - INDENT.length - 1)));
      if (rows.length > MESSAGE_ROWS) break;
    }
    const isCut = rows.length > MESSAGE_ROWS || lines.length > MESSAGE_ROWS;
    return [
      need(`Message from ${from}:`),
      ...rows
        .slice(0, MESSAGE_ROWS)
        .map((row): Line => ({ weight: 'content', text: INDENT + row })),
      ...(isCut
        ? [need('There is more of it. To save a message: drop receive --as FILENAME')]
        : []),
    ];
  }

  /** A line for one file, as long as there are not too many of them; failures are counted apart. */
  #named(told: Told, weight: Line['weight'], textOf: () => string): readonly Line[] {
    const which = weight === 'trouble' ? 'failures' : 'named';
    told[which] += 1;
    if (this.#options.verbose || told[which] <= NAMED) return [{ weight, text: textOf() }];
    if (told[which] > NAMED + 1) return [];
    const what = which === 'failures' ? 'failures' : 'files';
    return [{ weight, text: `There are more ${what}; from here on they are counted, not named.` }];
  }

  #summary(summary: Summary, told: Told): Line | undefined {
    const { ok, files, bytes, sent, resumed, failed, ms, peer, kept = 0 } = summary;
    const receives = this.#options.side === 'receiver';
    const what = `${this.#counted(files, told.texts)} (${formatBytes(bytes)})`;
    // Of what is not whole it says nothing: what is there now counts.
    const parts = ok && resumed > 0 ? [`${formatBytes(resumed)} of it there already`] : [];
    const all = ok && told.there === files;
    const whole = all ? 'all of it there already' : `${told.there} there already`;
    const notes = [
      ...(told.there > 0 ? [whole] : parts),
      ...(told.leftOut > 0 ? [`${told.leftOut} left out`] : []),
      ...(failed > 0 ? [`${failed} failed`] : []),
      ...(kept > 0 ? [`${formatBytes(kept)}${files > 0 ? ' more' : ''} kept for next time`] : []),
    ];
    const note = notes.length === 0 ? '' : `; ${notes.join(', ')}`;
    if (!ok) {
      // The receiver knows what it keeps; the sender, that something went over.
      const partly = receives ? kept > 0 : sent + resumed > 0;
      const nothing = partly ? 'no whole file' : 'nothing';
      const arrived = files === 0 ? nothing : what;
      const where = `${receives ? 'from' : 'at'} ${this.device(peer)}`;
      return { weight: 'trouble', text: `Incomplete: ${arrived} arrived ${where}${note}.` };
    }
    // Its one line said it all.
    if (receives && files === 1 && told.named + told.texts === 1 && note === '') return undefined;
    const how = receives ? 'Received' : 'Sent';
    const where = `${receives ? 'from' : 'to'} ${this.device(peer)}`;
    return news(`${how} ${what} ${where} in ${formatDuration(ms)}${note}.`);
  }

  /** `3 files`, `a message`, `3 files and a message`. */
  #counted(files: number, texts: number): string {
    const messages = texts === 1 ? 'a message' : formatCount(texts, 'message');
    if (texts === 0) return formatCount(files, 'file');
    return files === texts ? messages : `${formatCount(files - texts, 'file')} and ${messages}`;
  }

  #told(transfer: string): Told {
    let told = this.#transfers.get(transfer);
    if (told === undefined) {
      told = {
        ...{ named: 0, failures: 0, texts: 0, there: 0, leftOut: 0, pauses: 0 },
        ...{ lost: false, paused: new Set() },
      };
      this.#transfers.set(transfer, told);
    }
    return told;
  }

  #forget(): void {
    this.#transfers.clear();
    this.#open.clear();
  }
}

/** What a device of the list shares, if it does, as far as it has told us. */
export function sharingOf(
  { shares, offer }: Pick<Peer, 'shares' | 'offer'>,
  clean: WordsOptions['clean'],
): string[] {
  if (!shares) return [];
  return [`shares ${offer ? formatOffer(offer, (text) => clean(text, MAX_NAME)) : 'something'}`];
}

/** How much was chosen of an offer. */
type PartSize = Partial<Pick<Extent, 'files' | 'bytes'>>;

/** What was said of one transfer so far. */
interface Told {
  /** Files that got a line, or would have, and those that failed. */
  named: number;
  failures: number;
  /** Messages among what was delivered. */
  texts: number;
  /** Files that needed not be sent, and those that could not. */
  there: number;
  leftOut: number;
  /** Pauses and their ends. */
  pauses: number;
  /** Whether the connection was lost and is not back. */
  lost: boolean;
  /** Who lets it rest. */
  readonly paused: Set<'here' | 'there'>;
  extent?: Extent;
}

/** What shows that a lost connection is back. */
const GOES_ON: ReadonlySet<string> = new Set([
  'accepted',
  'resuming',
  'paused',
  'progress',
  'saved',
  'skipped',
  'text',
] satisfies TransferEvent['event'][]);

/** What to try where it is the other side that has to do it again; we run on. */
const AGAIN_THERE: ReadonlyMap<ErrorCode, string | undefined> = new Map([
  ['disconnected', undefined],
  ['corrupt', undefined],
  ['disk-full', 'Make room, and have it sent again.'],
  ['folder-gone', 'Put it back if you want it there, and have the same sent again.'],
]);

/** Why something was refused without a question. */
const REFUSED: Readonly<Record<string, string>> = {
  refused: 'nobody can be asked here (see --yes, and drop trust)',
  'too-large': 'it is larger than --max-size',
  'one-file': '--as and --stdout take one single file',
  busy: '--stdout takes one transfer',
};

/** From where a transfer goes on: a share of it, or an amount where nobody knows of how much. */
function whereOf({ bytes, total }: Extract<TransferEvent, { event: 'resuming' }>): string {
  const percent = percentOf({ bytes, total });
  return percent === null ? `after ${formatBytes(bytes)}` : `at ${percent} %`;
}

/** A failure: what went wrong, and in the next line what to try. */
export function failureLines(
  { message, hint, path, detail: more }: Failure,
  clean: WordsOptions['clean'],
  about = path,
): readonly Line[] {
  const subject = about === undefined ? '' : `${clean(about, MAX_PATH)}: `;
  const lines: Line[] = [{ weight: 'trouble', text: `Error: ${subject}${clean(message, 300)}` }];
  if (hint !== undefined) lines.push({ weight: 'trouble', text: clean(hint, 300) });
  if (more !== undefined) lines.push(...more.split('\n').map((text) => detail(clean(text, 300))));
  return lines;
}

/** An address at which nobody else reaches this computer. */
function isLoopback(address: string): boolean {
  return /^(127\.|\[::1\])/.test(address);
}

/** `host:port` as it is typed: of `192.168.1.20:23767` the host is enough. */
function withoutPort(address: string, port: number): string {
  const host = address.endsWith(`:${port}`) ? address.slice(0, -`:${port}`.length) : address;
  return host === address ? address : host.replace(/^\[(.*)\]$/, '$1');
}

/** What a device of the list is called; one that does not answer need not have said it. */
export function nameOf({ name, addresses }: Peer | SilentPeer): string {
  return name || (addresses[0] ?? 'a device');
}

/** How it stands with a device that is announced but does not answer. */
export const SILENT = 'does not answer';

/** A check: a line for what was found, and if there is one, a line for what mends it. */
function checkLines(
  { level, message, fix }: Extract<ShownEvent, { event: 'check' }>,
  clean: WordsOptions['clean'],
): readonly Line[] {
  const weight = level === 'failed' ? 'trouble' : 'news';
  const lines: Line[] = [{ weight, text: `${LEVELS[level]} ${clean(message, 300)}` }];
  if (fix !== undefined) lines.push({ weight, text: `       ${clean(fix, 500)}` });
  return lines;
}

/** As wide as each other. */
const LEVELS = { ok: 'OK:   ', warning: 'Note: ', failed: 'Wrong:' } as const;

/** How we stand to a device, in words. `name` is fit to be shown. */
export function standingOf(standing: Standing, name: string): string {
  switch (standing) {
    case 'self':
      return 'this computer';
    case 'paired':
      return 'known';
    case 'new':
      return 'new';
    case 'namesake':
      return `new, NOT the "${name}" you know`;
    case 'blocked':
      return 'blocked';
    case 'clone':
      return 'a copy of this computer: the same key';
  }
}

function lockedLines(ms: number | null): readonly Line[] {
  const when = ms === null ? 'Press Enter to let' : `In ${formatDuration(ms)} it lets`;
  return [
    {
      weight: 'trouble',
      text: 'Ten wrong codes: someone may be guessing. Known devices still work.',
    },
    need(`${when} new devices in again.`),
  ];
}

function belowPicture([first, ...rest]: readonly Line[]): readonly Line[] {
  return first === undefined ? [] : [{ ...first, isBelowPicture: true }, ...rest];
}

function news(text: string): Line {
  return { weight: 'news', text };
}

function need(text: string): Line {
  return { weight: 'need', text };
}

function detail(text: string): Line {
  return { weight: 'detail', text };
}
