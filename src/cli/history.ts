import stringWidth from 'string-width';
import { formatBytes, formatCount, formatMinute } from '../figures.ts';
import type { Arrival } from '../index.ts';
import type { Context } from './context.ts';
import { formatTable } from './format.ts';
import type { HistoryOrder } from './orders.ts';
import { cut } from './rows.ts';

/** `drop history`: a table of what arrived, the latest last, where one looks. */
export async function history(order: HistoryOrder, context: Context): Promise<number> {
  const { face, io, library, common } = context;
  if (order.clear) {
    await library.clearHistory(common);
    face.say('The history is empty now. What arrived stays where it is.');
    return 0;
  }
  const all = await library.history(common);
  const shown = order.last === undefined ? all : all.slice(-order.last);
  for (const arrival of shown) face.show({ event: 'arrived', ...arrival });
  if (order.json) return 0;
  if (shown.length === 0) {
    face.say('Nothing has arrived yet, as far as is written down.');
    return 0;
  }
  const rows = shown.map((arrival) => rowOf(arrival, context));
  for (const line of formatTable(
    [['WHEN', 'FROM', 'HOW MUCH', 'WHAT', 'WHERE'], ...rows],
    stringWidth,
  ))
    io.stdout.write(`${line}\n`);
  return 0;
}

function rowOf(arrival: Arrival, { library, words }: Context): string[] {
  const { at, peer, ok, files, bytes, roots, into } = arrival;
  const [first = '', ...more] = roots.map((root) => cut(library.forTerminal(root), MAX_ROOT));
  const both = `${first} and ${more[0]}`;
  const isShort = more.length === 1 && stringWidth(both) <= MAX_ROOT;
  const what = more.length === 0 ? first : isShort ? both : `${first} and more`;
  return [
    formatMinute(new Date(at)),
    words.name(peer),
    `${formatCount(files, 'file')}, ${formatBytes(bytes)}${ok ? '' : ', incomplete'}`,
    what || '-',
    words.folder(into),
  ];
}

/** Columns of a name in the table, which has one line for each transfer. */
const MAX_ROOT = 40;
