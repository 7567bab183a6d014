// Many who call a receiver and want nothing from it, for hosts that a test has made.
//   node crowd.mjs HOME HOST PORT SILENT JUNK ADDRESS...
// SILENT of them say nothing: one half not even what TLS needs. JUNK of them say something that makes
// no sense, while the others are there. They come from these addresses in turn, RATE a second. HOME is where their key lies. Says
// {"came", "open"} when all have come and those have gone that had no place, and {"over", "longest"} when the receiver has shown out all of
// them: how many, and the longest time in ms.

import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as tlsConnect } from 'node:tls';
import { openSelf } from '../../dist/meeting/self.js';
import { probe } from '../../dist/net/tls.js';

const [, , home, host, port, silent, junk, ...addresses] = process.argv;
const { identity } = await openSelf({ home, name: 'Crowd' });
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

/** Fewer than a receiver lets in, so that they do come in. */
const RATE = 70;

const key = { key: identity.key, cert: identity.cert };
const speak = (raw, how) => {
  const all = { ALPNProtocols: ['drop/1'], rejectUnauthorized: false, ...how };
  const socket = tlsConnect({ socket: raw, ...all }).on('error', () => {});
  // It hears of the end, and what is below it does not.
  return socket.once('close', () => raw.destroy()).resume();
};
const SILENT = [() => {}, (raw) => speak(raw, key)];
const JUNK = [
  (raw) => raw.write('GET / HTTP/1.1\r\n\r\n'),
  (raw) => raw.write(randomBytes(50_000)),
  (raw) => speak(raw, {}),
  (raw) => speak(raw, key).write(Buffer.from('ffffffff01', 'hex')),
  (raw) => speak(raw, key).write(Buffer.from('000000040101010100', 'hex')),
  (raw) => speak(raw, key).write(randomBytes(10_000)),
  (raw) => raw.end(),
  (raw) => setTimeout(() => raw.resetAndDestroy(), 50),
];

const all = [
  ...Array.from({ length: Number(silent) }, (_, i) => SILENT[i % SILENT.length]),
  ...Array.from({ length: Number(junk) }, (_, i) => JUNK[i % JUNK.length]),
];
let came = 0;
let open = 0;
let over = 0;
let longest = 0;

function come(act) {
  const localAddress = addresses[came % addresses.length];
  const since = performance.now();
  const raw = connect({ host, port: Number(port), localAddress, noDelay: true });
  raw.on('error', () => {}).once('connect', () => act(raw));
  came++;
  open++;
  raw.once('close', () => {
    open--;
    over++;
    longest = Math.max(longest, performance.now() - since);
    if (over === all.length) say({ over, longest });
  });
  raw.resume();
}

const coming = setInterval(() => {
  const act = all[came];
  if (act !== undefined) return come(act);
  clearInterval(coming);
  void settled().then(() => say({ came, open }));
}, 1000 / RATE);

/** Whoever comes after them is answered when it is decided who of them may stay. */
async function settled() {
  for (;;)
    try {
      await probe({ host, port: Number(port) }, new AbortController().signal);
      break;
    } catch {
      await sleep(100); // It may have to give way itself.
    }
  // Those that were shown out before are heard in the same turn, or the next.
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
}
