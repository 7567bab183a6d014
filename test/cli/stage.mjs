// `drop` in a terminal, with a library that a test directs through a socket:
//   node stage.mjs SOCKET WORD...
// It hears lines of JSON: {"peer": event}, {"ask": request}, {"offer": offer}, {"stranger": stranger}, {"gone": true},
// {"code": why, "kind": kind}, {"codes": [peer…]}, {"doubt": doubt}, {"locked": true}, {"tell": event}, {"finish": true}. It says {"chosen": peer, "patient": whether it
// waits as long as it takes}, {"typed": code}, {"accepted": answer}, {"taken": answer}, {"agreed": answer},
// {"confirmed": answer}, {"unlocked": true}, {"chosenAll": peers}, {"resized": columns} when all that
// comes of that is drawn, and
// {"end": result, "raw": whether the terminal is left raw}.

import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { processIo } from '../../dist/cli/io.js';
import { main } from '../../dist/cli/main.js';
import * as real from '../../dist/index.js';

const [, , path, ...words] = process.argv;
const socket = connect(path);
await once(socket, 'connect');
const say = (line) => socket.write(`${JSON.stringify(line)}\n`);

process.stderr.on('resize', () => setImmediate(say, { resized: process.stderr.columns }));

const heard = [];
let wake = () => {};
createInterface({ input: socket }).on('line', (line) => {
  heard.push(JSON.parse(line));
  wake();
});

/** What the test says, in its order, until the signal. */
async function* cues(signal) {
  signal.addEventListener('abort', () => wake(), { once: true });
  while (!signal.aborted) {
    if (heard.length > 0) yield heard.shift();
    else
      await new Promise((resolve) => {
        wake = resolve;
      });
  }
}

async function* discover({ signal }) {
  say({ ready: true });
  for await (const { peer } of cues(signal)) yield peer;
}

async function* send(_, { to, waitAgain, code, confirm, signal }) {
  say({ chosen: to, patient: waitAgain === Number.POSITIVE_INFINITY });
  const peer = { name: to.name ?? to, id: to.id ?? '0'.repeat(64) };
  for await (const cue of cues(signal)) {
    if (cue.code)
      say({ typed: await code({ peer, kind: cue.kind ?? 'code', why: cue.code, signal }) });
    if (cue.doubt) {
      const claimed = 'Ana\u001b[2J';
      say({ confirmed: await confirm({ peer, doubt: cue.doubt, claimed, signal }) });
    }
    if (cue.tell) yield cue.tell;
    if (cue.finish) return;
  }
  throw signal.reason;
}

/** Each device is told of by the test; the results are those of its summaries. */
async function* sendToAll(_, { to, code, signal }) {
  say({ chosenAll: to });
  const results = [];
  for await (const cue of cues(signal)) {
    if (cue.codes)
      for (const peer of cue.codes)
        code({ peer, kind: 'code', why: 'new', signal }).then((typed) => say({ typed }));
    if (cue.tell) yield cue.tell;
    if (cue.tell?.event === 'summary') results.push({ to: cue.tell.peer.name, summary: cue.tell });
    if (cue.finish) return results;
  }
  throw signal.reason;
}

async function* receive({ accept, agree, unlock, signal }) {
  say({ ready: true });
  let gone = new AbortController();
  for await (const cue of cues(signal)) {
    if (cue.ask) {
      gone = new AbortController();
      accept(cue.ask, gone.signal).then((accepted) => say({ accepted }));
    }
    if (cue.stranger) agree(cue.stranger, signal).then((agreed) => say({ agreed }));
    if (cue.gone) {
      gone.abort();
      say({ withdrawn: true });
    }
    if (cue.locked)
      unlock(signal).then(
        () => say({ unlocked: true }),
        () => {},
      );
    if (cue.tell) yield cue.tell;
    if (cue.finish) return;
  }
}

async function* get({ accept, signal }) {
  for await (const cue of cues(signal)) {
    if (cue.offer) accept(cue.offer, signal).then((taken) => say({ taken }));
    if (cue.tell) yield cue.tell;
    if (cue.finish) return;
  }
  throw signal.reason;
}

const library = { ...real, discover, send, sendToAll, receive, get };
const end = await main(words, { ...processIo(), library: async () => library });
await new Promise((said) => {
  socket.end(`${JSON.stringify({ end, raw: process.stdin.isRaw })}\n`, said);
});
socket.destroy();
