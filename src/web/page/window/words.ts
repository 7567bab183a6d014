import {
  formatBytes,
  formatClock,
  formatCount,
  formatFirst,
  formatNames,
  formatOffer,
  formatRoots,
} from '../../../figures.ts';
import { MAX_READ_OUT } from '../../../limits.ts';
import type { Nearby, Transfer, Urgent, View } from '../../window/model.ts';
import { clean } from '../clean.ts';

/** What the page says of things, in sentences. */

/** How it stands with a device, for the person who may choose it. */
export function standingOf({ standing, name, shares }: Nearby): string {
  switch (standing) {
    case 'self':
      return 'This computer: another drop runs on it';
    case 'paired':
      return 'Known';
    case 'new':
      return shares ? 'New: it may ask for a code' : 'New: you will type the code that it shows';
    case 'namesake':
      return `NOT the “${clean(name)}” you know: another device with that name`;
    case 'blocked':
      return 'Blocked by you';
    case 'clone':
      return 'A copy of this computer, with the same key: nothing can be shared with it';
    case 'silent':
      return 'Does not answer: a firewall, often. It is asked to call back';
  }
}

/** Whether anything can be done with a device. */
export function isOpen({ standing }: Nearby): boolean {
  return standing !== 'blocked' && standing !== 'clone';
}

export function sharingOf({ offer }: Nearby): string {
  return `Shares ${offer === undefined ? 'something' : formatOffer(offer, clean)}`;
}

/** `report.pdf and 2 more`. */
export function whatOf({ what, direction }: Transfer): string {
  if (what.length > 0) return formatFirst(what, clean);
  return direction === 'out' ? 'What you send' : 'What comes';
}

export function isLive({ state }: Transfer): boolean {
  return LIVE.has(state);
}

const LIVE: ReadonlySet<Transfer['state']> = new Set([
  'calling',
  'waiting',
  'running',
  'paused',
  'held',
  'lost',
]);

/** How it stands with a transfer. */
export function stateOf({ state, direction, device, failed }: Transfer): string {
  const name = clean(device.name);
  const isOut = direction === 'out';
  switch (state) {
    case 'calling':
      return `Calling ${name}…`;
    case 'waiting':
      return `Waiting for ${name} to ${isOut ? 'accept' : 'agree'}…`;
    case 'running':
      return isOut ? 'Sending' : 'Receiving';
    case 'paused':
      return 'Paused';
    case 'held':
      return `Paused by ${name}`;
    case 'lost':
      return 'Connection lost, trying again…';
    case 'done':
      if (failed > 0) return `Done, but ${formatCount(failed, 'file')} failed`;
      return isOut ? 'Sent' : 'Received';
    case 'declined':
      return isOut ? `${name} declined` : 'Declined';
    case 'interrupted':
      return 'Interrupted';
    case 'cancelled':
      return 'Cancelled';
    case 'failed':
      return 'Failed';
  }
}

/** What to do about it, or where to look for it, where there is something. */
export function adviceOf({ state, direction, begun, device, renamed }: Transfer): string {
  const name = clean(device.name);
  if (state !== 'interrupted') return renamed === null ? '' : otherNames(renamed);
  if (direction === 'out')
    return begun === 'here'
      ? `Drop the same files on ${name} again: it goes on where it was.`
      : `It goes on where it was when ${name} fetches it again.`;
  return begun === 'here'
    ? 'What came is kept: get it again, and it goes on.'
    : `What came is kept: it goes on when ${name} sends the same again.`;
}

function otherNames({ count, offered, name }: NonNullable<Transfer['renamed']>): string {
  const [before, after] = [clean(offered), clean(name)];
  return count === 1
    ? `“${before}” is saved as “${after}”.`
    : `${formatCount(count, 'file')} are saved under other names: “${before}” as “${after}”, for instance.`;
}

/** `45.2 MB of 100.0 MB`, the rate, the time left, and which file. */
export function figuresOf(transfer: Transfer): readonly string[] {
  const { bytes, total, rate, left, files, ofFiles, resumed, leftOut, state } = transfer;
  const taken = leftOut === 1 ? 'its name is taken' : 'their names are taken';
  const isRunning = state === 'running';
  const amount =
    total === null || !isLive(transfer)
      ? formatBytes(bytes)
      : `${formatBytes(bytes)} of ${formatBytes(total)}`;
  return [
    ...(state === 'calling' || (bytes === 0 && state !== 'running') ? [] : [amount]),
    ...(isRunning ? [`${formatBytes(Math.round(rate))}/s`] : []),
    ...(isRunning && left !== null ? [`${formatClock(left / 1000)} left`] : []),
    ...(ofFiles !== null && ofFiles > 1 ? [`${files} of ${formatCount(ofFiles, 'file')}`] : []),
    ...(resumed > 0 ? [`${formatBytes(resumed)} were there already`] : []),
    ...(leftOut > 0 ? [`${formatCount(leftOut, 'file')} left out: ${taken}`] : []),
  ];
}

/** How far a transfer has come, in a few words. */
export function progressOf(transfer: Transfer): string {
  const { state, bytes, total, left } = transfer;
  if (state !== 'running') return stateOf(transfer);
  const percent = total === null ? '' : ` ${percentOf(bytes, total)} %`;
  const clock = left === null ? '' : `, ${formatClock(left / 1000)} left`;
  return `${stateOf(transfer)}${percent}${clock}`;
}

/** Whole percent, never 100 before the end. */
function percentOf(bytes: number, total: number): number {
  return total === 0 ? 100 : Math.floor((100 * bytes) / total);
}

/** How far that is on a bar of a thousand; null where nobody can tell. */
export function shareOf({ state, bytes, total }: Transfer): string | null {
  if (total === null || state === 'calling' || state === 'waiting') return null;
  return String(total === 0 ? 1000 : Math.floor((1000 * bytes) / total));
}

/** What is asked, in one line. */
export function titleOf(question: Urgent): string {
  const name = clean(question.device.name);
  switch (question.kind) {
    case 'accept':
      return `${name} wants to send you ${formatRoots(question.offer, clean)}`;
    case 'code':
      return question.needs === 'pin' ? `PIN of ${name}` : `Code shown on ${name}`;
    case 'doubt':
      return question.doubt === 'unverified'
        ? `Anyone could call itself ${name}`
        : `“${clean(question.claimed)}” is your ${name}`;
    case 'call':
      return `Call back ${name}?`;
    case 'fetch':
      return `${name} wants to fetch ${formatFirst(question.what, clean)}`;
    case 'offer':
      return `What do you want from ${name}?`;
  }
}

/** What can be seen of it all where only the name of the window is seen. */
export function windowTitle({ device, questions, transfers }: View): string {
  const asked = questions.filter((question) => question.kind !== 'unlock');
  const [first] = asked;
  if (first !== undefined) return `(${asked.length}) ${titleOf(first)} – drop`;
  const percent = percentOfAll(transfers);
  if (percent !== '') return `${percent} – drop`;
  return transfers.some(isRunning) ? 'Under way – drop' : `drop – ${clean(device.name)}`;
}

/** `3 under way, 38 %`. */
export function underWayOf(transfers: readonly Transfer[]): string {
  const live = transfers.filter(isLive);
  return [`${live.length} under way`, percentOfAll(live)].filter(Boolean).join(', ');
}

/** How far all have come together that run; empty where nobody can tell. */
function percentOfAll(transfers: readonly Transfer[]): string {
  const sized = transfers.filter((one) => isRunning(one) && one.total !== null);
  const total = sum(sized.map((one) => one.total ?? 0));
  return total === 0 ? '' : `${percentOf(sum(sized.map(({ bytes }) => bytes)), total)} %`;
}

function isRunning({ state }: Transfer): boolean {
  return state === 'running';
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0);
}

/** What has come to pass between two views, for those who do not see it. */
export function newsBetween(before: View, after: View): readonly string[] {
  const newIn = (list: readonly Nearby[], other: readonly Nearby[], shares: boolean): string[] => {
    const there = new Set(other.map(({ key }) => key));
    const those = list.filter((one) => one.shares === shares && !there.has(one.key));
    return those.map(({ name }) => clean(name));
  };
  const say = (names: readonly string[], one: string, several: string): readonly string[] =>
    names.length === 0 ? [] : [`${formatNames(names)} ${names.length === 1 ? one : several}.`];
  const [are, were] = [after.nearby, before.nearby];
  const states = new Map(before.transfers.map(({ id, state }) => [id, state]));
  const ids = new Set([...before.messages, ...before.troubles].map(({ id }) => id));
  return [
    ...say(newIn(are, were, false), 'can be reached', 'can be reached'),
    ...say(newIn(are, were, true), 'shares something', 'share something'),
    ...say(newIn(were, are, false), 'is not there any more', 'are not there any more'),
    ...say(newIn(were, are, true), 'shares nothing any more', 'share nothing any more'),
    ...after.transfers.filter(({ id, state }) => states.get(id) !== state).map(newsOf),
    ...after.messages
      .filter(({ id }) => !ids.has(id))
      .map(({ from, text }) => `Message from ${clean(from.name)}: ${readOut(text)}`),
    ...after.troubles.filter(({ id }) => !ids.has(id)).map(({ message }) => clean(message)),
  ];
}

/** As much of a message as is read out at once; all of it stands in the window. */
function readOut(text: string): string {
  const line = clean(text.replace(/\s+/g, ' ').trim());
  if (line.length <= MAX_READ_OUT) return line;
  // No half of a character.
  const start = line.slice(0, MAX_READ_OUT).replace(/[\ud800-\udbff]$/, '');
  return `${start}…`;
}

/** How it stands with a transfer, and if it is over, why, and what to do. */
function newsOf(transfer: Transfer): string {
  const { direction, device, failure } = transfer;
  const whom = `${direction === 'out' ? 'to' : 'from'} ${clean(device.name)}`;
  const state = stateOf(transfer);
  const begun = `${whatOf(transfer)}, ${whom}: ${state}${state.endsWith('…') ? '' : '.'}`;
  if (isLive(transfer)) return begun;
  return [begun, clean(failure?.message ?? ''), adviceOf(transfer)].filter(Boolean).join(' ');
}

/** Before the first view. */
export const NOTHING: View = {
  device: {
    name: '',
    id: '',
    into: '',
    code: null,
    locked: false,
    hidden: null,
    addresses: [],
    closed: null,
  },
  nearby: [],
  nobody: null,
  questions: [],
  sharings: [],
  transfers: [],
  messages: [],
  known: [],
  history: [],
  troubles: [],
  calls: [],
};
