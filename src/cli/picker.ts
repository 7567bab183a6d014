import {
  createPrompt,
  isDownKey,
  isEnterKey,
  isSpaceKey,
  isUpKey,
  makeTheme,
  useEffect,
  useKeypress,
  usePagination,
  useRef,
  useState,
} from '@inquirer/core';
import stringWidth from 'string-width';
import { formatCount, formatNames } from '../figures.ts';
import type { Peer, SilentPeer } from '../index.ts';
import { type Choice, type Devices, nameWidthOf, rowOf } from './devices.ts';
import type { Output } from './io.ts';
import type { Theme } from './picture.ts';
import { cut, wrap } from './rows.ts';

export interface PickerConfig {
  readonly message: string;
  readonly devices: Devices;
  /** Whether several may be marked. */
  readonly several: boolean;
  /** Where the prompt is drawn, to learn of its size. */
  readonly output: Output;
  readonly theme: Theme;
}

/** Rows of the window that are not devices: help, two notes, the question, and one to spare. */
const OTHER_ROWS = 5;

/** Rows of the window that devices get, however low it is. */
const MIN_DEVICES = 3;

/** Rows for each sentence about why nobody is there; one is enough in a window of 80 columns. */
const SENTENCE_ROWS = 3;
const ASKED_ROWS = 2;

/**
 * A list of devices that come and go while somebody chooses. inquirer's own lists cannot change
 * by themselves, and they keep a place where this one keeps a device: whatever happens, Enter
 * takes the device that is drawn as highlighted, or none.
 *
 * Where several may be chosen, space marks and unmarks the highlighted one, and Enter takes all
 * that are marked, or none: a marked device that goes stays in the list, and nobody gets anything
 * until it is back or its mark is taken away. Names have blanks, so within a filter space is a letter.
 *
 * The question stands below the list. When a window becomes narrow, terminals break long lines
 * and disagree on where a cursor above them ends up; below them they agree.
 */
export const pickDevices = createPrompt<readonly (Peer | SilentPeer)[], PickerConfig>(
  ({ message, ...config }, done) => {
    const { devices, several, output } = config;
    const theme = makeTheme(config.theme);
    const [choices, setChoices] = useState(devices.choices);
    const [filter, setFilter] = useState('');
    /** Whether Enter found nothing to take. */
    const [vain, setVain] = useState(false);
    const [finished, setFinished] = useState(false);
    const [, setRedraws] = useState(0);
    /**
     * The highlighted device, also when it is gone. No state: inquirer loses changes of state that
     * follow from a picture that a key brought about, and then Enter would take what is not drawn.
     */
    const highlight = useRef<Choice | undefined>(undefined);
    /** The marked ones, also those that are gone, in the order in which they were marked. Likewise no state. */
    const marked = useRef<readonly Choice[]>([]);

    const isThere = ({ key }: Choice): boolean => choices.some((choice) => choice.key === key);
    marked.current = marked.current.map(
      (mark) => choices.find(({ key }) => key === mark.key) ?? answerOf(mark, choices) ?? mark,
    );
    const lost = marked.current.filter((mark) => !isThere(mark));
    const listed = [...choices, ...lost.map((mark) => ({ ...mark, standing: 'has gone' }))];
    const matches = listed.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase()));
    const isHighlight = ({ key }: Choice): boolean => key === highlight.current?.key;
    highlight.current = choices.find(isHighlight) ?? answerOf(highlight.current, choices);
    const gone = highlight.current !== undefined && !choices.some(isHighlight);
    // What is drawn as highlighted stays it: a device that comes later cannot take its place. One
    // that does not answer is only taken when it was chosen.
    if (!gone && !matches.some(isHighlight))
      highlight.current =
        matches.find((choice) => !choice.silent && isThere(choice)) ?? highlight.current;
    const at = matches.findIndex(isHighlight);
    const isMarked = ({ key }: Choice): boolean => marked.current.some((mark) => mark.key === key);
    const chosen = marked.current.length > 0 ? marked.current : matches.filter(isHighlight);

    useEffect(() => {
      setChoices(devices.choices); // Some may have come between the first picture and now.
      return devices.subscribe(() => setChoices(devices.choices));
    }, []);

    useKeypress((key, rl) => {
      if (finished) return;
      setVain(false);
      if (isEnterKey(key)) {
        rl.write(filter); // Enter has emptied the line.
        if (lost.length > 0) return; // That is said already.
        if (chosen.length > 0) {
          setFinished(true);
          done(chosen.map(({ peer }) => peer));
        } else if (!gone) setVain(true);
      } else if (isUpKey(key) || isDownKey(key)) {
        // They have put an older line in place of the filter.
        rl.clearLine(0);
        rl.write(filter);
        const next = isUpKey(key) ? (at < 0 ? -1 : at - 1) : at + 1;
        highlight.current = matches.at(next % Math.max(1, matches.length)) ?? highlight.current;
        setRedraws((n) => n + 1);
      } else if (several && isSpaceKey(key) && filter === '') {
        rl.clearLine(0);
        const choice = matches[at];
        if (choice !== undefined)
          marked.current = isMarked(choice)
            ? marked.current.filter((mark) => mark.key !== choice.key)
            : [...marked.current, choice];
        setRedraws((n) => n + 1);
      } else {
        if (key.name === 'escape') rl.clearLine(0);
        // After a device has gone, whoever types goes on choosing.
        if (gone && rl.line !== filter) highlight.current = undefined;
        setFilter(rl.line);
      }
    });

    // One column stays free: some terminals break a line that is exactly full.
    const width = columnsOf(output) - 1;
    const nameWidth = nameWidthOf(listed);
    const spare = Math.max(0, (output.rows ?? 24) - OTHER_ROWS - MIN_DEVICES);
    const reasons = explanationOf(devices, width - 2).slice(0, spare);
    const page = usePagination({
      items: matches,
      active: Math.max(0, at),
      pageSize: MIN_DEVICES + spare - reasons.length,
      loop: false,
      renderItem: ({ item, isActive }) => {
        const row = `${isMarked(item) ? '*' : ' '}${rowOf(item, nameWidth, width - 2)}`;
        if (isActive && at >= 0) return theme.style.highlight(`>${row}`);
        return item.silent || !isThere(item) ? theme.style.help(` ${row}`) : ` ${row}`;
      },
    });
    const names = formatNames(chosen.map(({ name }) => name));
    if (finished) {
      const answer = cut(names, Math.floor(width / 2));
      const asked = cut(message, width - stringWidth(`${theme.prefix}  ${answer}`));
      return `${theme.prefix} ${theme.style.message(asked, 'done')} ${theme.style.answer(answer)}`;
    }
    const title = cut(message, Math.max(10, width - filter.length - 4));
    const question = `${theme.prefix} ${theme.style.message(title, 'idle')} `;

    const note = vain && chosen.length === 0 ? whyNothing(matches, devices) : '';
    const how = marked.current.length > 0 ? `Enter sends to ${names}.` : undefined;
    const calls = note === '' ? (how ?? howToCall(matches, matches[at])) : undefined;
    const trouble = whoHasGone(lost, gone ? highlight.current : undefined) ?? note;
    return [
      matches.length > 0 ? page : cut(`  ${whyEmpty(choices, devices)}`, width),
      ...reasons.map((row) => `  ${row}`),
      theme.style.help(cut(helpOf(devices, several), width)),
      ...(calls === undefined || lost.length > 0 ? [] : [theme.style.help(cut(calls, width))]),
      ...(trouble === '' ? [] : [theme.style.error(cut(trouble, width))]),
      question + filter,
    ].join('\n');
  },
);

/** A highlighted device that did not answer, and does now: the same process, of the same name. */
function answerOf(before: Choice | undefined, choices: readonly Choice[]): Choice | undefined {
  const answers = ({ peer, silent, name }: Choice): boolean =>
    before?.silent === true && !silent && peer.run === before.peer.run && name === before.name;
  return choices.find(answers) ?? before;
}

/** Whose mark, or else whose highlight, leads nowhere any more, and what to do. */
function whoHasGone([lost]: readonly Choice[], highlight: Choice | undefined): string | undefined {
  if (lost !== undefined)
    return `"${lost.name}" has gone. Wait for it, or choose it and take its mark away by space.`;
  return highlight && `"${highlight.name}" has gone. Choose another.`;
}

/** Why no other device is there, in rows; the likely cause first, as the last ones may be cut off. */
function explanationOf({ explanation }: Devices, columns: number): string[] {
  if (explanation === undefined) return [];
  const { message, hint, asked } = explanation;
  return [
    ...wrap(message, columns, SENTENCE_ROWS),
    ...wrap(hint, columns, SENTENCE_ROWS),
    ...wrap(asked, columns, ASKED_ROWS),
  ];
}

/** What can be done with devices that do not answer, where there are no others or one is chosen. */
function howToCall(matches: readonly Choice[], chosen: Choice | undefined): string | undefined {
  if (chosen?.silent) return 'Enter asks it to call back.';
  const only = matches.length > 0 && matches.every(({ silent }) => silent);
  return only ? 'An arrow key chooses it.' : undefined;
}

function whyNothing(matches: readonly Choice[], { way }: Devices): string {
  return matches.length > 0
    ? 'No device answers. An arrow key chooses one all the same.'
    : `There is no device to ${way === 'get' ? 'get anything from' : 'send to'}.`;
}

function whyEmpty(choices: readonly Choice[], { way }: Devices): string {
  return choices.length > 0
    ? 'No device has that in its name. Esc shows all.'
    : `Looking for devices that run \`drop ${way === 'get' ? 'share' : 'receive'}\`...`;
}

function helpOf({ choices, others, way }: Devices, several: boolean): string {
  const more = others > 0 ? `, ${others} more in \`drop peers\`` : '';
  const keys = several ? `space to mark, Enter to ${way}.` : `Enter to ${way}, Ctrl-C to leave.`;
  return `${formatCount(choices.length, 'device')}${more}. Type to filter, arrows to choose, ${keys}`;
}

function columnsOf(output: Output): number {
  return output.columns ?? 80;
}
