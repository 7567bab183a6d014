import { randomInt } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { defaultDownloads } from './disk/home.ts';
import { checkTarget, type OnConflict, openInbox } from './disk/inbox.ts';
import { openStagings, type Stagings } from './disk/staging.ts';
import { DropError, type ErrorCode } from './errors.ts';
import type { Device, Extent, PeerId, ReceiveEvent } from './events.ts';
import { exchangeNames, keepAlive } from './meet.ts';
import { canonical, formatAddress, isLinkLocal } from './net/addresses.ts';
import { isOwnAddress, listLinks } from './net/links.ts';
import type { Announcer } from './net/mdns.ts';
import { PORTS } from './net/ports.ts';
import { newRun } from './net/run.ts';
import type { Connection } from './net/tls.ts';
import { Progress } from './progress.ts';
import { CodeGuard } from './protocol/code.ts';
import { type CommonOptions, openSelf, type Self } from './self.ts';
import { Channel } from './transfer/channel.ts';
import { follow } from './transfer/follow.ts';
import { type Greeted, greetAsAnnouncer } from './transfer/greeting.ts';
import { runReceiver } from './transfer/receiver.ts';
import { type Transfer, Transfers } from './transfers.ts';

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
  /** What happens to a file when another one of its name is there; by default both are kept. */
  readonly onConflict?: OnConflict | undefined;
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
  await checkTarget(into); // So that what is wrong with the folder is said now.
  const stagings = await openStagings(self.home);
  await stagings.clear();
  const [{ listen }, { announce }] = await Promise.all([
    import('./net/tls.ts'),
    import('./net/mdns.ts'),
  ]);

  const enough = new AbortController();
  const guard = newcomers ? new CodeGuard(drawCode) : undefined;
  const guests = new Guests();
  const transfers = new Transfers();
  let shown = guard?.code;
  const house: House = {
    self,
    options: { ...options, into },
    guard,
    guests,
    stagings,
    transfers,
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
  setMaxListeners(0, outer); // Each visit listens to it.

  const visits = new Set<Promise<void>>();
  const listener = await listen(
    port === undefined ? PORTS : [port],
    self.identity,
    (connection) => {
      const visit = host(house, connection, outer).finally(() => visits.delete(visit));
      visits.add(visit);
    },
    (local) => isAmong(local, options.interfaces),
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
    await ended(AbortSignal.any([outer, enough.signal]));
  } finally {
    listener.close();
    await Promise.all([announcer?.close(), ...visits]);
    await transfers.close();
  }
}

/** Visits of one device, and of all, at a time. Bounds what known devices hold before any yes. */
const MAX_VISITS_EACH = 4;
const MAX_VISITS = 32;

/** Counts the visits of devices that are greeted. */
class Guests {
  readonly #counts = new Map<PeerId, number>();
  #all = 0;

  /** Throws `busy` if there are too many. Returns what to call when the visit is over. */
  enter(id: PeerId): () => void {
    const count = this.#counts.get(id) ?? 0;
    if (count >= MAX_VISITS_EACH || this.#all >= MAX_VISITS) throw new DropError('busy');
    this.#counts.set(id, count + 1);
    this.#all += 1;
    return () => {
      const left = (this.#counts.get(id) ?? 1) - 1;
      if (left > 0) this.#counts.set(id, left);
      else this.#counts.delete(id);
      this.#all -= 1;
    };
  }
}

/** What all visits share. */
interface House {
  readonly self: Self;
  readonly options: ReceiveOptions & { readonly into: string };
  readonly guard: CodeGuard | undefined;
  readonly guests: Guests;
  readonly stagings: Stagings;
  readonly transfers: Transfers;
  readonly emit: (event: ReceiveEvent) => void;
  /** Tells the code, if it is another one than was last told. */
  readonly showCode: () => void;
  /** A transfer came to its end. */
  readonly finished: () => void;
}

/** One connection, from the greeting to the end. Whatever happens in it ends in it. */
async function host(house: House, connection: Connection, signal: AbortSignal): Promise<void> {
  const channel = new Channel('announcer', connection);
  const stop = (): void => channel.fail(new DropError('cancelled', { message: 'You stopped it.' }));
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    // A stranger makes nothing appear: what goes wrong until here is between the two programs.
    const greeted = await admit(house, channel, connection);
    if (greeted !== null) await visit(house, channel, connection, greeted);
  } catch (error) {
    channel.fail(error);
    // A bug in one visit must not end all of them.
    if (!(error instanceof DropError))
      house.emit(failure(new DropError('internal', { cause: error })));
  } finally {
    house.showCode();
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

/** The visit of a device that is greeted: one transfer, or one more connection of it. */
async function visit(
  house: House,
  channel: Channel,
  connection: Connection,
  greeted: Greeted,
): Promise<void> {
  const { self, options, stagings, transfers, emit } = house;
  const id = connection.peer;
  const leave = house.guests.enter(id);
  let peer: Device = { id, name: id.slice(0, 8) };
  let stopBeating = (): void => {};
  let transfer: Transfer | undefined;
  try {
    // The time limit of the greeting covers the names, too.
    const itsName = await exchangeNames(channel, self.name, id);
    connection.greeted();
    stopBeating = keepAlive(channel);
    if (channel.session.role !== 'receiver') throw new DropError('refused');
    if (greeted === 'paired') await self.trust.add({ id, name: itsName });
    else await self.trust.seen(id);
    const known = await self.trust.get(id);
    peer = { id, name: known?.name ?? itsName };
    if (greeted === 'paired') emit({ event: 'paired', ...peer });
    house.showCode();

    const from = peer;
    const sums = (name: string): Progress => new Progress(from, emit, { transfer: name });
    const current = transfers.begin(id, sums);
    // Our own computer needs no leave, nor does a device that is trusted to.
    const freely = id === self.identity.id || known?.trust === 'auto';
    // Reading out the code was a yes, to one question.
    let given = greeted === 'paired';
    await runReceiver(
      channel,
      {
        freely,
        async reception(continues) {
          transfer =
            continues === null ? undefined : await transfers.takeUp(id, continues, channel);
          return (transfer ?? current).reception;
        },
        async open({ roots, checksum }) {
          await transfers.giveWay(id, roots);
          const { into, as, onConflict } = options;
          return openInbox(into, { peer: id, stagings, roots, as, checksum, onConflict });
        },
        async ask(extent, gone) {
          const name = (transfer ?? current).reception.transfer;
          const request = {
            transfer: name,
            from,
            ...extent,
            roots: extent.roots.slice(0, SHOWN_ROOTS),
          };
          emit({ event: 'request', peer: from, ...request });
          const answer = freely || given ? 'yes' : await answerTo(request, options.accept, gone);
          given = false;
          if (answer !== 'yes' && !gone.aborted)
            emit({ event: 'declined', transfer: name, peer: from, reason: answer });
          if (answer === 'yes' && transfer === undefined) {
            transfer = current;
            transfers.hold(current, channel);
          }
          return answer;
        },
      },
      (report) => (transfer ?? current).sums.tell(report),
    );
    if (transfer === undefined) throw new DropError('protocol');
    await transfers.end(transfer);
    transfer.sums.end();
    house.finished();
  } catch (error) {
    if (transfer !== undefined) await stopTransfer(transfer, error);
    else if (error instanceof DropError && error.exit !== 4) emit({ ...failure(error), peer });
    throw error;
  } finally {
    stopBeating();
    leave();
  }

  async function stopTransfer(stopped: Transfer, error: unknown): Promise<void> {
    const { sums } = stopped;
    const lost = error instanceof DropError && error.code === 'disconnected';
    if (lost) return transfers.release(stopped);
    await transfers.end(stopped);
    if (!(error instanceof DropError)) return;
    sums.fail(error);
    sums.end();
  }
}

/** An event names at most so many roots. */
const SHOWN_ROOTS = 100;

async function answerTo(
  request: Request,
  accept: Accept | undefined,
  gone: AbortSignal,
): Promise<'yes' | ErrorCode> {
  if (accept === undefined) return 'refused';
  const said = accept(request, gone).then((answer): 'yes' | ErrorCode => {
    if (answer === 'no-answer') return answer;
    return answer ? 'yes' : 'declined';
  });
  return Promise.race([said, ended(gone).then(() => 'no-answer' as const)]);
}

/** Whether an address of ours belongs to one of the named interfaces, if any are named. */
function isAmong(local: string, interfaces: readonly string[] | undefined): boolean {
  if (interfaces === undefined || interfaces.length === 0) return true;
  const networks = listLinks({ interfaces }).flatMap((link) => link.networks);
  return networks.some(({ address }) => canonical(address) === canonical(local));
}

/** What others may type: a link-local address means something else to each, so only without others. */
function reachable({ interfaces }: ReceiveOptions, port: number): string[] {
  const all = listLinks({ interfaces }).map(({ address }) => address);
  const global = all.filter((address) => !isLinkLocal(address));
  return (global.length > 0 ? global : all).map((host) => formatAddress({ host, port }));
}

function failure({ code, message, hint }: DropError) {
  return { event: 'error' as const, code, message, ...(hint === undefined ? {} : { hint }) };
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
