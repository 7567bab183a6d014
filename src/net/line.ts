import { LINE_SILENCE, MAX_UNHEARD } from '../limits.ts';
import type { Channel } from '../transfer/channel.ts';
import type { Connection } from './tls.ts';

/** How often both ends of a line say that they are alive, in milliseconds. */
export const LINE_BEAT = 2_000;

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
