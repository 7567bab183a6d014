// Loaded into a `drop` before its own code: notes when it speaks multicast DNS, and on demand how
// long its event loop stands still and what memory it takes. Tells the bench that started it.

import { Socket } from 'node:dgram';
import { openSync, readSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The same clock in all processes of this machine, in milliseconds. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

const said = { firstQuery: undefined, firstAnswer: undefined, queries: 0, answers: 0 };
let stall = 0;
let watching;

/** Nanoseconds on a core and waiting for one, and how often; Linux only. */
const schedule = openSync('/proc/self/schedstat');
const text = Buffer.alloc(96);

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

process.on('message', (question) => {
  if (question === 'clear up') collect();
  const { rss, heapUsed } = process.memoryUsage();
  process.send({ ...said, stall, resident: rss, heap: heapUsed });
  if (question === 'watch the loop') watchLoop();
});
// The bench is no reason to go on.
process.channel.unref();

/** The first bit of the flags, RFC 1035, 4.1.1. */
function isAnswer(packet) {
  return (packet[2] & 0x80) !== 0;
}

/** Removes what nobody refers to any more, so that `heap` is what is kept. */
function collect() {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc');
  collectGarbage();
}

/** Milliseconds for which the process could have run so far, had there been a core for it. */
function waited() {
  const length = readSync(schedule, text, 0, text.length, 0);
  return Number(text.toString('latin1', 0, length).split(' ')[1]) / 1e6;
}

/**
 * Looks every millisecond how late it is, so only while somebody wants to know. What others do
 * on this machine is not held against it: the time in which it waited for a core counts not.
 */
function watchLoop() {
  stall = 0;
  clearInterval(watching);
  let last = now() - waited();
  watching = setInterval(() => {
    const at = now() - waited();
    stall = Math.max(stall, at - last);
    last = at;
  }, 1);
  watching.unref();
}
