// Loaded into a `drop` before its own code: notes when it speaks multicast DNS, and on demand how
// long its event loop stands still and what memory it takes. Tells the bench that started it.

import { Socket } from 'node:dgram';
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** The same clock in all processes of this machine, in milliseconds. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

const said = { firstQuery: undefined, firstAnswer: undefined, queries: 0, answers: 0 };

const { send } = Socket.prototype;
Socket.prototype.send = function (packet, ...rest) {
  if (isAnswer(packet)) {
    said.firstAnswer ??= now();
    said.answers++;
  } else {
    said.firstQuery ??= now();
    said.queries++;
  }
  return send.call(this, packet, ...rest);
};

/** The first bit of the flags, RFC 1035, 4.1.1. */
function isAnswer(packet) {
  return (packet[2] & 0x80) !== 0;
}

/** Looks every millisecond, so only while somebody wants to know. */
const loop = monitorEventLoopDelay({ resolution: 1 });

process.on('message', (question) => {
  const figures = { ...said, stall: loop.max / 1e6, memory: process.memoryUsage.rss() };
  if (question === 'watch the loop') {
    loop.enable();
    loop.reset();
  }
  process.send(figures);
});
// The bench is no reason to go on.
process.channel.unref();
