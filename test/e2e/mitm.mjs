// Somebody in the middle: takes the place of a receiver, and calls that in the name of its sender.
//   node mitm.mjs HOME MANNER PORT
// HOME is where its key lies, PORT where the receiver listens on this computer. Says {"port"} once it
// listens, {"got": type} of each message that a sender sends only to whom it trusts, {"gave": type}
// likewise of the receiver, and {"over": code} when a connection has ended. MANNER is
//   relay      hands on what each of them says
//   edit       the same, and changes what is agreed on: the sender's intent, the receiver's epoch
//   strip      the same, and says that the receiver is older and its sender known
//   reflect    gives the sender its own share and tag back
//   open       says that no code is needed
//   trusted    says that it knows the sender
//   replay     says to the receiver again what a sender said who proved itself
//   guess      does not ask the receiver at all, and proves with a code of its own
//   hang-up    the same, and is gone when the sender has answered
//   put-off    the same, and says then that it is too early
// In the last three, {"guessed": true} says that a sender has answered.

import { DropError } from '../../dist/errors.js';
import { openSelf } from '../../dist/meeting/self.js';
import { newRun } from '../../dist/net/run.js';
import { dial, listen } from '../../dist/net/tls.js';
import { CodeGuard } from '../../dist/protocol/code.js';
import { FrameDecoder } from '../../dist/protocol/frame.js';
import { decode, encode } from '../../dist/protocol/message.js';
import { Channel } from '../../dist/transfer/channel.js';
import { greetAsAnnouncer } from '../../dist/transfer/greeting.js';

const [, , home, manner, port] = process.argv;
const self = await openSelf({ home, name: 'Ana' });
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const never = new AbortController().signal;

/** What is said before anybody is trusted. */
const GREETING = new Set(['hello', 'welcome', 'share', 'confirm', 'cancel', 'alive']);

const GUESSES = new Set(['guess', 'hang-up', 'put-off']);

/** What a sender said that proved itself to the end, for `replay`. */
let recorded = [];

const listener = await listen([0], self.identity, {
  card: { run: newRun(), name: 'Ana', part: 'announcer', way: 'send' },
  onConnection: (connection) => void visit(connection).catch((error) => say({ over: `${error}` })),
});
say({ port: listener.port });

async function visit(sender) {
  sender.greeted(600_000);
  if (manner === 'open' || manner === 'trusted') return claim(sender);
  if (manner === 'reflect') return reflect(sender);
  if (GUESSES.has(manner)) return guess(sender);
  const receiver = await dial({ host: '127.0.0.1', port: Number(port) }, self.identity, never);
  receiver.greeted(600_000);
  if (recorded.length > 0) {
    for (const message of recorded) await receiver.write(...encode(message)).catch(() => {});
    await pass(receiver, sender, (message) => message, 'gave');
    return;
  }
  const heard = [];
  const listen = (message) => {
    heard.push(message);
    if (manner === 'replay' && message.type === 'confirm') recorded = heard;
    return fromSender(message);
  };
  await Promise.all([
    pass(sender, receiver, listen, 'got'),
    pass(receiver, sender, fromReceiver, 'gave'),
  ]);
}

/** Hands on each message, as `change` makes it. */
async function pass(from, to, change, word) {
  const decoder = new FrameDecoder();
  decoder.greeted();
  try {
    for await (const bytes of from.incoming)
      for (const piece of decoder.push(bytes)) {
        const message = decode(piece);
        if (!GREETING.has(message.type)) say({ [word]: message.type });
        await to.write(...encode(change(message)));
      }
  } catch {
    // Whoever was deceived has hung up.
  }
  say({ over: word });
  await to.end();
}

function fromSender(message) {
  if (manner === 'edit' && message.type === 'hello') return { ...message, knows: !message.knows };
  return message;
}

function fromReceiver(message) {
  if (message.type !== 'welcome') return message;
  if (manner === 'edit') return { ...message, epoch: message.epoch + 1 };
  if (manner === 'strip') return { ...message, newest: 1, oldest: 0, terms: 'known' };
  return message;
}

/** Says whatever makes a sender go on. */
async function claim(sender) {
  const channel = new Channel('announcer', sender);
  try {
    await channel.hear('hello');
    const terms = manner === 'open' ? 'open' : 'known';
    await channel.say({ type: 'welcome', newest: 1, oldest: 1, terms, epoch: 1 });
    for (;;) say({ got: (await channel.hear('intro', 'begin', 'roots', 'offer', 'chunk')).type });
  } catch (error) {
    say({ over: error.code });
  }
}

async function reflect(sender) {
  const channel = new Channel('announcer', sender);
  try {
    await channel.hear('hello');
    await channel.say({ type: 'welcome', newest: 1, oldest: 1, terms: 'code', epoch: 1 });
    await channel.say(await channel.hear('share'));
    await channel.say(await channel.hear('confirm'));
    say({ got: (await channel.hear('intro')).type });
  } catch (error) {
    say({ over: error.code });
  }
}

async function guess(sender) {
  const channel = new Channel('announcer', sender);
  const { identity } = self;
  try {
    await greetAsAnnouncer(
      channel,
      { me: identity.id, peer: sender.peer, binding: sender.binding },
      { knows: false, guard: new CodeGuard(() => '000000'), now: () => 0, endIn: () => () => {} },
    );
    say({ got: (await channel.hear('intro')).type });
  } catch (error) {
    if (error.code === 'wrong-code') say({ guessed: true });
    if (manner === 'hang-up') sender.destroy();
    channel.fail(manner === 'put-off' ? new DropError('not-yet') : error);
    say({ over: error.code });
  }
}
