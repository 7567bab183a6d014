import { forTerminal } from '../../index.ts';
import type { Answer } from '../door.ts';

/** Text with tags in it. Only `html` makes it. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Markup, into which nothing but text can be put that is no markup itself: of it no tag comes. */
export function html(
  parts: TemplateStringsArray,
  ...values: readonly (string | number | Markup | readonly Markup[])[]
): Markup {
  const [first = '', ...rest] = parts;
  return new Markup(rest.reduce((text, part, n) => text + markupOf(values[n] ?? '') + part, first));
}

/** A name of a file or folder as a person can read it, whatever is in it, and on its own line of writing. */
export function nameMarkup(name: string): Markup {
  return html`<bdi>${forTerminal(name, MAX_SHOWN)}</bdi>`;
}

/** Characters of a name. */
const MAX_SHOWN = 300;

export interface PageContent {
  readonly title: string;
  /** The path of the link, `/TOKEN/`. */
  readonly root: string;
  /** What is in the page: a heading and what belongs to it. */
  readonly main: Markup;
  /** What stands below. */
  readonly foot?: Markup;
  readonly status?: number;
}

/** A page that every browser shows, also without scripts. */
export function pageAnswer({ title, root, main, foot, status = 200 }: PageContent): Answer {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${forTerminal(title, MAX_SHOWN)}</title>
<link rel="stylesheet" href="${root}-/style.css">
<link rel="icon" href="${root}-/icon.svg">
</head>
<body>
<main>
${main}
</main>
${foot === undefined ? '' : html`<footer>\n${foot}\n</footer>\n`}</body>
</html>
`;
  return { status, type: 'text/html; charset=utf-8', body: page.text };
}

function markupOf(value: string | number | Markup | readonly Markup[]): string {
  if (value instanceof Markup) return value.text;
  if (typeof value === 'object') return value.map(({ text }) => text).join('');
  return String(value).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
