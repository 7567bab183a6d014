import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { useEffect, useState } from '@inquirer/core';
import type { Io, Output, Paint } from './io.ts';
import { rowsOf, wipe } from './rows.ts';

/**
 * What inquirer draws of a prompt, on its way to the terminal. It wipes as many rows as it has drawn
 * lines, which are others when the window got narrow, or when a shell has written below them.
 */
export class Picture extends Writable {
  readonly output: Output;
  #lines: readonly string[] = [];
  /** How many of the lines are below the cursor. */
  #below = 0;

  constructor(output: Output) {
    super({ decodeStrings: false });
    this.output = output;
  }

  get columns(): number | undefined {
    return this.output.columns;
  }

  get rows(): number | undefined {
    return this.output.rows;
  }

  override _write(drawn: string, _: BufferEncoding, taken: () => void): void {
    const text = stripVTControlCharacters(drawn);
    if (text !== '') {
      this.#lines = text.split('\n');
      // From lines below it the cursor is moved up at last, and then to its column.
      const [up = '', column = ''] = drawn.split('\x1b[').slice(-2);
      this.#below = /^\d+A$/.test(up) && /^\d+G$/.test(column) ? Number.parseInt(up, 10) : 0;
    }
    this.output.write(drawn);
    taken();
  }

  /** Wipes it, in however many rows of the window it is by now. */
  wipe(): void {
    const above = this.#lines.slice(0, this.#lines.length - this.#below).join('\n');
    this.output.write(wipe(rowsOf(above, this.columns ?? 80)));
    this.giveRoom();
  }

  /** From here on there are as many empty rows as inquirer is going to wipe. */
  giveRoom(): void {
    const up = this.#below > 0 ? `\x1b[${this.#below}A` : '';
    this.output.write('\n'.repeat(Math.max(0, this.#lines.length - 1)) + up);
  }
}

/** Where a prompt is asked: what stops it, and what lets it go on. */
export type Terminal = Pick<Io, 'stdin' | 'signals' | 'suspend'>;

/**
 * Has a prompt draw itself anew when the window got another size, and when it goes on after Ctrl-Z.
 * inquirer does neither, and hears no key after Ctrl-Z.
 */
function useRedraws(picture: Picture, { stdin, signals, suspend }: Terminal): void {
  const [, setRedraws] = useState(0);
  useEffect((keyboard) => {
    const redraw = (): void => setRedraws((n) => n + 1);
    const resized = (): void => {
      picture.wipe();
      redraw();
    };
    const goOn = (): void => {
      signals.off('SIGCONT', goOn);
      stdin.setRawMode?.(true);
      picture.giveRoom();
      redraw();
    };
    const stop = (): void => {
      stdin.setRawMode?.(false);
      signals.on('SIGCONT', goOn);
      suspend();
    };
    picture.output.on('resize', resized);
    keyboard.on('SIGTSTP', stop);
    return () => {
      picture.output.off('resize', resized);
      signals.off('SIGCONT', goOn); // Nobody is asked any more.
    };
  }, []);
}

/**
 * The look of all prompts: plain signs, and our colours instead of those that inquirer decides on. It is
 * for one prompt, which asks for `message` once each time that it is drawn.
 */
export function themeOf(paint: Paint, picture: Picture, terminal: Terminal) {
  return {
    prefix: '?',
    style: {
      answer: (text: string) => paint('cyan', text),
      message: (text: string) => {
        useRedraws(picture, terminal);
        return paint('bold', text);
      },
      error: (text: string) => paint('red', text),
      defaultAnswer: (text: string) => `[${text}]`,
      help: (text: string) => paint('dim', text),
      highlight: (text: string) => paint('cyan', text),
    },
  };
}

export type Theme = ReturnType<typeof themeOf>;
