import { formatQuiet } from '../../figures.ts';
import {
  type ErrorCode,
  forTerminal,
  type LentEntry,
  type Offered,
  type Risk,
} from '../../index.ts';
import { MAX_NAME, MAX_PATH } from '../../limits.ts';
import { hintHere, messageHere } from './advice.ts';
import type { Said, Transfer } from './model.ts';

/* What others have written, made fit to be shown; and as much of it as a page needs. */

export function clean(text: string): string {
  return forTerminal(text, MAX_PATH);
}

export function cleanName(name: string): string {
  return forTerminal(name, MAX_NAME);
}

export function deviceOf({
  name,
  id,
}: {
  readonly name: string;
  readonly id: string;
}): Transfer['device'] {
  return { name: cleanName(name), id: shortId(id) };
}

/** As much of an id as people compare. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

/** The first of some names. */
export function firstOf(roots: readonly string[]): string[] {
  return roots.slice(0, NAMED).map(cleanName);
}

/** The names at the top of what is lent. */
export function rootsOf(entries: readonly LentEntry[]): string[] {
  return [...new Set(entries.map(({ path }) => path.split('/')[0] ?? ''))];
}

export function offerOf({ files, texts, bytes, sized, final, roots }: Offered): Offered {
  return { files, texts, bytes, sized, final, roots: roots.map(cleanName) };
}

export function riskOf({ example, ...risk }: Risk): Risk {
  return { ...risk, ...(example === undefined ? {} : { example: clean(example) }) };
}

/** What went wrong, and with whom, if it is known whom. */
export function troubleWith({
  peer,
  ...error
}: Said & {
  readonly code: ErrorCode;
  readonly peer?: { readonly name: string };
}): Said {
  const message = messageHere(error.message);
  return {
    message: peer === undefined ? message : `${cleanName(peer.name)}: ${message}`,
    hint: hintHere(error.hint, error.code),
  };
}

/** That nobody is asked about a device for a while. */
export function quietOf(device: { readonly name: string }, ms: number): Said {
  return { message: formatQuiet(`“${cleanName(device.name)}”`, ms) };
}

/** Names of what goes over that are shown. */
const NAMED = 10;
