import { formatBytes, formatMinute } from '../../figures.ts';
import { forTerminal, type Shelf, type ShelfEntry } from '../../index.ts';
import { MAX_LISTED, MAX_LISTED_IN_ALL, MAX_ZIP_ENTRIES } from '../../limits.ts';
import type { Answer } from '../door.ts';
import { html, type Markup, nameMarkup, pageAnswer } from './html.ts';

export interface ShelfPage {
  readonly shelf: Shelf;
  /** This device. */
  readonly name: string;
  /** The path of the link. */
  readonly root: string;
  /** What is listed; undefined: all that is shared. */
  readonly folder: Extract<ShelfEntry, { kind: 'folder' }> | undefined;
  /** From 1. */
  readonly page: number;
}

/** Lists what can be downloaded, a page at a time. */
export async function shelfPage({ shelf, name, root, folder, page }: ShelfPage): Promise<Answer> {
  const first = (page - 1) * MAX_LISTED;
  const shown: ShelfEntry[] = [];
  let count = 0;
  for await (const entry of shelf.list(folder)) {
    count += 1;
    // One more tells that there are more.
    if (count > Math.min(first + MAX_LISTED, MAX_LISTED_IN_ALL)) break;
    if (count > first) shown.push(entry);
  }
  if (page < 1 || (page > 1 && shown.length === 0)) return nothingPage(root);
  const here = folder?.path ?? '';
  const title = folder ? nameOf(here) : `Files from "${name}"`;
  const hasMore = count > first + shown.length && first + MAX_LISTED < MAX_LISTED_IN_ALL;
  const isCut = count > MAX_LISTED_IN_ALL && !hasMore;
  const isOneFile = folder === undefined && count === 1 && shown[0]?.kind !== 'folder';
  return pageAnswer({
    title,
    root,
    main: html`${folder ? crumbs(root, here, name) : ''}<h1>${folder ? nameMarkup(nameOf(here)) : forTerminal(title)}</h1>
${count === 0 || isOneFile ? '' : all(root, here)}
${count === 0 ? html`<p>There is nothing in this folder.</p>` : table(root, shown)}
${isCut ? html`<p>There is more in this folder than is listed here. It is in the zip.</p>` : ''}
${pager(page, hasMore)}`,
    foot: html`<h2>What this link is</h2>
<p>Whoever has it can download what is listed here, as long as it is shared, from the computer that calls itself &quot;${name}&quot;.</p>
<p>It is <strong>not encrypted</strong>: others in the same network could read what you download, or put something else in its place. Your browser cannot check which computer this is.</p>
<p>Where that matters, use a computer that has <code>drop</code>, too, and run there: <code>drop get</code></p>`,
  });
}

/** There is nothing to be had at this address. */
export function nothingPage(root: string): Answer {
  return pageAnswer({
    title: 'Not found',
    root,
    status: 404,
    main: html`<h1>Not found</h1>
<p>It is not shared, or not any more. <a href="${root}">What is shared</a></p>`,
  });
}

/** Too much is downloaded at the moment. */
export function busyPage(root: string): Answer {
  const page = pageAnswer({
    title: 'Try again',
    root,
    status: 503,
    main: html`<h1>Too many downloads at once</h1>
<p>Try again when one of them is done. <a href="${root}">What is shared</a></p>`,
  });
  return { ...page, headers: { 'Retry-After': 10 } };
}

/** A zip would be too long. */
export function tooManyPage(root: string): Answer {
  return pageAnswer({
    title: 'Too many files',
    root,
    status: 413,
    main: html`<h1>Too many files for one zip</h1>
<p>A zip takes ${MAX_ZIP_ENTRIES.toLocaleString('en')} of them. Open the folder, and download what is in it. <a href="${root}">What is shared</a></p>`,
  });
}

/** The way to a folder, each step of it a link. */
function crumbs(root: string, path: string, device: string): Markup {
  const names = path.split('/').slice(0, -1);
  const steps = names.map((name, n) => {
    const to = names.slice(0, n + 1).join('/');
    return html`<li><a href="${addressOf(root, 'in', to)}/">${nameMarkup(name)}</a></li>\n`;
  });
  return html`<nav aria-label="Folders above">
<ol>
<li><a href="${root}">Files from &quot;${device}&quot;</a></li>
${steps}</ol>
</nav>
`;
}

function all(root: string, path: string): Markup {
  const address = path === '' ? `${root}everything.zip` : `${addressOf(root, 'zip', path)}.zip`;
  return html`<p><a class="button" href="${address}" download>Download all as a zip</a></p>`;
}

function table(root: string, entries: readonly ShelfEntry[]): Markup {
  return html`<table>
<thead>
<tr><th scope="col">Name</th><th scope="col" class="size">Size</th><th scope="col" class="date">Changed</th></tr>
</thead>
<tbody>
${entries.map((entry) => row(root, entry))}</tbody>
</table>`;
}

function row(root: string, entry: ShelfEntry): Markup {
  const name = nameMarkup(nameOf(entry.path));
  switch (entry.kind) {
    case 'file':
      return html`<tr><th scope="row"><a href="${addressOf(root, 'get', entry.path)}" download>${name}</a></th><td class="size">${formatBytes(entry.size)}</td><td class="date">${dateMarkup(entry.mtime)}</td></tr>\n`;
    case 'folder':
      return html`<tr><th scope="row"><a href="${addressOf(root, 'in', entry.path)}/">${name}/</a></th><td class="size">Folder</td><td class="date">${dateMarkup(entry.mtime)}</td></tr>\n`;
    case 'link':
      return html`<tr><th scope="row" class="quiet">${name}</th><td class="size">Link</td><td class="date"></td></tr>\n`;
    default:
      return html`<tr><th scope="row" class="quiet">${name}</th><td class="size">${entry.reason === 'unsupported' ? 'Not shared' : 'Cannot be read'}</td><td class="date"></td></tr>\n`;
  }
}

function pager(page: number, hasMore: boolean): Markup {
  if (page === 1 && !hasMore) return html``;
  const before =
    page > 1 ? html`<a href="?page=${page - 1}" rel="prev">Page ${page - 1}</a>` : html``;
  const after = hasMore
    ? html`<a href="?page=${page + 1}" rel="next">Page ${page + 1}</a>`
    : html``;
  return html`<nav aria-label="Pages"><p>${before} <span aria-current="page">Page ${page}</span> ${after}</p></nav>`;
}

function addressOf(root: string, kind: 'in' | 'get' | 'zip', path: string): string {
  return `${root}${kind}/${path.split('/').map(encodeURIComponent).join('/')}`;
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The day, on the clock of this computer. */
function dateMarkup(mtime: number): Markup {
  const at = new Date(mtime);
  if (Number.isNaN(at.getTime()) || at.getFullYear() < 1000 || at.getFullYear() > 9999)
    return html``;
  const day = formatMinute(at).slice(0, 'yyyy-mm-dd'.length);
  return html`<time datetime="${day}">${day}</time>`;
}
