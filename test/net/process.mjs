// One process that announces itself or watches the others, for hosts that a test has made.
//   node process.mjs announce NAME [INTERFACE...]
//   node process.mjs watch|browse [INTERFACE...]     proven peers, or whatever is heard
//   node process.mjs say ADDRESS                     packets from its input, in base64; counts the answers
//   node process.mjs hold                            port 5353, all for itself
// Says what happens as lines of JSON; ends cleanly on SIGTERM. It stands in for `drop` itself:
// what it proves is a line of text, as discovery cares only that something is proven.

import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { announce, browse } from '../../dist/net/mdns.js';
import { newRun } from '../../dist/net/run.js';
import { watchPeers } from '../../dist/net/watch.js';

const [, , command, ...rest] = process.argv;
const stopping = new AbortController();
process.once('SIGTERM', () => stopping.abort());
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const onTrouble = (trouble) => say({ event: 'trouble', ...trouble });

const commands = { announce: announceMe, watch: watchOthers, browse: listen, say: speak, hold };
await commands[command](...rest);

async function announceMe(name, ...interfaces) {
  const id = createHash('sha256').update(randomBytes(16)).digest('hex');
  const run = newRun();
  const card = JSON.stringify({ id, run, name, part: 'announcer', way: 'send' });
  const server = createServer((socket) => socket.on('error', () => {}).end(card));
  await new Promise((resolve) => server.listen(0, '::', resolve));
  const { port } = server.address();
  const announcer = announce({ name, run, port }, { interfaces, onTrouble });
  say({ event: 'ready', id, run, port });
  await new Promise((resolve) => stopping.signal.addEventListener('abort', resolve));
  server.close();
  await announcer.close();
}

async function watchOthers(...interfaces) {
  const { signal } = stopping;
  say({ event: 'ready' });
  const sightings = (inner) => browse({ signal: inner, interfaces, onTrouble });
  for await (const change of watchPeers(sightings, prove, { signal }))
    say({ event: 'change', ...change });
}

async function listen(...interfaces) {
  say({ event: 'ready' });
  for await (const sighting of browse({ signal: stopping.signal, interfaces, onTrouble }))
    say({ event: 'sighting', ...sighting });
}

async function speak(address) {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  socket.bind(5353);
  await once(socket, 'listening');
  socket.setMulticastInterface(address);
  socket.addMembership('224.0.0.251', address);
  let answers = 0;
  const quiet = new Promise((resolve) => {
    const timer = setTimeout(resolve, 1000);
    socket.on('message', (_, from) => {
      timer.refresh();
      if (from.address !== address) answers++;
    });
  });
  for await (const line of createInterface(process.stdin))
    await new Promise((sent) =>
      socket.send(Buffer.from(line, 'base64'), 5353, '224.0.0.251', sent),
    );
  await quiet;
  socket.close();
  say({ event: 'said', answers });
}

async function hold() {
  const socket = createSocket('udp4');
  socket.bind(5353);
  await once(socket, 'listening');
  say({ event: 'ready' });
  stopping.signal.addEventListener('abort', () => socket.close());
}

function prove({ host, port }, signal) {
  return new Promise((resolve, reject) => {
    let card = '';
    const socket = connect({ host, port, signal });
    socket.setEncoding('utf8');
    socket.on('data', (text) => {
      card += text;
    });
    socket.on('end', () => (card ? resolve(JSON.parse(card)) : reject(new Error('no card'))));
    socket.on('error', reject);
  });
}
