// Somebody who does not keep to the rules, for hosts that a test has made.
//   node rogue.mjs HOME claim NAME MANNER       announces a name, comes when it is chosen, and then
//       take: claims to be known, and takes what it gets; pair: claims to be new, and to show a code;
//       stall: says nothing but that it is alive
//   node rogue.mjs HOME crowd LINES             comes to whoever knocks, so many times at once
//   node rogue.mjs HOME divert ADDRESS TO       asks TO to dial this address, where nothing speaks
//   node rogue.mjs HOME deny                    a porch that sends away whoever comes
// HOME is where its key lies. Says what happens as lines of text.

import { createServer } from 'node:net';
import Bonjour from 'bonjour-service';
import { openSelf } from '../../dist/meeting/self.js';
import { announce } from '../../dist/net/mdns.js';
import { KNOCK_PORTS } from '../../dist/net/ports.js';
import { newRun } from '../../dist/net/run.js';
import { dial, listen } from '../../dist/net/tls.js';
import { Channel } from '../../dist/transfer/channel.js';
import { introduce } from '../../dist/transfer/greeting.js';

const [, , home, command, ...rest] = process.argv;
const self = await openSelf({ home, name: 'Rogue' });
const run = newRun();
const say = (text) => process.stdout.write(`${text}\n`);

/** ms. */
const BEAT = 1000;
const FOR_EVER = 600_000;

/** Nothing listens there. */
const NO_PORT = 9;

const commands = { claim, crowd, divert, deny };
await commands[command](...rest);
say('ready');

function claim(name, manner) {
  let busy = false;
  const come = async (knock) => {
    const { channel, stop } = await lineTo(knock, name);
    const hello = await channel.hear('hello');
    say(`hello ${hello.knows}`);
    if (manner === 'stall') return;
    stop();
    const terms = manner === 'pair' ? 'code' : 'known';
    const said = { newest: hello.newest, oldest: hello.oldest, terms, epoch: 1 };
    await channel.say({ type: 'welcome', ...said });
    if (manner === 'pair') return;
    await introduce(channel, name);
    await channel.hear('begin');
    say(`roots ${(await channel.hear('roots')).names}`);
  };
  const onKnock = (knock) => {
    if (busy || knock.intent !== 'send') return;
    busy = true;
    come(knock).catch((error) => {
      busy = false;
      say(`failed ${error.code}`);
    });
  };
  announce({ name, run, port: NO_PORT }, { onKnock });
}

function crowd(lines) {
  let came = false;
  const onKnock = (knock) => {
    if (came) return;
    came = true;
    const all = Array.from({ length: Number(lines) }, () => lineTo(knock, 'Crowd'));
    void Promise.allSettled(all).then(() => say('crowded'));
  };
  announce({ name: 'Crowd', run, port: NO_PORT }, { onKnock });
}

function divert(address, to) {
  let dialled = 0;
  for (const port of KNOCK_PORTS)
    createServer((socket) => {
      socket.on('error', () => {});
      dialled++;
      if (dialled === KNOCK_PORTS.length) say('diverted');
    }).listen(port, address);
  const { mdns } = new Bonjour({ interface: address, bind: '0.0.0.0' }).server;
  const additionals = KNOCK_PORTS.map((port) => ({
    name: '_knock._drop-lan._tcp.local',
    type: 'TXT',
    ttl: 0,
    data: ['v=1', `to=${to}`, 'for=look', `port=${port}`],
  }));
  const questions = [{ name: '_drop-lan._tcp.local', type: 'PTR' }];
  setInterval(() => mdns.query({ questions, additionals }), 60);
}

async function deny() {
  await listen(KNOCK_PORTS, self.identity, {
    card: { run, name: self.name, part: 'chooser', way: 'send' },
    onConnection(connection) {
      say('denied');
      connection.destroy();
    },
  });
}

async function lineTo({ from, port }, name) {
  const signal = AbortSignal.timeout(5000);
  const connection = await dial({ host: from, port }, self.identity, signal, 'chooser');
  connection.greeted(FOR_EVER);
  const channel = new Channel('announcer', connection);
  await channel.say({ type: 'here', card: { run, name, part: 'announcer', way: 'send' } });
  const beat = setInterval(() => channel.say({ type: 'alive' }).catch(() => {}), BEAT);
  const stop = () => clearInterval(beat);
  void connection.over.then(stop);
  return { channel, stop };
}
