// Makes docs/demo.svg: two people with two computers, really sending. Needs root on Linux (the
// computers are network namespaces), a built drop, and a Node that reads TypeScript:
//
//   npx --yes --package=node@24 -- node scripts/record.mjs

import { randomBytes } from 'node:crypto';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { project } from './npm.mjs';
import { picture } from './picture.mjs';

const WIDTH = 80;
const TITLE =
  'Two terminals: one receives, one sends; a device is chosen from a list, a code is typed, the file arrives';

if (!process.features.typescript)
  throw new Error(`Node ${process.versions.node} reads no TypeScript`);

const { Lab } = await import('../test/lab/hosts.ts');
const { Home } = await import('../test/support/home.ts');
const { Screen } = await import('../test/support/screen.ts');

const lab = Lab.create();
const people = [];
try {
  const ana = person('ana', 'anas-laptop', '10.7.0.1/24', 17);
  const bob = person('bob', 'bobs-laptop', '10.7.0.2/24', 9);
  await play(ana, bob);
  const svg = await picture([ana.cast(), bob.cast()], TITLE);
  writeFileSync(join(project, 'docs', 'demo.svg'), svg);
  console.log(`docs/demo.svg: ${svg.length} bytes`);
} finally {
  for (const { screen, home } of people) {
    await screen[Symbol.asyncDispose]();
    await home[Symbol.asyncDispose]();
  }
  lab.destroy();
}

async function play(ana, bob) {
  writeFileSync(join(bob.home.path, 'report.pdf'), randomBytes(2_100_000));
  mkdirSync(join(bob.home.path, 'photos'));
  for (let n = 1; n <= 6; n++)
    writeFileSync(join(bob.home.path, 'photos', `${1000 + n}.jpg`), randomBytes(14_000_000));

  await ana.types('drop receive\r');
  const [, code] = await ana.screen.waitFor(/Code for new devices: ([\d ]+)/);
  await bob.types('drop send report.pdf photos/\r');
  await bob.screen.waitFor(/anas-laptop/);
  await pause(1500);
  bob.screen.type('\r');
  await bob.screen.waitFor(/Code shown on/);
  await bob.types(`${code.trim()}\r`);
  await bob.screen.waitFor(/^Sent /m);
  await ana.screen.waitFor(/^Received /m);
  await bob.screen.waitFor(/^bob\$/m);
  await pause(500);
}

/** Somebody in front of a shell, in which `drop` is installed. */
function person(name, hostname, address, rows) {
  const host = lab.host(hostname, { bridge: 'wlan0', addresses: [address] });
  // So that there is progress to be seen.
  host.limit('wlan0', '300mbit');
  const home = new Home();
  const bin = join(home.path, '.bin');
  mkdirSync(bin);
  symlinkSync(join(project, 'bin', 'drop.js'), join(bin, 'drop'));
  const path = [bin, dirname(process.execPath), home.env.PATH].join(':');
  const env = { ...home.env, PATH: path, PS1: `${name}$ ` };

  const lines = [JSON.stringify({ version: 2, width: WIDTH, height: rows, title: hostname })];
  const onOutput = (data) => lines.push(JSON.stringify([performance.now() / 1000, 'o', data]));
  const screen = new Screen('bash', ['--norc', '--noprofile'], {
    host,
    env,
    cwd: home.path,
    cols: WIDTH,
    rows,
    onOutput,
  });
  const types = async (keys) => {
    await screen.waitFor(/\S/);
    for (const key of keys) {
      await pause(key === '\r' ? 400 : 70);
      screen.type(key);
    }
  };
  const self = { home, screen, types, cast: () => lines.join('\n') };
  people.push(self);
  return self;
}
