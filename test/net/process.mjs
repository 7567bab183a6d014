// One process that announces itself or watches the others, for hosts that a test has made.
//   node process.mjs announce NAME [INTERFACE...]     node process.mjs watch [INTERFACE...]
// Says what happens as lines of JSON; ends cleanly on SIGTERM. It stands in for `drop` itself:
// what it proves is a line of text, as discovery cares only that something is proven.
import { createHash, randomBytes } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { announce, browse } from '../../dist/net/mdns.js';
import { newRun } from '../../dist/net/names.js';
import { watchPeers } from '../../dist/net/watch.js';

const [, , command, ...rest] = process.argv;
const stopping = new AbortController();
process.once('SIGTERM', () => stopping.abort());
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const onTrouble = (trouble) => say({ event: 'trouble', ...trouble });

if (command === 'announce') await announceMe(rest[0], rest.slice(1));
else await watchOthers(rest);

async function announceMe(name, interfaces) {
  const id = createHash('sha256').update(randomBytes(16)).digest('hex');
  const run = newRun();
  const server = createServer((socket) => socket.on('error', () => {}).end(id));
  await new Promise((resolve) => server.listen(0, '::', resolve));
  const { port } = server.address();
  const announcer = announce({ name, run, port }, { interfaces, onTrouble });
  say({ event: 'ready', id, run, port });
  await new Promise((resolve) => stopping.signal.addEventListener('abort', resolve));
  server.close();
  await announcer.close();
}

async function watchOthers(interfaces) {
  const { signal } = stopping;
  say({ event: 'ready' });
  const sightings = (inner) => browse({ signal: inner, interfaces, onTrouble });
  for await (const change of watchPeers(sightings, prove, { signal }))
    say({ event: 'change', ...change });
}

function prove({ host, port }, signal) {
  return new Promise((resolve, reject) => {
    let id = '';
    const socket = connect({ host, port, signal });
    socket.setEncoding('latin1');
    socket.on('data', (text) => {
      id += text;
    });
    socket.on('end', () => (id.length === 64 ? resolve(id) : reject(new Error('no id'))));
    socket.on('error', reject);
  });
}
