import type { Channel } from '../transfer/channel.ts';
import type { Connection } from './tls.ts';

/** How long the other end of a line may be silent, in milliseconds; then its computer is gone. */
const LINE_SILENCE = 6_000;

/** How often both ends of a line say that they are alive, in milliseconds. */
export const LINE_BEAT = 2_000;

/**
 * Bytes on a line that waits, where nobody hears: signs of life of half a day. Beyond them, it would
 * not be noticed when the line ends; the announcer makes another.
 */
const MAX_UNHEARD = 64 * 1024;

/** Tells the other end of a line that we are there, and notices when it is not, until it is used. */
export function keepLine(connection: Connection, channel: Channel): void {
  connection.greeted(LINE_SILENCE);
  const beat = setInterval(() => {
    if (channel.session.opened) clearInterval(beat);
    else if (connection.unheard > MAX_UNHEARD) connection.destroy();
    else channel.say({ type: 'alive' }).catch(() => {}); // Its end is noticed by itself.
  }, LINE_BEAT);
  void connection.over.then(() => clearInterval(beat));
}
