import filenamify from 'filenamify/browser';
import type { Device } from '../events.ts';
import { MAX_DEVICE_NAME } from '../limits.ts';
import { utf8 } from './bytes.ts';

/** Whose rules a name must obey. Windows is the strict one; macOS takes what POSIX takes. */
export type Platform = 'posix' | 'darwin' | 'windows';

export interface Place {
  readonly platform: Platform;
  /** Whether it lands directly in the person's folder, not in a folder that was sent with it. */
  readonly top: boolean;
}

/** Bytes of one name: what ext4, APFS, btrfs and XFS take, and never more than NTFS does. */
export const MAX_FILE_NAME = 255;

/** Bytes of an extension that is kept when a name is cut. Longer ones are no extensions. */
const MAX_EXTENSION = 32;

/**
 * The name under which an offered name (see `isName`) can be created without harm: the same
 * wherever nothing is wrong with it, else the nearest that is safe. It is one component, has
 * nothing invisible or misleading in it and at most `MAX_FILE_NAME` bytes; and it is safe
 * already: `safeName` of it is the same.
 */
export function safeName(name: string, place: Place): string {
  if (PLAIN.test(name) && place.platform !== 'windows') return name;
  // One repair may call for another: what is left of a cut name may end in a dot.
  for (let safe = name; ; ) {
    const before = safe;
    safe = repair(safe, place);
    if (safe === before) return safe;
  }
}

/** A name in which nothing can be wrong but to Windows; nearly all are. */
const PLAIN = /^[A-Za-z0-9_][\w.+ -]{0,63}$/;

/** The name to try instead, if `name` is taken: `report.pdf`, 1 -> `report (1).pdf`. */
export function numbered(name: string, n: number): string {
  return shorten(name, ` (${n})`);
}

/**
 * A peer's text, fit to be shown: one line of at most `max` characters as people count them,
 * without anything that could steer a terminal, hide, or turn the direction of writing.
 */
export function forTerminal(text: string, max = 256): string {
  const start = text.slice(0, max * UNITS_PER_CHARACTER);
  const shown = start.replace(UNSHOWABLE, '\ufffd').replace(STACKED, '$1');
  // Most are so short that their characters need not be told apart.
  if (shown.length <= max && start === text) return shown;
  const all = [...characters(shown)];
  if (all.length <= max && start === text) return shown;
  return `${all.slice(0, max - 1).join('')}…`;
}

/**
 * A device's name as it is announced, listed and stored: one line, nothing invisible, nothing
 * that turns the direction of writing, at most `MAX_DEVICE_NAME` bytes. Empty if nothing is left
 * of it that can be seen.
 */
export function deviceName(text: string): string {
  const visible = text
    .replace(UNSEEN, (sign) => (SHAPING.includes(sign) ? sign : ''))
    .replace(/\s+/gu, ' ')
    .normalize('NFC')
    .trim();
  const name = clip(visible, MAX_DEVICE_NAME).trimEnd();
  return fold(name) === '' ? '' : name;
}

/**
 * Whether people would take two names of devices for one: they differ in case, blanks, ways to
 * write the same letters (`ﬃ` and `ffi`), or in what cannot be seen. Letters of different
 * scripts that look alike are different.
 */
export function sameName(a: string, b: string): boolean {
  return fold(a) === fold(b);
}

/** Whether a person who types `text` can mean this device: its name, its id, or how that starts. */
export function canMean(text: string, { name, id }: Device): boolean {
  return sameName(text, name) || (ID_START.test(text) && id.startsWith(text.toLowerCase()));
}

/** The longest start of `text` of at most `bytes` bytes, cut between characters if it can be. */
export function clip(text: string, bytes: number): string {
  if (utf8(text).length <= bytes) return text;
  const [first = ''] = characters(text);
  // One character can have hundreds of marks.
  const parts = utf8(first).length <= bytes ? characters(text) : text;
  let room = bytes;
  let end = 0;
  for (const part of parts) {
    room -= utf8(part).length;
    if (room < 0) break;
    end += part.length;
  }
  return text.slice(0, end);
}

function repair(name: string, { platform, top }: Place): string {
  let safe = name.replace(UNSHOWABLE, '_').replace(LEADING_JOINERS, '_');
  if (platform === 'windows') safe = forWindows(safe, top);
  // No new dotfile, no option of a careless command, no home of somebody.
  if (top) safe = safe.replace(/^[.~-]/, '_$&');
  return shorten(safe);
}

function forWindows(name: string, top: boolean): string {
  // filenamify drops the non-joiner, which Persian needs; private characters are gone already.
  const shielded = name.replaceAll(NON_JOINER, SHIELD);
  const safe = filenamify(shielded, { replacement: '_', maxLength: Infinity })
    .replaceAll(SHIELD, NON_JOINER)
    .replace(SHORT_ALIAS, '$1_');
  return top && READ_BY_EXPLORER.test(safe) ? `_${safe}` : safe;
}

const NON_JOINER = '\u200c';
const SHIELD = '\ue000';

/** `GIT~1` opens `.git` (8.3 names), so a folder of that name would be merged into it. */
const SHORT_ALIAS = /^([^.]{1,6})~(?=\d{1,6}(?:\.[^.]{0,3})?$)/u;

/** Files that change what Windows does with the folder they lie in. */
const READ_BY_EXPLORER = /^(?:desktop\.ini|autorun\.inf|thumbs\.db)$/i;

/** Cuts what is in front of `mark` and extension, so that all of it fits. */
function shorten(name: string, mark = ''): string {
  const extension = extensionOf(name);
  const stem = name.slice(0, name.length - extension.length);
  // Most names are so short that their bytes need not be counted.
  if (3 * (name.length + mark.length) <= MAX_FILE_NAME) return stem + mark + extension;
  return clip(stem, MAX_FILE_NAME - utf8(mark + extension).length) + mark + extension;
}

/** `.pdf`, `.tar.gz`; empty for `.bashrc` and for `Mr. Smith`. */
function extensionOf(name: string): string {
  const match = /(?:\.tar)?\.[^.\s]+$/iu.exec(name);
  if (!match || match.index === 0 || utf8(match[0]).length > MAX_EXTENSION) return '';
  return match[0];
}

/**
 * Controls, line ends, lone surrogates, private and non-characters, what turns the direction of
 * writing, and what cannot be seen at all. Joiners and variation selectors shape letters and
 * emoji in many scripts; they stay.
 */
const UNSHOWABLE =
  /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Noncharacter_Code_Point}\p{Bidi_Control}\ufff9-\ufffb]|(?!\u034f|\u200c|\u200d|\p{Variation_Selector})\p{Default_Ignorable_Code_Point}/gu;

/** In front there is nothing to join; HFS+ ignores them, so `.git` could hide behind one. */
const LEADING_JOINERS = /^(?:\u034f|\u200c|\u200d|\p{Variation_Selector})+/u;

/** No script puts more than four marks on a letter; dozens run into the lines above and below. */
const STACKED = /((?:[\u200c\u200d]*\p{M}){4})(?:[\u200c\u200d]*\p{M})+/gu;

/** The form that all names share which `sameName` takes for one. */
function fold(name: string): string {
  return (
    name
      .replace(UNSEEN, '')
      .normalize('NFKC')
      // Neither alone is enough: there is a large ẞ, and there are two small sigmas.
      .toLowerCase()
      .toUpperCase()
      .normalize('NFKC')
      .replace(BLANKS, ' ')
      .trim()
  );
}

/** At least as many digits as lists show of an id; no word is so many by chance. */
const ID_START = /^[0-9a-f]{8,64}$/i;

/** What takes no room. Blanks that do are not among it, though some of them are controls. */
const UNSEEN = /\ufeff|(?!\s)[\p{C}\p{Default_Ignorable_Code_Point}]/gu;

/** Joiners shape letters and emoji in many scripts, and two selectors choose how one looks. */
const SHAPING = '\u200c\u200d\ufe0e\ufe0f';

/** The empty cell of Braille is no blank to Unicode, but to the eye. */
const BLANKS = /[\s\u2800]+/gu;

/** Bounds the work on a text of any length; a family of four is eleven UTF-16 units. */
const UNITS_PER_CHARACTER = 16;

/** What a person takes for one character each. */
function* characters(text: string): Generator<string, void> {
  segmenter ??= new Intl.Segmenter('und', { granularity: 'grapheme' });
  for (const { segment } of segmenter.segment(text)) yield segment;
}

/** Made when it is needed: that takes 10 ms, for which nobody should wait who starts. */
let segmenter: Intl.Segmenter | undefined;
