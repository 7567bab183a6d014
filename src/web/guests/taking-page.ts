import { forTerminal } from '../../index.ts';
import type { Answer } from '../door.ts';
import { html, pageAnswer } from './html.ts';

export interface TakingPage {
  /** This device. */
  readonly name: string;
  /** The path of the link. */
  readonly root: string;
  /** `host:port` as it was called. */
  readonly host: string;
}

/** The page at which files are sent here. What happens in it is told by its script. */
export function takingPage({ name, root, host }: TakingPage): Answer {
  const device = forTerminal(name);
  return pageAnswer({
    title: `Send files to "${device}"`,
    root,
    main: html`<link rel="stylesheet" href="${root}upload.css">
<script type="module" src="${root}upload.js"></script>
<h1>Send files to &quot;${device}&quot;</h1>
<noscript><p class="trouble">This page needs JavaScript, to send large files and to go on where it broke off.</p>
<p>Without it, send single files by a command:</p></noscript>
<div id="drop" class="drop" hidden>
<p id="drop-text">Drop or paste files and folders here, or choose them.</p>
<p class="buttons"><button type="button" id="choose-files">Choose files</button>
<button type="button" id="choose-folder" class="plain" hidden>Choose a folder</button></p>
<input type="file" id="files" multiple hidden>
<input type="file" id="folder" webkitdirectory hidden>
</div>
<p id="link" class="trouble" role="status" tabindex="-1"></p>
<p id="trouble" class="trouble" role="status"></p>
<ul id="uploads" class="uploads" aria-label="What you send"></ul>
<p id="said" class="unseen" role="status"></p>`,
    foot: html`<h2>What this link is</h2>
<p>Whoever has it can send files to the computer that calls itself &quot;${device}&quot;, as long as drop runs there. Somebody there may be asked first.</p>
<p>It is <strong>not encrypted</strong>: others in the same network could read what you send, or change it. Your browser cannot check which computer this is.</p>
<p>Where that matters, use a computer that has <code>drop</code>, too, and run there: <code>drop send</code></p>
<p>Without a browser, one file at a time: <code>curl -T FILE http://${host}${root}</code></p>`,
  });
}

export function notFoundPage(root: string): Answer {
  return pageAnswer({
    title: 'Not found',
    root,
    status: 404,
    main: html`<h1>Not found</h1>
<p>There is nothing at this address. <a href="${root}">Send files</a></p>`,
  });
}

/** Beside what all pages for guests look like. */
export const TAKING_STYLE = `[hidden] {
  display: none !important;
}

.drop {
  background: var(--surface);
  border: 2px dashed var(--edge);
  border-radius: 0.5rem;
  padding: 1.5rem 1rem;
  text-align: center;
}

.drop.over {
  background: var(--sunken);
  border-color: var(--accent);
}

.drop p {
  margin: 0 0 0.75rem;
}

.drop .buttons {
  display: flex;
  flex-wrap: wrap;
  gap: 0.75rem;
  justify-content: center;
  margin: 0;
}

button.plain {
  background: transparent;
  color: var(--accent);
}

.uploads {
  list-style: none;
  margin: 1rem 0;
  padding: 0;
}

.uploads > li {
  background: var(--surface);
  border: 1px solid var(--line);
  border-radius: 0.5rem;
  margin: 0 0 0.75rem;
  padding: 0.75rem 1rem;
}

.uploads h2 {
  margin: 0 0 0.25rem;
}

.uploads p {
  margin: 0 0 0.5rem;
}

.uploads progress {
  accent-color: var(--accent);
  display: block;
  height: 0.75rem;
  margin: 0 0 0.5rem;
  width: 100%;
}

.uploads ul {
  margin: 0 0 0.5rem;
  padding-left: 1.25rem;
}

.numbers {
  font-variant-numeric: tabular-nums;
}

.unseen {
  clip-path: inset(50%);
  height: 1px;
  margin: 0;
  overflow: hidden;
  position: absolute;
  white-space: nowrap;
  width: 1px;
}
`;
