import type { Writable } from 'node:stream';

type Written = (error: Error | null | undefined) => void;

/**
 * Bytes on their way into a socket. A small file is a few short messages, and a record of TLS and a
 * system call for each of these would cost more than the file: what is short and comes within one
 * turn of the event loop goes out in one piece.
 */
export class Outflow {
  readonly #socket: Writable;
  /** Short parts side by side, and who waits until they are handed over. */
  #joined: Buffer = Buffer.alloc(0);
  #length = 0;
  #waiting: Written[] = [];
  readonly #spare: Buffer[] = [];
  #leaving = false;

  constructor(socket: Writable) {
    this.#socket = socket;
  }

  /** `written` is called when the system has taken all parts, and they may be overwritten. */
  write(parts: readonly Uint8Array[], written: Written): void {
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
    if (this.#length === 0 && this.#waiting.length === 0) return;
    const [joined, waiting] = [this.#joined, this.#waiting];
    this.#socket.write(joined.subarray(0, this.#length), (error) => {
      this.#spare.push(joined);
      for (const written of waiting) written(error);
    });
    this.#joined = Buffer.alloc(0);
    this.#length = 0;
    this.#waiting = [];
  }

  #add(part: Uint8Array, written: Written | undefined): void {
    if (part.length > SHORT) {
      this.flush();
      this.#socket.write(part, written);
      return;
    }
    if (this.#length + part.length > JOINED) this.flush();
    if (this.#joined.length === 0)
      this.#joined = this.#spare.pop() ?? Buffer.allocUnsafeSlow(JOINED);
    this.#joined.set(part, this.#length);
    this.#length += part.length;
    if (written !== undefined) this.#waiting.push(written);
  }
}

/** Up to here, to copy a part is cheaper than to write it by itself. */
const SHORT = 64 * 1024;

/** Bytes that are joined at most. */
const JOINED = 256 * 1024;
