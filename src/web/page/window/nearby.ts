import { formatBytes, formatCount, formatFirst, formatNames } from '../../../figures.ts';
import type { Nearby, Said, Transfer } from '../../window/model.ts';
import { clean } from '../clean.ts';
import {
  button,
  byId,
  foreign,
  icon,
  make,
  passingFocus,
  type Row,
  Rows,
  setAttribute,
  setText,
  show,
} from '../dom.ts';
import { type Dropped, droppedOf, droppedOfInput } from '../lending.ts';
import { openMessage } from './dialogs.ts';
import type { Doing } from './doing.ts';
import { isLive, isOpen, progressOf, shareOf, sharingOf, standingOf } from './words.ts';

/** A device that can be sent to: one of the list, or one whose address was typed. */
interface Target {
  readonly key: string;
  readonly name: string;
  /** What it is called where nothing beside its name is told of it. */
  readonly called: string;
  /** Undefined where only an address is known. */
  readonly device: Nearby | undefined;
  /** What is on its way to it, or is fetched from it. */
  readonly transfer: Transfer | undefined;
}

/** The devices, and what is dropped on them. */
export class NearbyList {
  readonly #doing: Doing;
  readonly #rows: Rows<Target>;
  readonly #empty = byId('nobody');
  readonly #why = byId('nobody-why');
  readonly #hint = byId('nobody-hint');
  readonly #tray: Tray;
  readonly #pickFiles: HTMLInputElement;
  readonly #pickFolder: HTMLInputElement;
  readonly #marked = new Set<string>();
  /** Addresses that were typed. */
  readonly #typed = new Set<string>();
  readonly #sought = byId('sought') as HTMLInputElement;
  #devices: readonly Nearby[] = [];
  #nobody: Said | null = null;
  #transfers: readonly Transfer[] = [];
  #ready: readonly Dropped[] = [];
  /** What these are, in words: it takes a while to count many. */
  #readyText = '';
  readonly #looking = new Set<Promise<unknown>>();
  /** Those that are marked and can be sent to. One that is gone for a moment is marked when it is back. */
  #chosen: readonly string[] = [];
  /** When something was last dragged over the page. */
  #aimedAt = Number.NEGATIVE_INFINITY;
  /** For whom files are being picked. */
  #picking: readonly string[] | 'share' = [];

  constructor(doing: Doing) {
    this.#doing = doing;
    this.#rows = new Rows(
      byId('devices'),
      byId('nearby-title'),
      ({ key }) => key,
      (target) => new Card(target.key, this),
    );
    this.#tray = new Tray(this);
    this.#pickFiles = this.#picker({ multiple: true });
    this.#pickFolder = this.#picker({ webkitdirectory: true });
    byId('share-something').append(
      make(
        'div',
        { class: 'actions' },
        button('Share files', () => this.pick('files', 'share')),
        button('Share a folder', () => this.pick('folder', 'share')),
      ),
    );
    this.#sought.addEventListener('input', () => this.draw());
    this.#takeAddresses();
    this.#takeDrops();
  }

  get isReady(): boolean {
    return this.#ready.length > 0;
  }

  /** Whether it takes a while to look through what was dropped. */
  get isLooking(): boolean {
    return this.#looking.size > 0;
  }

  get readyText(): string {
    return this.#readyText;
  }

  update(devices: readonly Nearby[], nobody: Said | null, transfers: readonly Transfer[]): void {
    this.#devices = devices;
    this.#nobody = nobody;
    this.#transfers = transfers.filter(isLive);
    // Nothing may move away from under what somebody is about to let go of.
    if (performance.now() - this.#aimedAt > AIMING) this.draw();
  }

  draw(): void {
    passingFocus(byId('nearby-title'), () => this.#draw());
  }

  #draw(): void {
    const targets = this.#targets();
    const marked = targets.filter((one) => this.#marked.has(one.key) && canBeSentTo(one));
    this.#chosen = marked.map(({ key }) => key);
    const found = this.#sift(targets);
    this.#rows.update(found);
    setText(
      byId('none-found'),
      found.length === 0 && targets.length > 0 ? 'No device here is called like that.' : '',
    );
    show(byId('nearby-lead'), targets.length > 0);
    show(this.#empty, targets.length === 0);
    setText(this.#why, clean(this.#nobody?.message ?? 'Looking for devices…'));
    setText(
      this.#hint,
      clean(this.#nobody?.hint ?? 'Run drop ui, or drop receive, on the other computer.'),
    );
    this.#tray.update(marked);
  }

  isMarked(key: string): boolean {
    return this.#chosen.includes(key);
  }

  mark(key: string, isMarked: boolean): void {
    if (isMarked) this.#marked.add(key);
    else this.#marked.delete(key);
    this.draw();
  }

  clearMarks(): void {
    this.#marked.clear();
    this.draw();
  }

  /** Lets files be chosen for some devices, or for whoever fetches them. */
  pick(what: 'files' | 'folder', to: readonly string[] | 'share'): void {
    this.#picking = to;
    (what === 'files' ? this.#pickFiles : this.#pickFolder).click();
  }

  message(to: readonly string[]): void {
    const names = this.#targets().filter(({ key }) => to.includes(key));
    const shown = formatNames(names.map(({ called }) => called));
    openMessage(shown, to.join('\n'), async (text, complain) => {
      const isSent = await this.#doing.send(to, { text }, complain);
      if (isSent) this.clearMarks();
      return isSent;
    });
  }

  get(from: string): void {
    void this.#doing.act('get', { from });
  }

  forget(address: string): void {
    this.#typed.delete(address);
    this.draw();
  }

  /** Keeps files until somebody says for whom they are. */
  makeReady(dropped: readonly Dropped[]): void {
    this.#ready = dropped;
    this.#readyText = dropped.length > 0 ? textOf(dropped) : '';
    this.draw();
    if (dropped.length > 0) this.#doing.say(`${this.readyText}: choose a device.`);
  }

  async shareReady(): Promise<void> {
    const dropped = this.#ready;
    this.makeReady([]);
    if (!(await this.#doing.share(dropped))) this.makeReady([...dropped, ...this.#ready]);
  }

  async sendReady(to: readonly string[]): Promise<void> {
    const dropped = this.#ready;
    this.makeReady([]);
    await this.#send(to, dropped);
  }

  /** Where there are many, those that are sought; and those that are marked, wherever they are. */
  #sift(targets: readonly Target[]): readonly Target[] {
    const isLong = targets.length > MANY;
    if (!isLong && document.activeElement !== this.#sought) this.#sought.value = '';
    const sought = this.#sought.value.trim().toLowerCase();
    show(byId('sift'), isLong || sought !== '' || document.activeElement === this.#sought);
    return targets.filter(
      ({ key, name, device }) =>
        this.#chosen.includes(key) ||
        [name, device?.id ?? '', ...(device?.addresses ?? [])].some((text) =>
          text.toLowerCase().includes(sought),
        ),
    );
  }

  #targets(): Target[] {
    const typed = [...this.#typed].map((key) => ({
      key,
      name: clean(key),
      called: clean(key),
      device: undefined,
      transfer: undefined,
    }));
    const devices = this.#devices.map((device) => {
      const name = clean(device.name) || device.addresses[0] || 'A device without name';
      return {
        ...{ key: device.key, name, device },
        called: device.standing === 'namesake' ? `${name} (not the one you know)` : name,
        // A computer that shares something and can be sent to is there twice.
        transfer: this.#transfers.find(
          (one) => one.device.id === device.id && (one.direction === 'in') === device.shares,
        ),
      };
    });
    return [...devices, ...typed];
  }

  #picker(attributes: Readonly<Record<string, boolean>>): HTMLInputElement {
    const input = make('input', { type: 'file', hidden: true, ...attributes });
    input.addEventListener('change', () => {
      const dropped = droppedOfInput(input.files ?? new DataTransfer().files);
      input.value = '';
      if (dropped.length === 0) return this.#doing.complain(NOTHING_IN_IT);
      if (this.#picking === 'share') void this.#doing.share(dropped);
      else void this.#send(this.#picking, dropped);
    });
    byId('nearby').append(input);
    return input;
  }

  /** What cannot be sent waits for another device, as nobody likes to pick it once more. */
  async #send(to: readonly string[], dropped: readonly Dropped[]): Promise<void> {
    if (await this.#doing.send(to, { dropped })) this.clearMarks();
    else this.makeReady([...dropped, ...this.#ready]);
  }

  #takeAddresses(): void {
    const form = byId('address-form');
    const input = form.querySelector('input');
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const address = input?.value.trim() ?? '';
      if (input === null || address === '') return void input?.focus();
      input.value = '';
      this.#typed.add(address);
      this.draw();
      this.#doing.say(`${clean(address)} is in the list.`);
    });
  }

  #takeDrops(): void {
    let over: Element | null = null;
    const mark = (card: Element | null): void => {
      over?.classList.remove('over');
      card?.classList.add('over');
      over = card;
    };
    const end = (): void => {
      mark(null);
      document.body.classList.remove('dragging');
      this.#aimedAt = Number.NEGATIVE_INFINITY;
      this.draw();
    };
    document.addEventListener('dragover', (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      this.#aimedAt = performance.now();
      document.body.classList.add('dragging');
      mark(cardAt(event));
    });
    document.addEventListener('dragleave', (event) => {
      if (event.relatedTarget === null) end();
    });
    document.addEventListener('drop', (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      const key = cardAt(event)?.getAttribute('data-key') ?? undefined;
      end();
      if (event.dataTransfer !== null) void this.#drop(event.dataTransfer, key);
    });
    document.addEventListener('paste', (event) => {
      const { clipboardData } = event;
      if (clipboardData === null || !isPasted(event)) return;
      event.preventDefault();
      void this.#drop(clipboardData, undefined);
    });
  }

  /** Says so if it takes longer than a moment: thousands of files do. */
  async #look<Found>(finding: Promise<Found>): Promise<Found> {
    const timer = setTimeout(() => {
      this.#looking.add(finding);
      this.#doing.say(LOOKING);
      this.draw();
    }, MOMENT);
    const found = await finding;
    clearTimeout(timer);
    if (this.#looking.delete(finding)) this.draw();
    return found;
  }

  async #drop(transfer: DataTransfer, key: string | undefined): Promise<void> {
    // Has to be asked at once: afterwards the browser has forgotten what was dropped.
    const unreadable: string[] = [];
    const dropped = await this.#look(droppedOf(transfer, (path) => unreadable.push(path)));
    if (unreadable.length > 0)
      this.#doing.complain(`It cannot be read: ${formatFirst(unreadable, clean)}.`);
    else if (dropped.length === 0) this.#doing.complain(NOTHING_IN_IT);
    if (dropped.length === 0) return;
    if (key === undefined) this.makeReady([...this.#ready, ...dropped]);
    else await this.#send(this.isMarked(key) ? this.#chosen : [key], dropped);
  }
}

const LOOKING = 'Looking through what was dropped…';

/** Milliseconds. */
const MOMENT = 500;

const NOTHING_IN_IT = 'There is nothing in it.';

/** Milliseconds. A browser says several times a second that something is dragged. */
const AIMING = 1_000;

/** More devices than this are looked through by their names. */
const MANY = 12;

/** A device as a target that is large enough to be hit. */
class Card implements Row<Target> {
  readonly node: HTMLElement;
  readonly #list: NearbyList;
  readonly #name = foreign();
  readonly #standing = make('p', { class: 'standing' });
  readonly #shares = make('p', { class: 'shares' });
  readonly #where = make('p', { class: 'where' });
  readonly #how = make('span');
  /** The same stands in the list of transfers, with all that can be done about it. */
  readonly #bar = make('progress', { max: '1000', 'aria-hidden': 'true' });
  readonly #progress = make('div', { class: 'going' }, this.#how, this.#bar);
  readonly #mark: HTMLInputElement;
  readonly #markLabel: HTMLElement;
  readonly #send: HTMLButtonElement;
  readonly #here: HTMLButtonElement;
  readonly #folder: HTMLButtonElement;
  readonly #message: HTMLButtonElement;
  readonly #get: HTMLButtonElement;
  readonly #remove: HTMLButtonElement;
  readonly #pictures: Readonly<Record<'computer' | 'sharer' | 'silent', SVGSVGElement>>;

  constructor(key: string, list: NearbyList) {
    this.#list = list;
    this.#pictures = { computer: icon('computer'), sharer: icon('sharer'), silent: icon('silent') };
    this.#mark = make('input', { type: 'checkbox' });
    this.#mark.addEventListener('change', () => list.mark(key, this.#mark.checked));
    this.#markLabel = make('label', { class: 'mark' }, this.#mark);
    this.#send = button('Send files', () => list.pick('files', [key]), 'main');
    this.#here = button('Send here', () => void list.sendReady([key]), 'main');
    this.#folder = button('Folder', () => list.pick('folder', [key]), 'quiet');
    this.#message = button('Message', () => list.message([key]), 'quiet');
    this.#get = button('Get', () => list.get(key), 'main');
    this.#remove = button('Remove', () => list.forget(key), 'quiet');
    this.node = make(
      'li',
      { class: 'device', 'data-key': key },
      make(
        'div',
        { class: 'device-head' },
        make('span', { class: 'picture' }, ...Object.values(this.#pictures)),
        make(
          'div',
          { class: 'device-words' },
          make('h3', {}, this.#name),
          this.#standing,
          this.#shares,
          this.#where,
          this.#progress,
        ),
        this.#markLabel,
      ),
      make(
        'div',
        { class: 'device-actions' },
        this.#here,
        this.#get,
        this.#send,
        this.#folder,
        this.#message,
        this.#remove,
      ),
    );
  }

  update(target: Target): void {
    const { key, name, called, device, transfer } = target;
    const isSharer = device?.shares === true;
    const canSend = canBeSentTo(target);
    const canGet = (isSharer && isOpen(device)) || device === undefined;
    const { isReady } = this.#list;
    setText(this.#name, name);
    setText(
      this.#standing,
      device ? standingOf(device) : 'By its address: it is called when you send',
    );
    this.node.classList.toggle('odd', device?.standing === 'namesake');
    setText(this.#shares, device && isSharer ? sharingOf(device) : '');
    show(this.#shares, isSharer);
    setText(
      this.#where,
      [device?.addresses[0] ?? '', device?.id ?? ''].filter(Boolean).join(' · '),
    );
    show(this.#where, device !== undefined && transfer === undefined);
    show(this.#progress, transfer !== undefined);
    if (transfer !== undefined) {
      setText(this.#how, progressOf(transfer));
      setAttribute(this.#bar, 'value', shareOf(transfer));
    }
    const picture = device?.standing === 'silent' ? 'silent' : isSharer ? 'sharer' : 'computer';
    for (const [kind, svg] of Object.entries(this.#pictures))
      setAttribute(svg, 'hidden', kind === picture ? null : '');
    this.node.classList.toggle('faint', device?.standing === 'silent' || !(canSend || canGet));
    const isMarked = this.#list.isMarked(key);
    this.node.classList.toggle('marked', isMarked);
    this.node.classList.toggle('takes', canSend);
    this.#mark.checked = isMarked;
    show(this.#markLabel, canSend);
    setAttribute(this.#mark, 'aria-label', `Mark ${called}`);
    for (const [element, isShown, label] of [
      [this.#here, canSend && isReady, `Send here: ${this.#list.readyText}, to ${called}`],
      [this.#send, canSend && !isReady, `Send files to ${called}`],
      [this.#folder, canSend && !isReady, `Send a folder to ${called}`],
      [this.#message, canSend && !isReady, `Send a message to ${called}`],
      [this.#get, canGet && !(isReady && canSend), `Get what ${called} shares`],
      [this.#remove, device === undefined, `Remove ${called}`],
    ] as const) {
      show(element, isShown);
      setAttribute(element, 'aria-label', label);
    }
  }
}

/** What is chosen so far, at the foot of the window: devices, files, or both. */
class Tray {
  readonly #list: NearbyList;
  readonly #node = byId('tray');
  readonly #text = make('p', { class: 'tray-text' });
  readonly #send: HTMLButtonElement;
  readonly #files: HTMLButtonElement;
  readonly #folder: HTMLButtonElement;
  readonly #message: HTMLButtonElement;
  readonly #share: HTMLButtonElement;
  readonly #leave: HTMLButtonElement;
  #keys: readonly string[] = [];

  constructor(list: NearbyList) {
    this.#list = list;
    this.#send = button('Send', () => void list.sendReady(this.#keys), 'main');
    this.#files = button('Send files', () => list.pick('files', this.#keys), 'main');
    this.#folder = button('Send a folder', () => list.pick('folder', this.#keys));
    this.#message = button('Send a message', () => list.message(this.#keys));
    this.#share = button('Let others fetch it', () => void list.shareReady());
    this.#leave = button('Clear', () => {
      list.makeReady([]);
      list.clearMarks();
    });
    this.#node.append(
      this.#text,
      make(
        'div',
        { class: 'actions' },
        this.#leave,
        this.#message,
        this.#folder,
        this.#files,
        this.#share,
        this.#send,
      ),
    );
  }

  update(marked: readonly Target[]): void {
    const { isReady, isLooking, readyText } = this.#list;
    this.#keys = marked.map(({ key }) => key);
    const isMarked = marked.length > 0;
    const names = formatNames(marked.map(({ called }) => called));
    const to = isMarked ? `to ${names}` : '';
    const chosen = isReady ? `${readyText} ${isMarked ? to : '– choose a device'}` : `To ${names}`;
    setText(this.#text, isLooking ? LOOKING : chosen);
    const isShown = isReady || isMarked || isLooking;
    document.body.classList.toggle('has-tray', isShown);
    show(this.#node, isShown);
    show(this.#leave, isReady || isMarked);
    show(this.#send, isReady && isMarked);
    show(this.#share, isReady && !isMarked);
    for (const element of [this.#files, this.#folder, this.#message])
      show(element, !isReady && isMarked);
  }
}

function canBeSentTo({ device }: Target): boolean {
  return device === undefined || (isOpen(device) && !device.shares);
}

function cardAt({ target }: DragEvent): Element | null {
  return target instanceof Element ? target.closest('.device.takes') : null;
}

function hasFiles({ dataTransfer }: DragEvent): boolean {
  return dataTransfer?.types.includes('Files') === true;
}

/** Whether files were pasted to be sent, and no text into a field: some programs copy a picture of that along. */
function isPasted({ clipboardData, target }: ClipboardEvent): boolean {
  const isField = target instanceof Element && target.matches('input, textarea, dialog *');
  return !isField && clipboardData?.types.includes('Files') === true;
}

/** `report.pdf and 2 more (3 files, 12.0 MB)`. */
function textOf(dropped: readonly Dropped[]): string {
  const roots = [...new Set(dropped.map(({ path }) => path.split('/')[0] ?? ''))];
  const files = dropped.flatMap(({ file }) => file ?? []);
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return `${formatFirst(roots, clean)} (${formatCount(files.length, 'file')}, ${formatBytes(bytes)})`;
}
