import { DropError, type DropErrorOptions, type ErrorCode } from './errors.ts';
import type { Device, Extent, GetEvent, Peer, SilentPeer, Summary } from './events.ts';
import { Awake, Vigil } from './handover/awake.ts';
import { type Choice, chosenBy, markedBy, type Part, partsOf } from './handover/choice.ts';
import { builtInCodecs } from './handover/codecs.ts';
import { type Control, followOne } from './handover/control.ts';
import { Progress } from './handover/progress.ts';
import { Saving, type SavingOptions } from './handover/saving.ts';
import { newReception } from './handover/take-in.ts';
import { SHOWN_ROOTS } from './limits.ts';
import { Contact, type OnRetry } from './meeting/contact.ts';
import type { Meeting, Trusting } from './meeting/meet.ts';
import type { Target } from './meeting/reach.ts';
import { type LookOptions, openSelf, type Self } from './meeting/self.ts';
import { unlessAborted } from './meeting/signals.ts';
import { dialForData } from './net/data.ts';
import type { Entry } from './protocol/manifest.ts';
import { follow } from './transfer/follow.ts';
import { type Host, runReceiver } from './transfer/receiver.ts';
import type { Reception } from './transfer/reception.ts';
import type { Report } from './transfer/report.ts';

/** What is shared, for whoever is asked whether to take it. */
export interface Offer extends Extent {
  readonly from: Device;
  /** Of what it consists, once all of it is known: what was picked, or what lies in the one folder. */
  readonly parts: readonly Part[];
}

export interface GetOptions extends LookOptions, SavingOptions, Pick<Trusting, 'code' | 'confirm'> {
  /** A peer from `discover` that shares something, or a name, an id, its first digits, or HOST[:PORT]. */
  readonly from: Peer | SilentPeer | string;
  /** This device, as others see it. */
  readonly name?: string | undefined;
  /** How long the device may take to answer at first, in milliseconds; 10 s by default. */
  readonly wait?: number | undefined;
  /** How long it may be gone after the connection is lost; 120 s by default. */
  readonly waitAgain?: number | undefined;
  /** Ends it, or lets it rest, once there is an offer. */
  readonly control?: Control | undefined;
  /**
   * The part that is wanted: patterns as in a `.gitignore` at the top of what is shared, or paths of
   * it, each with all that it holds; without any, everything. One that matches nothing is told as
   * an `error` in the end.
   */
  readonly only?: readonly string[] | undefined;
  /**
   * Asked whether to take what is shared, or which paths of it, once it is known what that is; and
   * again if it proves to be much more. Without it, all is taken: whoever calls this has asked for it.
   */
  readonly accept?:
    | ((offer: Offer, signal: AbortSignal) => Promise<boolean | readonly string[]>)
    | undefined;
}

/**
 * Fetches what one peer shares. When the connection is lost, it finds the peer again and goes on.
 * Ends when all of it is verified on the disk and the other side was told so, with the summary. What
 * did not come was told as `error` events and the summary is not `ok`; it throws a `DropError` if the
 * transfer as a whole did not come to its end.
 */
export function get(options: GetOptions): AsyncGenerator<GetEvent, Summary> {
  return follow((emit, signal) => getAll(options, emit, signal), options.signal);
}

async function getAll(
  options: GetOptions,
  tell: (event: GetEvent) => void,
  signal: AbortSignal,
): Promise<Summary> {
  const { from, only = [], wait = 10_000, waitAgain = 120_000 } = options;
  const choice = await chosenBy(only);
  const self = await openSelf(options);
  const saving = await Saving.prepare(self, options, signal);
  const emit = saving.recording(tell);
  const { makePorch } = await import('./meeting/look.ts');
  const porch = makePorch(self, 'get', options);
  let fetching: Fetching | undefined;
  const control = followOne(options.control, () => fetching?.reception);
  try {
    const contact = new Contact(
      self,
      porch,
      {
        ...options,
        to: from,
        way: 'get',
        continues: () => fetching?.accepted,
        onKnock: ({ name }: Target) => emit({ event: 'knocking', name }),
      },
      AbortSignal.any([signal, control.signal]),
    );
    // Thirty may want it at once.
    const meeting = await contact.first(wait, waitAgain);
    const { peer, paired } = meeting;
    if (paired) emit({ event: 'paired', ...peer, via: paired });
    emit({ event: 'waiting', ...peer });

    fetching = new Fetching({ self, saving, peer, choice, accept: options.accept, emit });
    const { sums } = fetching;
    try {
      const onRetry: OnRetry = (reason, next) => sums.lost(reason, next);
      const { fetch } = fetching;
      await contact.carry(meeting, { wait: waitAgain, onRetry }, (now) =>
        fetch(now, (report) => {
          if (/moved|stored|skipped/.test(report.type)) contact.held();
        }),
      );
      for (const path of choice.unmatched)
        sums.fail(
          new DropError('incomplete', { message: 'Nothing of this name is shared.', path }),
        );
      return sums.end();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof DropError) sums.giveUp(error);
      throw error;
    }
  } finally {
    control.detach();
    await Promise.all([porch.close(), fetching?.close()]);
    await saving.close();
  }
}

/** What is fetched from one peer, over all connections that it takes. */
class Fetching {
  readonly sums: Progress;
  readonly #self: Self;
  readonly #saving: Saving;
  readonly #peer: Device;
  readonly #all: boolean;
  #wants: (entry: Entry) => boolean;
  readonly #accept: GetOptions['accept'];
  readonly #emit: (event: GetEvent) => void;
  readonly #awake = new Awake();
  #reception: Reception;

  constructor({
    self,
    saving,
    peer,
    choice,
    accept,
    emit,
  }: {
    readonly self: Self;
    readonly saving: Saving;
    readonly peer: Device;
    readonly choice: Choice;
    readonly accept: GetOptions['accept'];
    readonly emit: (event: GetEvent) => void;
  }) {
    this.#self = self;
    this.#saving = saving;
    this.#peer = peer;
    this.#all = choice.all;
    this.#wants = choice.wants;
    this.#reception = newReception(choice.wants);
    this.#accept = accept;
    this.#emit = emit;
    this.sums = new Progress(peer, emit, { keeps: saving.keeps });
  }

  /** Another one once the other side has forgotten the first. */
  get reception(): Reception {
    return this.#reception;
  }

  /** The transfer that can go on, if one was begun. */
  get accepted(): string | undefined {
    const { roots, transfer } = this.#reception;
    return roots === undefined ? undefined : transfer;
  }

  /** Receives what one connection can carry. */
  readonly fetch = async (meeting: Meeting, heard: (report: Report) => void): Promise<void> => {
    const over = new AbortController();
    const vigil = new Vigil(this.#awake);
    try {
      await runReceiver(meeting.channel, this.#host(meeting, over.signal), (report) => {
        vigil.hear(report);
        heard(report);
        this.sums.tell(report);
      });
    } finally {
      over.abort();
      vigil.end();
    }
  };

  /** What came of a file that is not whole is kept for the next time. */
  async close(): Promise<void> {
    await this.#reception.inbox?.close();
  }

  #host({ channel, connection }: Meeting, over: AbortSignal): Host {
    return {
      freely: this.#accept === undefined,
      digests: this.#saving.hashers.names,
      codecs: builtInCodecs(),
      reception: async (continues) => {
        if (this.accepted !== undefined && continues !== this.accepted) await this.#restart();
        return this.#reception;
      },
      admits: (offered) => {
        const opened = this.#reception.inbox !== undefined;
        // How much a part is, only its entries say.
        const roots = this.#all ? offered.roots : [];
        const refused = this.#saving.refuses({ ...offered, roots }, { opened });
        // Nobody declined it: it is what we were told to do.
        if (refused === 'one-file' && this.#saving.into !== null)
          throw new DropError('usage', MORE_THAN_A_NAME);
        if (refused !== undefined) throw new DropError(refused, OWN_WORDS[refused]);
        return 'yes';
      },
      ask: ({ entries: _, ...extent }, gone, entries) => this.#ask(extent, gone, entries),
      dial: (port) => {
        // What we dialled needs no other.
        if (!connection.dialled)
          void channel.expect(dialForData(connection, port, this.#self.identity, over));
      },
      open: (incoming) => {
        const { transfer } = this.#reception;
        return this.#saving.open({ transfer, peer: this.#peer, known: true, ...incoming });
      },
    };
  }

  /** The other side was started anew, or has forgotten us: what is on the disk answers the rest. */
  async #restart(): Promise<void> {
    await this.close();
    const { on } = this.#reception.pause;
    this.#reception = newReception(this.#wants);
    this.#reception.pause.on = on;
    this.sums.tell({ type: 'restarted' });
  }

  async #ask(
    extent: Extent,
    gone: AbortSignal,
    entries: readonly Entry[],
  ): Promise<'yes' | ErrorCode> {
    const peer = this.#peer;
    const offer = { ...extent, roots: extent.roots.slice(0, SHOWN_ROOTS) };
    this.#emit({ event: 'offer', transfer: this.#reception.transfer, peer, ...offer });
    if (this.#accept === undefined) return 'yes';
    const wanted = entries.filter(this.#wants);
    const parts = extent.final && this.accepted === undefined ? partsOf(wanted) : [];
    const asked = this.#accept({ ...offer, from: peer, parts }, gone);
    const answer = await unlessAborted(asked, gone);
    if (answer === false) throw new DropError('declined', { message: 'You did not want it.' });
    if (answer !== true) this.#narrow(answer);
    return 'yes';
  }

  /** Takes only these paths of it. */
  #narrow(paths: readonly string[]): void {
    const wants = markedBy(paths);
    const before = this.#wants;
    this.#wants = (entry) => before(entry) && wants(entry);
    this.#reception.narrow(wants);
  }
}

/** What a sender reads of our rules is about the other side. */
const OWN_WORDS: { readonly [Code in ErrorCode]?: DropErrorOptions } = {
  'one-file': {
    message: 'What is shared is more than one file, and a pipe takes one.',
    hint: 'Choose one of it: drop get --stdout --only PATH',
  },
  'too-large': {
    message: 'What is shared is larger than --max-size.',
    hint: 'Take a part of it by --only, or allow more.',
  },
};

const MORE_THAN_A_NAME: DropErrorOptions = {
  message: 'What is to come is no single file, and --as is the name of one.',
  hint: 'Take one file of it by --only, or leave out --as.',
};
