import { randomBytes, randomInt } from 'node:crypto';
import { defaultDownloads } from './disk/home.ts';
import { openInbox } from './disk/inbox.ts';
import { DropError, type ErrorCode } from './errors.ts';
import type { Device, Extent, ReceiveEvent } from './events.ts';
import { exchangeNames, keepAlive } from './meet.ts';
import { formatAddress, isLinkLocal } from './net/addresses.ts';
import { isOwnAddress, listLinks } from './net/links.ts';
import type { Announcer } from './net/mdns.ts';
import { newRun } from './net/names.ts';
import { PORTS } from './net/ports.ts';
import type { Connection } from './net/tls.ts';
import { Progress } from './progress.ts';
import { CodeGuard } from './protocol/code.ts';
import { type CommonOptions, openSelf, type Self } from './self.ts';
import { Channel } from './transfer/channel.ts';
import { follow } from './transfer/follow.ts';
import { type Greeted, greetAsAnnouncer } from './transfer/greeting.ts';
import { runReceiver } from './transfer/receiver.ts';

/** What a person is asked about. */
export interface Request extends Extent {
  readonly from: Device;
  readonly transfer: string;
}

export interface ReceiveOptions extends CommonOptions {
  /** Where files land; by default the person's folder for downloads. */
  readonly into?: string | undefined;
  /** This device, as others see it. */
  readonly name?: string | undefined;
  /** The only port to listen on; by default the first free one of 23767 to 23776, or any. */
  readonly port?: number | undefined;
  /** Ends after one transfer that came to its end. */
  readonly once?: boolean | undefined;
  /** The name under which a single incoming file is saved. */
  readonly as?: string | undefined;
  /** Whether new devices are let in, by the code of the `ready` event; true by default. */
  readonly newcomers?: boolean | undefined;
  /**
   * Asked about what known devices offer, unless they are trusted to be `auto`; without it only
   * these are let in. The signal says that the sender waits no more.
   */
  readonly accept?: Accept | undefined;
}

export type Accept = (request: Request, signal: AbortSignal) => Promise<boolean | 'no-answer'>;

/**
 * Announces this device and stores what others send, until the signal is aborted. What goes
 * wrong with one sender is told as an event and concerns no other; it throws only if it cannot
 * begin.
 */
export function receive(options: ReceiveOptions = {}): AsyncGenerator<ReceiveEvent, void> {
  return follow((emit, signal) => receiveAll(options, emit, signal), options.signal);
}

async function receiveAll(
  options: ReceiveOptions,
  emit: (event: ReceiveEvent) => void,
  outer: AbortSignal,
): Promise<void> {
  const { into = await defaultDownloads(), port, once = false, newcomers = true } = options;
  const self = await openSelf(options);
  await (await openInbox(into)).close(); // So that what is wrong with the folder is said now.
  const [{ listen }, { announce }] = await Promise.all([
    import('./net/tls.ts'),
    import('./net/mdns.ts'),
  ]);

  const enough = new AbortController();
  const signal = AbortSignal.any([outer, enough.signal]);
  const guard = newcomers ? new CodeGuard(drawCode) : undefined;
  const visits = new Set<Promise<void>>();
  let shown = guard?.code;
  const house: House = {
    self,
    options,
    into,
    guard,
    emit,
    showCode() {
      if (guard === undefined || guard.code === shown) return;
      shown = guard.code;
      emit({ event: 'code', code: shown });
    },
    finished() {
      if (once) enough.abort();
    },
  };

  const listener = await listen(
    port === undefined ? PORTS : [port],
    self.identity,
    (connection) => {
      const visit = host(house, connection, signal).finally(() => visits.delete(visit));
      visits.add(visit);
    },
  );
  let announcer: Announcer | undefined;
  try {
    announcer = announce(
      { name: self.name, run: newRun(), port: listener.port },
      { interfaces: options.interfaces },
    );
    emit({
      event: 'ready',
      name: self.name,
      id: self.identity.id,
      port: listener.port,
      addresses: reachable(options, listener.port),
      code: guard?.code ?? null,
      into,
    });
    await ended(signal);
  } finally {
    listener.close();
    await Promise.all([announcer?.close(), ...visits]);
  }
}

/** What all visits share. */
interface House {
  readonly self: Self;
  readonly options: ReceiveOptions;
  readonly into: string;
  readonly guard: CodeGuard | undefined;
  readonly emit: (event: ReceiveEvent) => void;
  /** Tells the code, if it is another one than was last told. */
  readonly showCode: () => void;
  /** A transfer came to its end. */
  readonly finished: () => void;
}

/** One connection, from the greeting to the end. Whatever happens in it ends in it. */
async function host(house: House, connection: Connection, signal: AbortSignal): Promise<void> {
  const channel = new Channel('announcer', connection);
  const stop = (): void => void channel.fail(new DropError('cancelled'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    // A stranger makes nothing appear: what goes wrong until here is between the two programs.
    const greeted = await admit(house, channel, connection);
    if (greeted === null) return;
    connection.greeted();
    const stopBeating = keepAlive(channel);
    try {
      await take(house, channel, connection, greeted);
    } finally {
      stopBeating();
    }
  } catch (error) {
    house.showCode();
    await channel.fail(error);
    // A bug in one visit must not end all of them.
    if (!(error instanceof DropError))
      house.emit(failure(new DropError('internal', { cause: error })));
  } finally {
    signal.removeEventListener('abort', stop);
    await connection.end();
  }
}

async function admit(
  { self, guard }: House,
  channel: Channel,
  { peer, binding, remote }: Connection,
): Promise<Greeted | null> {
  const ours = peer === self.identity.id;
  if (ours && !isOwnAddress(remote)) throw new DropError('clone');
  const known = await self.trust.get(peer);
  const blocked = known?.trust === 'blocked';
  return greetAsAnnouncer(
    channel,
    { me: self.identity.id, peer, binding },
    {
      knows: ours || (known !== undefined && !blocked),
      guard: blocked ? undefined : guard,
      now: () => performance.now(),
    },
  );
}

/** A transfer from a device that is greeted. */
async function take(
  { self, options, into, emit, showCode, finished }: House,
  channel: Channel,
  connection: Connection,
  greeted: Greeted,
): Promise<void> {
  const { trust, identity, name } = self;
  const id = connection.peer;
  const itsName = await exchangeNames(channel, name, id);
  if (channel.session.role !== 'receiver') throw new DropError('refused');
  if (greeted === 'paired') await trust.add({ id, name: itsName });
  else await trust.seen(id);
  const known = await trust.get(id);
  const peer = { id, name: known?.name ?? itsName };
  if (greeted === 'paired') emit({ event: 'paired', ...peer });
  showCode();

  const transfer = randomBytes(16).toString('hex');
  const progress = new Progress(peer, emit, { transfer });
  const inbox = await openInbox(into, { as: options.as });
  let accepted = false;
  let declined = false;
  // Our own computer needs no leave, nor does a device that is trusted to.
  const freely = id === identity.id || known?.trust === 'auto';
  // Reading out the code was one.
  let leave = greeted === 'paired' ? 1 : 0;
  try {
    await runReceiver(
      channel,
      inbox,
      {
        transfer,
        freely,
        async ask(extent, signal) {
          emit({ event: 'request', transfer, peer, from: peer, ...shown(extent) });
          const answer =
            freely || leave-- > 0
              ? 'yes'
              : await answerOf({ transfer, from: peer, ...extent }, signal);
          accepted = answer === 'yes';
          declined = !accepted;
          if (answer !== 'yes') emit({ event: 'declined', transfer, peer, reason: answer });
          return answer;
        },
      },
      progress.tell,
    ).finally(() => inbox.close());
    progress.end();
    finished();
  } catch (error) {
    if (accepted && error instanceof DropError) {
      progress.fail(error);
      progress.end();
    } else if (!declined && error instanceof DropError) emit({ ...failure(error), peer });
    throw error;
  }

  async function answerOf(request: Request, signal: AbortSignal): Promise<'yes' | ErrorCode> {
    if (options.accept === undefined) return 'refused';
    const gone = ended(signal).then(() => 'no-answer' as const);
    const said = options.accept(request, signal).then((answer): 'yes' | ErrorCode => {
      if (answer === 'no-answer') return answer;
      return answer ? 'yes' : 'declined';
    });
    return Promise.race([said, gone]);
  }
}

function failure({ code, message, hint }: DropError) {
  return { event: 'error' as const, code, message, ...(hint === undefined ? {} : { hint }) };
}

/** What others may type: a link-local address means something else to each, so only without others. */
function reachable({ interfaces }: ReceiveOptions, port: number): string[] {
  const all = listLinks({ interfaces }).map(({ address }) => address);
  const global = all.filter((address) => !isLinkLocal(address));
  return (global.length > 0 ? global : all).map((host) => formatAddress({ host, port }));
}

/** An event names at most a hundred roots. */
function shown(extent: Extent): Extent {
  return { ...extent, roots: extent.roots.slice(0, 100) };
}

/** Six digits, each as likely as any, leading zeros kept. */
function drawCode(): string {
  return String(randomInt(1_000_000)).padStart(6, '0');
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
