import { clean } from './clean.ts';

/** What is made of a page here: elements, and lists of them that change while somebody uses them. */

export type Child = Node | string | null;

type Attributes = Readonly<Record<string, string | boolean | undefined>>;

/** An element. An attribute that is `true` is there without value, one that is `false` is not there. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== false && value !== undefined)
      element.setAttribute(name, value === true ? '' : value);
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

/** A button; `quiet` ones stand back behind the one that is meant to be pressed. */
export function button(
  label: string,
  onPress: () => void,
  look: 'main' | 'plain' | 'quiet' | 'danger' = 'plain',
): HTMLButtonElement {
  const element = make('button', { type: 'button', class: `button ${look}` }, label);
  element.addEventListener('click', onPress);
  return element;
}

/** A name or text of others: it stands for itself, whichever way it is written. */
export function foreign(text = ''): HTMLElement {
  return make('bdi', {}, clean(text));
}

/** Changes a text only where it is another one: what did not change is neither selected anew nor read aloud. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element: Element, name: string, value: string | null): void {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

export function show(element: HTMLElement, isShown: boolean): void {
  if (element.hidden === isShown) element.hidden = !isShown;
}

/**
 * Changes something by which what has the focus may be hidden or removed: then `heir` has it, and
 * whoever works with the keyboard goes on there. Nothing is scrolled to, as a mouse may have done it.
 */
export function passingFocus(heir: HTMLElement, change: () => void): void {
  const focused = document.activeElement;
  change();
  const { activeElement: now, body } = document;
  const isLost = now === focused || now === body;
  if (isLost && focused instanceof HTMLElement && focused !== body && !isThere(focused))
    heir.focus({ preventScroll: true });
}

/** What stands in the page from the start. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`there is no #${id}`);
  return element;
}

/** One of a list. */
export interface Row<Item> {
  readonly node: HTMLElement;
  update(item: Item): void;
}

/**
 * A list whose rows stay what they are while it changes: each belongs to a key, and only what is
 * another one is touched, so that neither focus nor what was typed or selected gets lost.
 */
export class Rows<Item> {
  readonly #list: HTMLElement;
  readonly #keyOf: (item: Item) => string;
  readonly #make: (item: Item) => Row<Item>;
  /** Takes the focus when the last row is gone that had it. */
  readonly #heir: HTMLElement;
  #rows = new Map<string, Row<Item>>();

  constructor(
    list: HTMLElement,
    heir: HTMLElement,
    keyOf: (item: Item) => string,
    makeRow: (item: Item) => Row<Item>,
  ) {
    this.#list = list;
    this.#heir = heir;
    this.#keyOf = keyOf;
    this.#make = makeRow;
  }

  update(items: readonly Item[]): void {
    const focused = document.activeElement;
    const before = [...this.#list.children];
    const place = before.findIndex((node) => node.contains(focused));
    const rows = new Map<string, Row<Item>>();
    for (const item of items) {
      const key = this.#keyOf(item);
      const row = this.#rows.get(key) ?? this.#make(item);
      row.update(item);
      rows.set(key, row);
    }
    for (const [key, { node }] of this.#rows) if (!rows.has(key)) node.remove();
    this.#rows = rows;
    let next = this.#list.firstElementChild;
    for (const { node } of rows.values()) {
      if (node === next) next = next.nextElementSibling;
      else this.#list.insertBefore(node, next);
    }
    if (place >= 0) this.#keepFocus(focused, place);
  }

  /** Whoever works with the keyboard must not be thrown back to the start of the page. */
  #keepFocus(focused: Element | null, place: number): void {
    if (focused instanceof HTMLElement && isThere(focused)) return void focused.focus();
    const own =
      focused === null
        ? undefined
        : [...this.#rows.values()].find(({ node }) => node.contains(focused));
    const heir = own?.node ?? this.#list.children[Math.min(place, this.#list.children.length - 1)];
    const first = Array.from(heir?.querySelectorAll<HTMLElement>(FOCUSABLE) ?? []).find(isThere);
    (first ?? this.#heir).focus();
  }
}

const FOCUSABLE = 'button:enabled, input:enabled, select:enabled, textarea:enabled, summary';

export function isThere(element: HTMLElement): boolean {
  return (
    element.isConnected && element.closest('[hidden]') === null && !element.matches(':disabled')
  );
}

/** A drawing of lines in a square of 24, as wide as a letter; for the eye alone. */
export function icon(name: keyof typeof ICONS): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

const SVG = 'http://www.w3.org/2000/svg';

const ICONS = {
  computer: 'M4 5h16v11H4zM2 20h20M9 16v4M15 16v4',
  sharer: 'M3 7V5h6l2 2h10v12H3V7M12 11v5M9.5 13.5 12 11l2.5 2.5',
  silent: 'M4 5h16v11H4zM2 20h20M9.5 8.5l5 4.5M14.5 8.5l-5 4.5',
  up: 'M12 20V5M6 11l6-6 6 6',
  down: 'M12 4v15M6 13l6 6 6-6',
  warning: 'M12 4 2.5 20h19L12 4M12 10v4.5M12 17v.5',
  message: 'M4 5h16v11H10l-4 4v-4H4z',
} as const;
