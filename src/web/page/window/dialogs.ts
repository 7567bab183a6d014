import { button, type Child, make } from '../dom.ts';

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
  /** Does it; false leaves the dialog open. */
  readonly onYes: () => boolean | Promise<boolean>;
}

/** Opens a dialog above the page. Esc leaves it, and the focus goes back to where it was. */
export function openDialog({ title, body, yes, danger = false, onYes }: Dialog): HTMLDialogElement {
  const cancel = button('Cancel', () => dialog.close());
  const confirm = make('button', { class: `button ${danger ? 'danger' : 'main'}` }, yes);
  const form = make(
    'form',
    { method: 'dialog' },
    make('h2', { id: 'dialog-title' }, title),
    ...body,
    make('div', { class: 'actions' }, cancel, confirm),
  );
  const dialog = make('dialog', { 'aria-labelledby': 'dialog-title', class: 'dialog' }, form);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (confirm.disabled) return;
    confirm.disabled = true;
    const done = async (): Promise<void> => {
      if (await onYes()) dialog.close();
      confirm.disabled = false;
    };
    void done();
  });
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  if (danger) cancel.focus();
  return dialog;
}

/** Asks for the words of a message. What was typed and not sent is there again the next time. */
export function openMessage(
  to: string,
  key: string,
  send: (text: string) => Promise<boolean>,
): void {
  const area = make('textarea', { id: 'message-text', rows: '5', autofocus: true });
  area.value = drafts.get(key) ?? '';
  area.addEventListener('input', () => drafts.set(key, area.value));
  openDialog({
    title: `Message to ${to}`,
    body: [make('label', { for: 'message-text' }, 'Message'), area],
    yes: 'Send message',
    async onYes() {
      if (area.value.trim() === '') {
        area.focus();
        return false;
      }
      const isSent = await send(area.value);
      if (isSent) drafts.delete(key);
      return isSent;
    },
  });
  area.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) area.form?.requestSubmit();
  });
}

const drafts = new Map<string, string>();
