import { DropError } from '../errors.ts';
import { DATA_LIMIT, STALL_LIMIT } from '../limits.ts';
import { canonical } from './addresses.ts';
import { type Connection, type Credentials, dial, listen } from './tls.ts';

/*
 * Whoever dials hears at a lower price: Node lets the one who makes a connection say where received
 * bytes shall go, and nobody else. So a receiver that was dialled, and that more is sent to than it
 * could take otherwise, dials the sender in its turn, and the transfer moves to that connection. If
 * that cannot be, because of a firewall for instance, the transfer stays where it is.
 */

/**
 * Dials the peer of a connection at another port of it. Throws `wrong-peer` if that is not it, and
 * `unreachable` if nobody answers, or the signal is aborted before.
 */
export async function dialForData(
  { peer, remote }: Connection,
  port: number,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<Connection> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), DATA_LIMIT);
  const either = AbortSignal.any([limit.signal, signal]);
  try {
    const connection = await dial({ host: remote, port }, credentials, either, 'data');
    if (connection.peer === peer) {
      connection.greeted();
      return connection;
    }
    connection.destroy();
    throw new DropError('wrong-peer');
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Waits at a port of its own until the peer of a connection dials it. The promise rejects with
 * `unreachable` if it does not, or the signal is aborted before.
 */
export async function awaitForData(
  { peer, remote }: Connection,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<{ readonly port: number; readonly connection: Promise<Connection> }> {
  let settle = (_: Connection | undefined): void => {};
  const connection = new Promise<Connection>((resolve, reject) => {
    settle = (found) => (found ? resolve(found) : reject(new DropError('unreachable')));
  });
  connection.catch(() => {}); // Whoever waits for it learns of that.
  const end = (found?: Connection): void => {
    clearTimeout(limit);
    signal.removeEventListener('abort', giveUp);
    listener.close();
    settle(found);
  };
  const giveUp = (): void => end();
  const listener = await listen([0], credentials, {
    admits: (_, from) => canonical(from) === canonical(remote),
    onConnection(arrived) {
      if (arrived.peer !== peer) return arrived.destroy();
      // It says nothing here before it has heard all that is on the way to it.
      arrived.greeted(STALL_LIMIT);
      end(arrived);
    },
  });
  const limit = setTimeout(giveUp, DATA_LIMIT);
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();
  return { port: listener.port, connection };
}
