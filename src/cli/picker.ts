import {
  createPrompt,
  isDownKey,
  isEnterKey,
  isUpKey,
  makeTheme,
  useEffect,
  useKeypress,
  usePagination,
  useState,
} from '@inquirer/core';
import cliTruncate from 'cli-truncate';
import type { Peer } from '../index.ts';
import { type Choice, type Devices, nameWidthOf, rowOf } from './devices.ts';
import { formatCount } from './format.ts';
import type { Output } from './io.ts';
import type { themeOf } from './prompts.ts';

export interface PickerConfig {
  readonly message: string;
  readonly devices: Devices;
  /** Where the prompt is drawn, to learn of its size. */
  readonly output: Output;
  readonly theme: ReturnType<typeof themeOf>;
}

/** Rows of the window that are not devices: the question, a note, the help, a line before it. */
const OTHER_ROWS = 5;

/**
 * A list of devices that come and go while somebody chooses. inquirer's own lists cannot change
 * by themselves, and they keep a place where this one keeps a device: whatever happens, Enter
 * takes the device that was highlighted, or none.
 */
export const pickDevice = createPrompt<Peer, PickerConfig>((config, done) => {
  const { devices, output } = config;
  const theme = makeTheme(config.theme);
  const [choices, setChoices] = useState(devices.choices);
  const [filter, setFilter] = useState('');
  /** The highlighted device, by its key; also when it is gone. */
  const [chosen, setChosen] = useState<Choice>();
  const [note, setNote] = useState('');
  const [finished, setFinished] = useState(false);
  const [, setResizes] = useState(0);

  const matches = choices.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase()));
  const at = matches.findIndex(({ key }) => key === chosen?.key);
  const gone = chosen !== undefined && !choices.some(({ key }) => key === chosen.key);

  useEffect(() => {
    const listen = (): void => setChoices(devices.choices);
    listen(); // What came between the first picture and now.
    return devices.subscribe(listen);
  }, []);
  useEffect(() => {
    let resizes = 0;
    const listen = (): void => {
      // A narrower window has broken the rows below the cursor into more of them.
      output.write('\r\x1b[J');
      setResizes(++resizes);
    };
    output.on('resize', listen);
    return () => output.off('resize', listen);
  }, []);
  // What is shown as highlighted stays it: a device that comes later cannot take its place.
  useEffect(() => {
    if (at < 0 && !gone && matches[0]) setChosen(matches[0]);
  }, [at, gone, matches[0]?.key]);

  useKeypress((key, rl) => {
    if (finished) return;
    setNote('');
    if (isEnterKey(key)) {
      rl.write(filter); // Enter has emptied the line.
      const choice = matches[at];
      if (choice === undefined) {
        setNote(gone ? '' : 'There is no device to send to.');
        return;
      }
      setFinished(true);
      done(choice.peer);
    } else if (isUpKey(key) || isDownKey(key)) {
      // Up and down have put an older line in place of the filter.
      rl.clearLine(0);
      rl.write(filter);
      const step = isUpKey(key) ? -1 : 1;
      const from = at < 0 && step < 0 ? matches.length : at;
      setChosen(matches[(from + step + matches.length) % matches.length] ?? chosen);
    } else if (key.name === 'escape') {
      rl.clearLine(0);
      setFilter('');
      if (gone) setChosen(undefined);
    } else {
      setFilter(rl.line);
      if (gone) setChosen(undefined);
    }
  });

  // One column stays free: a full row would wrap on some terminals.
  const width = (output.columns ?? 80) - 1;
  const nameWidth = nameWidthOf(choices);
  const page = usePagination({
    items: matches,
    active: Math.max(0, at),
    pageSize: Math.max(3, (output.rows ?? 24) - OTHER_ROWS),
    loop: false,
    renderItem: ({ item, isActive }) => {
      const row = rowOf(item, nameWidth, width - 2);
      return isActive && at >= 0 ? theme.style.highlight(`> ${row}`) : `  ${row}`;
    },
  });

  const message = cliTruncate(config.message, Math.max(10, width - filter.length - 4));
  const question = `${theme.prefix} ${theme.style.message(message, 'idle')} `;
  if (finished) return `${question}${theme.style.answer(matches[at]?.name ?? '')}`;
  const list =
    matches.length > 0
      ? page
      : choices.length > 0
        ? '  No device has that in its name. Esc shows all.'
        : '  Looking for devices that run `drop receive`...';
  const others = devices.others > 0 ? `, ${devices.others} more in \`drop peers\`` : '';
  const help = `${formatCount(choices.length, 'device')}${others}. Type to filter, up and down to choose, Enter to send, Ctrl-C to leave.`;
  const trouble = gone ? `"${chosen.name}" has gone. Choose another.` : note;
  return [
    question + filter,
    [
      list,
      ...(trouble === '' ? [] : [theme.style.error(cliTruncate(trouble, width))]),
      theme.style.help(cliTruncate(help, width)),
    ].join('\n'),
  ];
});
