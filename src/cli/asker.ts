import type { Peer, SilentPeer } from '../index.ts';
import type { Devices } from './devices.ts';
import type { Input } from './io.ts';

/** Somebody who can be asked. Every question ends when its signal is aborted, by throwing. */
export interface Asker {
  /** Which of the devices, which come and go meanwhile: one, or if `several` may be, at least one. */
  pick(
    message: string,
    devices: Devices,
    signal: AbortSignal,
    several: boolean,
  ): Promise<readonly (Peer | SilentPeer)[]>;
  /** Six digits. */
  code(message: string, signal: AbortSignal): Promise<string>;
  /** Anything, which is not shown while it is typed if that can be avoided. */
  pin(message: string, signal: AbortSignal): Promise<string>;
  /** Yes, or anything else. What was typed before the question stood there does not count. */
  confirm(message: string, signal: AbortSignal): Promise<boolean>;
  /** All of these, none, or the places of some. Enter alone takes all; else as in `confirm`. */
  choose(
    message: string,
    parts: readonly string[],
    signal: AbortSignal,
  ): Promise<boolean | readonly number[]>;
}

/** Whoever was asked left instead of answering: Ctrl-C, or Ctrl-D, which ends the input. */
export class Left extends Error {
  override readonly name = 'Left';
}

/** Resolves when Enter is pressed while `asking` says that no question stands; throws `Left` on Ctrl-D then. */
export function enterPressed(
  stdin: Input,
  asking: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const hear = (chunk: Buffer | string): void => {
      if (!asking() && /^[\r\n]+$/.test(String(chunk))) end(resolve);
    };
    // A question takes the keyboard, and lets go of it when it is answered.
    const listening = setInterval(() => !asking() && stdin.resume(), 100);
    const aborted = (): void => end(() => reject(signal.reason));
    const left = (): void => {
      if (!asking()) end(() => reject(new Left())); // A question that stands is left by itself.
    };
    function end(settle: () => void): void {
      clearInterval(listening);
      signal.removeEventListener('abort', aborted);
      stdin.off('data', hear);
      stdin.off('end', left);
      if (!asking()) stdin.pause();
      settle();
    }
    stdin.on('data', hear);
    stdin.on('end', left);
    signal.addEventListener('abort', aborted, { once: true });
    if (signal.aborted) aborted();
  });
}

/** Long enough for what was typed into the old picture, also over a slow line. */
const DRAIN = 300;

/**
 * Throws away what was typed until now. Only in raw mode does a terminal hand out the line that
 * is half typed; otherwise the Enter that ends it later would answer the question.
 */
export async function drain(stdin: Input, signal: AbortSignal, ms = DRAIN): Promise<void> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const swallow = (chunk: Buffer | string): void => {
      if (chunk.includes('\x03')) end(() => reject(new Left()));
    };
    const aborted = (): void => end(() => reject(signal.reason));
    let last: NodeJS.Immediate | undefined;
    // Where this program was held up, what was typed meanwhile is only read after the timer.
    const timer = setTimeout(() => {
      last = setImmediate(() => end(resolve));
    }, ms);
    function end(settle: () => void): void {
      clearTimeout(timer);
      clearImmediate(last);
      signal.removeEventListener('abort', aborted);
      stdin.off('data', swallow);
      stdin.pause();
      stdin.setRawMode?.(false);
      settle();
    }
    signal.addEventListener('abort', aborted, { once: true });
    stdin.setRawMode?.(true);
    stdin.on('data', swallow);
    stdin.resume();
  });
}
