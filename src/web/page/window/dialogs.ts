import { MAX_TEXT } from '../../../limits.ts';
import { clean } from '../clean.ts';
import { button, byId, type Child, isThere, make, show } from '../dom.ts';
import type { Complain } from './doing.ts';

/*
 * What somebody here has asked for and is to complete: the words of a message, a name, a
 * confirmation. What others ask for is in questions.ts.
 */

export interface Dialog {
  readonly title: string;
  readonly body: readonly Child[];
  /** What the button says that does it. */
  readonly yes: string;
  readonly danger?: boolean;
  /** Does it; false leaves the dialog open. What it has to complain of is said in the dialog. */
  readonly onYes: (complain: Complain) => boolean | Promise<boolean>;
}

/** Says in a dialog what went wrong: what stands behind one is neither seen nor read aloud. */
export class Complaint {
  readonly node = make('p', { class: 'failure', role: 'alert', hidden: true });
  readonly say: Complain = (message, hint) => {
    show(this.node, true);
    this.node.textContent = clean([message, hint ?? ''].join(' ').trim());
  };
}

/** Puts a dialog above all else. Once it is closed, the focus is where it was or, if that is gone, at the devices. */
export function raise(dialog: HTMLDialogElement): void {
  const before = document.activeElement;
  dialog.addEventListener('close', () => {
    dialog.remove();
    // Since it was closed something else may have got it.
    const { activeElement: now, body } = document;
    const isLost = now === body || (now instanceof HTMLElement && !isThere(now));
    if (isLost && before !== body) byId('nearby-title').focus({ preventScroll: true });
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** Opens a dialog above the page. Esc leaves it, and the focus goes back to where it was. */
export function openDialog({ title, body, yes, danger = false, onYes }: Dialog): HTMLDialogElement {
  const cancel = button('Cancel', () => dialog.close());
  const confirm = make('button', { class: `button ${danger ? 'danger' : 'main'}` }, yes);
  const complaint = new Complaint();
  const form = make(
    'form',
    { method: 'dialog' },
    make('h2', { id: 'dialog-title' }, title),
    ...body,
    complaint.node,
    make('div', { class: 'actions' }, cancel, confirm),
  );
  const dialog = make('dialog', { 'aria-labelledby': 'dialog-title', class: 'dialog' }, form);
  // Disabled, the button would lose the focus.
  let isBusy = false;
  const agree = async (): Promise<void> => {
    if (isBusy) return;
    isBusy = true;
    if (await onYes(complaint.say)) dialog.close();
    isBusy = false;
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void agree();
  });
  raise(dialog);
  if (danger) cancel.focus();
  return dialog;
}

/** Asks for the words of a message. What was typed and not sent is there again the next time. */
export function openMessage(
  to: string,
  key: string,
  send: (text: string, complain: Complain) => Promise<boolean>,
): void {
  const area = make('textarea', { id: 'message-text', rows: '5', autofocus: true });
  area.value = drafts.get(key) ?? '';
  area.addEventListener('input', () => drafts.set(key, area.value));
  openDialog({
    title: `Message to ${to}`,
    body: [make('label', { for: 'message-text' }, 'Message'), area],
    yes: 'Send message',
    async onYes(complain) {
      if (area.value.trim() === '') {
        area.focus();
        return false;
      }
      if (new TextEncoder().encode(area.value).length > MAX_TEXT) {
        complain(`A message has at most ${MAX_TEXT / 1024} KiB.`, 'Send it as a file.');
        return false;
      }
      const isSent = await send(area.value, complain);
      if (isSent) drafts.delete(key);
      return isSent;
    },
  });
  area.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) area.form?.requestSubmit();
  });
}

const drafts = new Map<string, string>();
