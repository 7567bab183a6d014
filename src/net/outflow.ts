import type { Writable } from 'node:stream';

type Written = (error: Error | null | undefined) => void;

/**
 * Bytes on their way into a socket. A small file is a few short messages, and a record of TLS and a
 * system call for each of these would cost more than the file: what is short and comes within one
 * turn of the event loop goes out in one piece.
 */
export class Outflow {
  readonly #socket: Writable;
  /** Where short parts lie side by side; those from `#from` to `#to` have not left yet. */
  #sheet: Sheet | undefined;
  #from = 0;
  #to = 0;
  /** Who waits until these are handed over. */
  #waiting: Written[] = [];
  readonly #spare: Sheet[] = [];
  #leaving = false;

  constructor(socket: Writable) {
    this.#socket = socket;
  }

  /** `written` is called when the system has taken all parts, and they may be overwritten. */
  write(parts: readonly Uint8Array[], written: Written): void {
    if (parts.length === 0) written(null);
    for (const [i, part] of parts.entries())
      this.#add(part, i === parts.length - 1 ? written : undefined);
    if (this.#leaving) return;
    this.#leaving = true;
    setImmediate(() => {
      this.#leaving = false;
      this.flush();
    });
  }

  /** Waits no longer for more. */
  flush(): void {
    const sheet = this.#sheet;
    if (sheet === undefined || (this.#from === this.#to && this.#waiting.length === 0)) return;
    const waiting = this.#waiting;
    sheet.leaving += 1;
    this.#socket.write(sheet.bytes.subarray(this.#from, this.#to), (error) => {
      sheet.leaving -= 1;
      this.#clear(sheet);
      for (const written of waiting) written(error);
    });
    this.#from = this.#to;
    this.#waiting = [];
  }

  #add(part: Uint8Array, written: Written | undefined): void {
    if (part.length > SHORT) {
      this.flush();
      this.#socket.write(part, written);
      return;
    }
    if (this.#sheet === undefined || this.#to + part.length > JOINED) this.#turn();
    this.#sheet?.bytes.set(part, this.#to);
    this.#to += part.length;
    if (written !== undefined) this.#waiting.push(written);
  }

  /** Goes on with a sheet on which nothing is. */
  #turn(): void {
    this.flush();
    this.#sheet = this.#spare.pop() ?? { bytes: Buffer.allocUnsafeSlow(JOINED), leaving: 0 };
    this.#from = this.#to = 0;
  }

  /** A sheet of which all has left is used again. */
  #clear(sheet: Sheet): void {
    if (sheet.leaving > 0) return;
    if (sheet !== this.#sheet) this.#spare.push(sheet);
    else if (this.#from === this.#to) this.#from = this.#to = 0;
  }
}

/** However little a peer that does not read lets out at a time, it takes no more than it is long. */
interface Sheet {
  readonly bytes: Buffer;
  /** How many pieces of it are being written. */
  leaving: number;
}

/** Up to here, to copy a part is cheaper than to write it by itself. */
const SHORT = 64 * 1024;

/** Bytes that are joined at most. */
const JOINED = 256 * 1024;
