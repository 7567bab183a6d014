// Somebody else on the network of the bench, without any code of `drop`.
//   node stranger.mjs say ADDRESS...   multicasts what it gets, { from, packets }, from its addresses
//   node stranger.mjs hear ADDRESS     tells of each answer for drop-lan that arrives, { at, from }
// Both speak over the channel to the bench, and end with it.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';

const GROUP = '224.0.0.251';
const PORT = 5353;

const [, , command, ...addresses] = process.argv;
process.on('disconnect', () => process.exit());
await { say, hear }[command](...addresses);
process.send('ready');

/** Each packet in base64, from the next address; answers with how many were sent. */
async function say(...sources) {
  const sockets = await Promise.all(
    sources.map(async (source) => {
      const socket = createSocket({ type: 'udp4', reuseAddr: true });
      socket.bind(PORT, source);
      await once(socket, 'listening');
      socket.setMulticastInterface(source);
      return socket;
    }),
  );
  process.on('message', async (packets) => {
    for (const [i, packet] of packets.entries())
      await new Promise((sent) =>
        sockets[i % sockets.length].send(Buffer.from(packet, 'base64'), PORT, GROUP, sent),
      );
    process.send(packets.length);
  });
}

async function hear(address) {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  socket.bind(PORT);
  await once(socket, 'listening');
  socket.addMembership(GROUP, address);
  socket.on('message', (packet, from) => {
    const isAnswer = (packet[2] & 0x80) !== 0;
    if (isAnswer && packet.includes('_drop-lan'))
      process.send({ at: Number(process.hrtime.bigint()) / 1e6, from: from.address });
  });
}
