/**
 * Takes no click for what it was not meant for. What changes by itself may bring something else under
 * a pointer that is about to press, and there are people who press everything twice.
 */
export class Aim {
  /** What can be pressed, as it is shown now. */
  #places = placesNow();
  /** As it was shown before, the latest last. */
  #before: { readonly places: Places; readonly until: number }[] = [];
  /** Whether what was pressed last was meant. */
  #isMeant = true;

  constructor() {
    const whatever = { subtree: true, childList: true, attributes: true, characterData: true };
    new MutationObserver(() => this.#changed()).observe(document.body, whatever);
    // What moves because somebody wants it to is seen to move.
    addEventListener('scroll', () => this.#moved(), { capture: true, passive: true });
    addEventListener('resize', () => this.#moved());
    addEventListener(
      'pointerdown',
      (event) => {
        // The browser may not have told of it yet.
        this.#moved();
        this.#isMeant = this.#isAimedAt(event);
      },
      { capture: true },
    );
    addEventListener(
      'click',
      (event) => {
        const isMeant = this.#isMeant;
        this.#isMeant = true;
        // A key and a program click 0 times: they press what has the focus, wherever it stands.
        if (event.detail === 0 || (isMeant && event.detail !== 2)) return;
        event.preventDefault();
        event.stopImmediatePropagation();
      },
      { capture: true },
    );
  }

  #changed(): void {
    const [places, now] = [placesNow(), performance.now()];
    if (areSame(places, this.#places)) return;
    this.#before = this.#before.filter(({ until }) => now - until < TOO_LATE);
    this.#before.push({ places: this.#places, until: now });
    this.#places = places;
  }

  #moved(): void {
    const places = placesNow();
    if (areSame(places, this.#places)) return;
    this.#before = [];
    this.#places = places;
  }

  /** Whether nothing else could be pressed there a moment ago. */
  #isAimedAt({ target, clientX, clientY }: PointerEvent): boolean {
    const pressed = target instanceof Element ? target.closest(PRESSABLE) : null;
    const now = performance.now();
    return this.#before.every(({ places, until }) => {
      const there = now - until < TOO_LATE ? topAt(places, clientX, clientY) : undefined;
      return pressed === null || there === undefined || there === pressed;
    });
  }
}

/** Milliseconds that a person needs to see that something has changed, and not to press. */
const TOO_LATE = 400;

const PRESSABLE = 'a, button, input, label, summary';

/** What stands above the rest of the page. */
const FLOATING = `:is(.top, .tray) :is(${PRESSABLE})`;

/** Where each stands in the window, those above others last. */
type Places = ReadonlyMap<Element, DOMRect>;

function placesNow(): Places {
  // Behind a dialog nothing can be pressed.
  const within = Array.from(document.querySelectorAll('dialog[open]')).at(-1) ?? document;
  const places = new Map<Element, DOMRect>();
  for (const which of [PRESSABLE, FLOATING])
    for (const element of within.querySelectorAll(which)) {
      const place = element.getBoundingClientRect();
      places.delete(element);
      if (place.width > 0) places.set(element, place);
    }
  return places;
}

function topAt(places: Places, x: number, y: number): Element | undefined {
  const there = Array.from(places).filter(
    ([, { left, right, top, bottom }]) => x >= left && x < right && y >= top && y < bottom,
  );
  return there.at(-1)?.[0];
}

function areSame(some: Places, others: Places): boolean {
  return (
    some.size === others.size &&
    Array.from(some).every(([element, { left, top, right, bottom }]) => {
      const other = others.get(element);
      return (
        other?.left === left &&
        other.top === top &&
        other.right === right &&
        other.bottom === bottom
      );
    })
  );
}
