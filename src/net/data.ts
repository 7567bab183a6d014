import { DropError } from '../errors.ts';
import { canonical } from './addresses.ts';
import { type Connection, type Credentials, dial, listen } from './tls.ts';

/*
 * Whoever dials hears at a lower price: Node lets the one who makes a connection say where received
 * bytes shall go, and nobody else. So a receiver that was dialled, and that more is sent to than it
 * could take otherwise, dials the sender in its turn, and the transfer moves to that connection. If
 * that cannot be, because of a firewall for instance, the transfer stays where it is.
 */

/** Dials the peer of a connection at another port of it. Throws `wrong-peer` if that is not it. */
export async function dialForData(
  { peer, remote }: Connection,
  port: number,
  credentials: Credentials,
): Promise<Connection> {
  const limit = AbortSignal.timeout(DATA_LIMIT);
  const connection = await dial({ host: remote, port }, credentials, limit, 'data');
  if (connection.peer !== peer) {
    connection.destroy();
    throw new DropError('wrong-peer');
  }
  connection.greeted();
  return connection;
}

/** Waits at a port of its own until the peer of a connection dials it. */
export async function awaitForData(
  { peer, remote }: Connection,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<{ readonly port: number; readonly connection: Promise<Connection> }> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(DATA_LIMIT)]);
  let found: ((connection: Connection) => void) | undefined;
  const connection = new Promise<Connection>((resolve, reject) => {
    found = resolve;
    if (limited.aborted) reject(limited.reason);
    limited.addEventListener('abort', () => reject(limited.reason), { once: true });
  });
  connection.catch(() => {}); // Whoever waits for it learns of that.
  const listener = await listen([0], credentials, {
    admits: (_, from) => canonical(from) === canonical(remote),
    onConnection(arrived) {
      if (arrived.peer !== peer || found === undefined) return arrived.destroy();
      arrived.greeted();
      found(arrived);
      found = undefined;
    },
  });
  void connection.finally(() => listener.close()).catch(() => {});
  return { port: listener.port, connection };
}

/** How long the sender waits to be dialled, in milliseconds. Nothing waits for that meanwhile. */
const DATA_LIMIT = 5_000;
