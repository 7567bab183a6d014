import type {
  Device,
  Extent,
  Peer,
  SilentPeer,
  Standing,
  Summary,
  TransferEvent,
} from '../index.ts';
import type { Failure, ShownEvent } from './face.ts';
import {
  formatBytes,
  formatCode,
  formatCount,
  formatDuration,
  percentOf,
  tildePath,
} from './format.ts';

/** A line for a person, and how much it matters. */
export interface Line {
  /** `detail` is said if asked for, `news` unless asked not to; `need` and `trouble` always. */
  readonly weight: 'detail' | 'news' | 'need' | 'trouble';
  readonly text: string;
}

export interface WordsOptions {
  /** Makes text of a peer fit to be shown. */
  readonly clean: (text: string, max?: number) => string;
  readonly side: 'sender' | 'receiver';
  readonly verbose: boolean;
  /** Whether codes may appear: it is a terminal. */
  readonly codes: boolean;
  /** The folder of the person, shown as `~`. */
  readonly home: string;
  /** The port that an address need not name. */
  readonly port: number;
}

/** Files that are named one by one in each transfer; the others are only counted. */
const NAMED = 20;

/** The characters of a path, of a device's name. They keep a line readable, whoever wrote them. */
const MAX_PATH = 200;
const MAX_NAME = 40;

/** Says in words what happens. Draws nothing and knows no terminal; one for each command. */
export class Words {
  readonly #options: WordsOptions;
  readonly #transfers = new Map<string, Told>();

  constructor(options: WordsOptions) {
    this.#options = options;
  }

  /** The lines that tell of an event. How far it is is drawn, and lists of devices are data. */
  of(event: ShownEvent): readonly Line[] {
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
            this.#options.side === 'receiver'
              ? `New device paired: ${this.device(event)}`
              : `Paired with ${this.device(event)}${event.via === 'code' ? ': no code is needed from now on' : ''}.`,
          ),
        ];
      case 'waiting':
        return [detail(`${this.device(event)} is asked.`)];
      case 'reachable':
        return [this.#reachable(event.addresses)];
      case 'hidden':
        return [
          news(event.message),
          news('Others may not find this device, and must name its address. See: drop doctor'),
        ];
      case 'knocking':
      case 'silent':
      case 'nothing':
      case 'peer':
      case 'known':
        return [];
      case 'check':
        return checkLines(event, this.#options.clean);
      case 'request':
        this.#told(event.transfer).extent = event;
        return [detail(`${this.device(event.from)} wants to send ${this.offer(event)}.`)];
      case 'error':
        if ('transfer' in event) return this.#ofTransfer(event);
        return failureLines(
          event,
          this.#options.clean,
          event.peer ? this.device(event.peer) : 'A device on this network',
        );
      default:
        return this.#ofTransfer(event);
    }
  }

  /** What is offered, for a question: `report.pdf (2.1 MB)`, `photos and 2 more (31 files, 9 MB)`. */
  offer({ roots, files, bytes, sized, final }: Extent): string {
    const [first = '', ...more] = roots;
    const others = more.length === 0 ? '' : ` and ${more.length} more`;
    const counted = roots.length === 1 && files === 1 && final;
    const size = sized ? formatBytes(bytes) : 'size not known';
    const sizes = sized ? size : `at least ${formatBytes(bytes)}`;
    const extent = counted ? size : `${formatCount(files, 'file')}, ${sizes}`;
    return `${this.#text(first)}${others} (${extent}${final ? '' : ' so far, and still counting'})`;
  }

  device(device: Pick<Device, 'name'>): string {
    return `"${this.name(device)}"`;
  }

  name({ name }: Pick<Device, 'name'>): string {
    return this.#options.clean(name, MAX_NAME);
  }

  #ready(event: Extract<ShownEvent, { event: 'ready' }>): readonly Line[] {
    const { name, addresses, into } = event;
    const folder = tildePath(into, this.#options.home);
    return [
      news(`Ready as ${this.device({ name })}, saving to ${this.#text(folder)}`),
      ...this.#entrance(event),
      this.#reachable(addresses),
    ];
  }

  /** What new devices need. */
  #entrance({ code, pin, open }: Extract<ShownEvent, { event: 'ready' }>): readonly Line[] {
    if (open) return [need('Open to everyone: no code is asked for, and nobody proves who it is.')];
    if (pin && code === null) return [news('New devices are let in by the PIN that you chose.')];
    if (code === null) return [news('New devices are not let in: nobody is here to read a code.')];
    return this.#code(
      pin ? 'PIN for new devices, as long as this runs' : 'Code for new devices',
      code,
    );
  }

  /** What a person should know of an offer, a line each. */
  risks({ risks, files, bytes }: Extent): string[] {
    return risks.map(({ risk, entries, example = '' }) => {
      const others = entries > 1 ? ` and ${entries - 1} more` : '';
      const which = `${this.#text(example)}${others}`;
      switch (risk) {
        case 'large':
          return `It is large: ${formatBytes(bytes)}.`;
        case 'many':
          return `It is many files: ${formatCount(files, 'file')}.`;
        case 'runs':
          return `It can do anything when it is opened: ${which}.`;
        case 'renamed':
          return `It will be saved under a safe name: ${which}.`;
        default:
          return `Nobody knows how much it will be: ${which}.`;
      }
    });
  }

  #reachable(addresses: readonly string[]): Line {
    const { verbose, port } = this.#options;
    const [example, ...others] = addresses.map((address) => withoutPort(address, port));
    const shown = [example, ...(verbose ? others : others.slice(0, 1))];
    return example !== undefined
      ? news(`Reachable at ${shown.join(', ')}, as in: drop send FILE --to ${example}`)
      : news('There is no network; it will be used as soon as there is one.');
  }

  #code(what: string, code: string): readonly Line[] {
    return this.#options.codes ? [need(`${what}: ${formatCode(code)}`)] : [];
  }

  #ofTransfer(event: TransferEvent): readonly Line[] {
    const told = this.#told(event.transfer);
    if (!told.lost || !GOES_ON.has(event.event)) return this.#inTransfer(event, told);
    told.lost = false;
    const back = news(`The connection to ${this.device(event.peer)} is back.`);
    return event.event === 'resuming'
      ? this.#inTransfer(event, told)
      : [back, ...this.#inTransfer(event, told)];
  }

  #inTransfer(event: TransferEvent, told: Told): readonly Line[] {
    const { side, verbose, home } = this.#options;
    const receives = side === 'receiver';
    switch (event.event) {
      case 'accepted':
        return receives && told.extent
          ? [news(`Receiving ${this.offer(told.extent)} from ${this.device(event.peer)}`)]
          : [{ weight: 'news', text: `${this.device(event.peer)} accepted.` }];
      case 'declined':
        this.#transfers.delete(event.transfer);
        return receives ? [news(this.#declined(event.peer, told, event.reason))] : [];
      case 'saved': {
        const path = (): string => this.#text(tildePath(event.path, home));
        const size = formatBytes(event.bytes);
        if (!receives) return verbose ? [news(`Sent ${path()} (${size})`)] : [];
        const offered = (): string =>
          event.offered === undefined ? '' : `, offered as "${this.#text(event.offered)}"`;
        return this.#named(told, 'news', () => `Saved ${path()} (${size})${offered()}`);
      }
      case 'skipped':
        return this.#skipped(told, event);
      case 'resuming':
        return [news(`Resuming ${whereOf(event)}, verified`)];
      case 'reconnecting':
        return this.#reconnecting(told, event);
      case 'error':
        if (event.path === undefined) return this.#ended(told, event);
        return this.#named(
          told,
          'trouble',
          () => `Failed: ${this.#text(event.path ?? '')}: ${this.#text(event.message)}`,
        );
      case 'summary':
        this.#transfers.delete(event.transfer);
        return [this.#summary(event, told)].filter((line) => line !== undefined);
      case 'progress':
        return [];
    }
  }

  #declined(peer: Device, { extent }: Told, reason: string | undefined): string {
    const what = extent === undefined ? 'something' : this.offer(extent);
    if (reason !== 'refused') return `Declined: ${what} from ${this.device(peer)}`;
    return `Refused: ${what} from ${this.device(peer)}, as nobody can be asked here (see --yes, and drop trust)`;
  }

  /** The transfer as a whole has failed. */
  #ended(told: Told, event: Extract<TransferEvent, { event: 'error' }>): readonly Line[] {
    const { lost } = told;
    told.lost = false;
    // That it was lost was said, and whoever receives can do nothing about it.
    if (lost && this.#options.side === 'receiver' && event.code === 'disconnected') return [];
    return failureLines(event, this.#options.clean);
  }

  /** One line for each loss, however often it is tried again. */
  #reconnecting(
    told: Told,
    { peer, reason, next }: Extract<TransferEvent, { event: 'reconnecting' }>,
  ): readonly Line[] {
    if (told.lost) {
      const again = next === undefined ? '' : `; trying again in ${formatDuration(next)}`;
      return [detail(`Not yet: ${reason}${again}`)];
    }
    told.lost = true;
    const lost = `The connection to ${this.device(peer)} was lost`;
    return [
      news(
        next === undefined
          ? `${lost}; what came is kept, and it goes on when the device is back.`
          : `${lost}; trying again...`,
      ),
    ];
  }

  #skipped(
    told: Told,
    { path, reason }: Extract<TransferEvent, { event: 'skipped' }>,
  ): readonly Line[] {
    const shown = (): string => this.#text(path);
    const { side, verbose } = this.#options;
    const there = side === 'receiver' ? '' : ' there';
    switch (reason) {
      case 'unchanged':
      case 'identical':
        told.there += 1;
        return verbose ? [detail(`There already: ${shown()}`)] : [];
      case 'conflict':
        told.leftOut += 1;
        return this.#named(
          told,
          'news',
          () => `Left out: ${shown()} exists${there} with other content.`,
        );
      case 'unsupported':
        told.leftOut += 1;
        return this.#named(
          told,
          'news',
          () => `Left out: ${shown()} is no file, folder or usable link.`,
        );
    }
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
    const what = `${formatCount(files, 'file')} (${formatBytes(bytes)})`;
    const parts = resumed > 0 ? [`${formatBytes(resumed)} of it there already`] : [];
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
    if (receives && files === 1 && told.named === 1 && note === '') return undefined;
    const how = receives ? 'Received' : 'Sent';
    const where = `${receives ? 'from' : 'to'} ${this.device(peer)}`;
    return news(`${how} ${what} ${where} in ${formatDuration(ms)}${note}.`);
  }

  #told(transfer: string): Told {
    let told = this.#transfers.get(transfer);
    if (told === undefined) {
      told = { named: 0, failures: 0, there: 0, leftOut: 0, lost: false };
      this.#transfers.set(transfer, told);
    }
    return told;
  }

  #text(text: string): string {
    return this.#options.clean(text, MAX_PATH);
  }
}

/** What was said of one transfer so far. */
interface Told {
  /** Files that got a line, or would have, and those that failed. */
  named: number;
  failures: number;
  /** Files that needed not be sent, and those that could not. */
  there: number;
  leftOut: number;
  /** Whether the connection was lost and is not back. */
  lost: boolean;
  extent?: Extent;
}

/** What shows that a lost connection is back. */
const GOES_ON: ReadonlySet<string> = new Set([
  'accepted',
  'resuming',
  'progress',
  'saved',
  'skipped',
] satisfies TransferEvent['event'][]);

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

function news(text: string): Line {
  return { weight: 'news', text };
}

function need(text: string): Line {
  return { weight: 'need', text };
}

function detail(text: string): Line {
  return { weight: 'detail', text };
}
