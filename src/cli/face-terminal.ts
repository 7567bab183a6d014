import ora, { type Ora } from 'ora';
import stringWidth from 'string-width';
import type { Device, TransferEvent } from '../index.ts';
import type { Face, Failure, Room, ShownEvent } from './face.ts';
import { progressLine } from './format.ts';
import type { Io } from './io.ts';
import type { Line, Lines } from './lines.ts';
import { cut, rowsOf, wipe, wrap } from './rows.ts';
import { failureLines, type Words, type WordsOptions } from './words.ts';

/** Transfers that are drawn at once; the others only run. */
const DRAWN = 3;

/**
 * What the spinner itself takes of a line; and at its end room for the `^C` that a terminal writes
 * there on its own, and one column that stays free: a line that it breaks would not be wiped.
 */
const MARGIN = 2 + 2 + 1;

const SHOW_CURSOR = '\x1b[?25h';

/** Rows for what we are busy with. */
const BUSY_ROWS = 3;

type ProgressEvent = Extract<TransferEvent, { event: 'progress' }>;

export interface TerminalFaceOptions extends Pick<Io, 'signals' | 'suspend'> {
  readonly clean: WordsOptions['clean'];
  readonly colors: boolean;
  readonly quiet: boolean;
}

/** The face for people: what happened stays as lines, and below them moves what happens now. */
export class TerminalFace implements Face {
  readonly #stderr: Io['stderr'];
  readonly #lines: Lines;
  readonly #words: Words;
  readonly #options: TerminalFaceOptions;
  readonly #spinner: Ora;
  readonly #running = new Map<string, ProgressEvent>();
  #busy = '';
  /** What is shown above the next line that belongs below it. */
  #picture: Line[] = [];
  /** When a lost connection is tried again, by `performance.now()`, and to whom, by the id. */
  readonly #retries = new Map<string, { readonly at: number; readonly peer: Device }>();
  /** The picture changes as time goes by, even if nothing happens. */
  readonly #ticking = setInterval(() => {
    if (this.#retries.size > 0) this.#draw();
  }, 1000).unref();

  constructor(stderr: Io['stderr'], lines: Lines, words: Words, options: TerminalFaceOptions) {
    this.#stderr = stderr;
    this.#lines = lines;
    this.#words = words;
    this.#options = options;
    this.#spinner = ora({
      stream: stderr,
      // Otherwise ora takes the keyboard and Ctrl-C is never heard.
      discardStdin: false,
      isEnabled: true,
      spinner: { frames: ['-', '\\', '|', '/'], interval: 120 },
      color: options.colors ? 'cyan' : false,
    });
    stderr.on('resize', this.#resized);
    options.signals.on('SIGTSTP', this.#suspended);
  }

  show(event: ShownEvent): void {
    const about = 'peer' in event ? event.peer?.id : 'id' in event ? event.id : undefined;
    if (about !== undefined) this.#retries.delete(about);
    else if (!this.#words.toSeveral) this.#retries.clear();
    if (event.event === 'progress') this.#running.set(event.transfer, event);
    if (event.event === 'summary' || event.event === 'declined' || event.event === 'reconnecting')
      this.#running.delete(event.transfer);
    if (event.event === 'reconnecting' && event.next !== undefined) {
      const { peer, next } = event;
      this.#retries.set(peer.id, { at: performance.now() + next, peer });
    }
    this.#write(this.#words.of(event));
  }

  say(sentence: string, weight: Line['weight'] = 'news'): void {
    this.#write([{ weight, text: sentence }]);
  }

  busy(what: string): void {
    this.#busy = what;
    this.#draw();
  }

  picture(draw: (room: Room) => readonly string[] | undefined): void {
    const { colors } = this.#options;
    const lines = draw({ columns: this.#stderr.columns ?? 80, colors });
    const text = lines ?? ['This terminal is too narrow for a picture of the link.'];
    this.#picture = text.map((line) => ({ weight: 'news', text: line }));
  }

  fail(failure: Failure): void {
    this.#write(failureLines(failure, this.#options.clean));
  }

  standBack<Reply>(question: () => Promise<Reply>): Promise<Reply> {
    return this.#lines.standBack(
      question,
      () => this.#spinner.stop(),
      () => this.#draw(),
    );
  }

  close(): void {
    clearInterval(this.#ticking);
    this.#spinner.stop();
    this.#stderr.off('resize', this.#resized);
    this.#options.signals.off('SIGTSTP', this.#suspended);
  }

  #write(lines: readonly Line[]): void {
    // While it spins, ora lets what is written pass above itself.
    this.#lines.write(
      lines.flatMap((line) => (line.isBelowPicture ? [...this.#picture.splice(0), line] : [line])),
    );
    this.#draw();
  }

  #draw(): void {
    if (this.#options.quiet || this.#lines.held) return;
    const text = this.#text();
    if (text === '') this.#spinner.stop();
    else this.#spinner.start(text);
  }

  #text(): string {
    const width = (this.#stderr.columns ?? 80) - MARGIN;
    const running = [...this.#running.values()];
    const isOneOfMany = this.#words.several || running.length > 1;
    const drawn = running
      .slice(0, DRAWN)
      .flatMap((event) => [
        isOneOfMany
          ? this.#titleOf(event, width)
          : cut(this.#options.clean(event.file), width, 'middle'),
        progressLine(event, width, this.#words.resting(event.transfer)),
      ]);
    const more = running.length > DRAWN ? [`and ${running.length - DRAWN} more`] : [];
    const still = wrap(this.#retrying() ?? this.#busy, width, BUSY_ROWS).filter(Boolean);
    const below = this.#words.toSeveral ? still : [];
    const lines = running.length > 0 ? [...drawn, ...more, ...below] : still;
    // Each line is indented like the first one, which stands behind the spinner.
    return lines.join('\n  ');
  }

  /** Whose transfer it is and which file is on its way; the name takes no more than a third. */
  #titleOf({ peer, file }: ProgressEvent, width: number): string {
    const name = cut(this.#words.name(peer), Math.floor(width / 3));
    const room = width - stringWidth(name) - ': '.length;
    return `${name}: ${cut(this.#options.clean(file), room, 'middle')}`;
  }

  /** Of the one that is tried next. */
  #retrying(): string | undefined {
    const [next, ...others] = [...this.#retries.values()].sort((a, b) => a.at - b.at);
    if (next === undefined) return undefined;
    const seconds = Math.ceil((next.at - performance.now()) / 1000);
    const when = seconds > 0 ? `in ${seconds} s` : 'now...';
    if (!this.#words.toSeveral) return `Connection lost; trying again ${when}`;
    const which = others.length > 0 ? `, and ${others.length} more` : '';
    return `Connection to ${this.#words.device(next.peer)} lost${which}; trying again ${when}`;
  }

  /** Ctrl-Z: who works in the terminal meanwhile needs its cursor, which pictures and lists hide. */
  readonly #suspended = (): void => {
    const { signals, suspend } = this.#options;
    this.#spinner.stop();
    this.#stderr.write(SHOW_CURSOR);
    signals.off('SIGTSTP', this.#suspended); // What is listened to stops nothing.
    suspend();
    signals.on('SIGTSTP', this.#suspended);
    this.#draw();
  };

  /**
   * A narrower window has broken our lines into more rows than ora believes to have drawn:
   * those that it would leave behind are wiped here.
   */
  readonly #resized = (): void => {
    if (!this.#spinner.isSpinning) return;
    const drawn = `- ${this.#spinner.text}`;
    const rows = rowsOf(drawn, this.#stderr.columns ?? 80);
    this.#spinner.stop(); // It wipes as many rows as it has drawn lines.
    this.#stderr.write(wipe(rows - drawn.split('\n').length + 1));
    this.#draw();
  };
}
