import type { LinkReport, NothingEvent } from '../index.ts';

/** Why nobody is there, as a person reads it: the likely cause, what to try, and who was asked. */
export interface Explanation {
  readonly message: string;
  readonly hint: string;
  /** The interfaces that were asked, and what was heard there. */
  readonly asked: string;
}

/** `clean` makes the texts fit to be shown: a device that does not answer is named in them. */
export function explain(
  { message, hint, asked }: NothingEvent,
  clean: (text: string) => string,
): Explanation {
  return { message: clean(message), hint: clean(hint), asked: clean(askedOn(asked)) };
}

/** Interfaces that are named; a computer may have dozens, of containers. */
const NAMED = 5;

/** `Asked on eth0, wlan0 (others heard); docker0 (nobody heard).` */
function askedOn(links: readonly LinkReport[]): string {
  const outside = links.filter(({ loopback }) => !loopback);
  const byInterface = grouped(outside.length > 0 ? outside : links, (link) => link.interface);
  if (byInterface.size === 0) return 'No network interface could be asked.';
  const all = [...byInterface];
  const byOutcome = grouped(all.slice(0, NAMED), ([, reports]) => outcomeOf(reports));
  const groups = Array.from(
    byOutcome,
    ([outcome, members]) => `${members.map(([name]) => name).join(', ')} (${outcome})`,
  );
  const more = all.length > NAMED ? [`${all.length - NAMED} more`] : [];
  return `Asked on ${[...groups, ...more].join('; ')}.`;
}

/** What came of asking on one interface, with all of its address families. */
function outcomeOf(reports: readonly LinkReport[]): string {
  const [{ trouble } = {}] = reports;
  if (reports.every((report) => report.trouble !== undefined)) return `failed: ${trouble}`;
  if (reports.some(({ heard }) => heard > 0)) return 'others heard';
  if (reports.some(({ echoed }) => echoed > 0)) return 'nobody heard';
  return reports.some(({ said }) => said > 0) ? 'nothing comes in' : 'nothing goes out';
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
