import { diskFailure } from './disk/failure.ts';
import { asWord } from './disk/platform.ts';
import { readPrivate, Unfit } from './disk/private.ts';
import { DropError } from './errors.ts';

/** Bytes; a PIN is shorter, and whoever names another file by mistake shall not wait. */
const MAX_PIN_FILE = 4096;

/**
 * The PIN in a file that belongs to us and that nobody else may read: its first line. Throws
 * `not-permitted` if others may, `missing` if there is none.
 */
export async function readPin(path: string): Promise<string> {
  try {
    const [line = ''] = (await readPrivate(path, MAX_PIN_FILE)).split(/\r?\n/);
    return line;
  } catch (error) {
    if (!(error instanceof Unfit)) throw diskFailure(error, path);
    throw new DropError('not-permitted', {
      message: `The file with the PIN ${error.message}.`,
      hint: `It must be yours alone: chmod 600 ${asWord(path)}`,
      path,
    });
  }
}
