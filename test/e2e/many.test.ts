import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Host } from '../lab/hosts.ts';
import { Network } from '../lab/network.ts';
import { type Drop, dropOnScreen } from '../support/bin.ts';
import { Home } from '../support/home.ts';
import { describeWith, LAB } from '../support/skip.ts';

const ENTER = '\r';
const ESC = '\x1b';
const PIN = 'one for the whole class';

describeWith(LAB, 'one computer and three others', () => {
  let network: Network;
  let bob: Host;
  let others: Host[];
  const receiving = new Map<string, Drop>();

  beforeAll(async () => {
    network = new Network();
    bob = network.host('bob', { bridge: 'lan', addresses: ['10.77.0.1/24'] });
    others = ['ana', 'ben', 'eve'].map((name, n) =>
      network.host(name, { bridge: 'lan', addresses: [`10.77.0.${n + 2}/24`] }),
    );
    for (const host of others)
      receiving.set(host.name, await network.receive(host, [], { env: { DROP_PIN: PIN } }));
  });
  afterAll(() => network[Symbol.asyncDispose]());

  const path = (host: Host | undefined, name: string): string =>
    join(network.home(host as Host).path, name);
  const downloads = (host: Host | undefined): string[] =>
    readdirSync(network.home(host as Host).downloads).filter((name) => !name.startsWith('.'));
  const at = (host: string): Drop => receiving.get(host) as Drop;
  const hosted = (name: string): Host => others.find((host) => host.name === name) as Host;

  /** `drop send` of Bob to these, with the PIN of all of them. */
  const send = (to: readonly string[], args: readonly string[]): Drop =>
    network.run(bob, ['send', ...to.flatMap((name) => ['--to', name]), ...args], {
      env: { DROP_CODE: PIN },
    });

  test('one slow and one killed receiver keep nothing from the third', async () => {
    const size = 5_000_000;
    writeFileSync(path(bob, 'large'), randomBytes(size));
    for (const [name, rate] of Object.entries({ ana: '80mbit', ben: '2mbit', eve: '2mbit' }))
      hosted(name).limit('lan', rate);
    const sending = send(
      ['ana', 'ben', 'eve'],
      ['--json', '--compress', 'never', '--wait', '8', 'large'],
    );
    const { events } = sending;
    const done = await sending.event('summary');
    expect([done.peer.name, done.ok]).toEqual(['ana', true]);
    // When the fast one had all of it, the slow ones had less than half.
    const slow = events
      .slice(0, events.indexOf(done))
      .flatMap((event) =>
        event.event === 'progress' && event.peer.name !== 'ana' ? [event.bytes] : [],
      );
    expect(Math.max(0, ...slow)).toBeLessThan(size / 2);
    await sending.event('progress', ({ peer, bytes }) => peer.name === 'ben' && bytes > 0);
    at('ben').kill('SIGKILL');
    for (const name of ['ben', 'eve']) hosted(name).limit('lan', '80mbit');
    expect((await sending.outcome()).code).toBe(5);

    const summaries = events.filter((event) => event.event === 'summary');
    expect(summaries.map(({ peer, ok }) => [peer.name, ok]).sort()).toEqual([
      ['ana', true],
      ['ben', false],
      ['eve', true],
    ]);
    for (const name of ['ana', 'eve']) {
      const there = readFileSync(join(network.home(hosted(name)).downloads, 'large'));
      expect(there.equals(readFileSync(path(bob, 'large')))).toBe(true);
    }
    // Every line says of whom it tells.
    for (const event of events)
      expect(
        'peer' in event || ('to' in event && ['ana', 'ben', 'eve'].includes(event.to ?? '')),
      ).toBe(true);
  });

  test('each gets a line in the end, also who is not there', async () => {
    writeFileSync(path(bob, 'note'), 'to some');
    const sending = send(['ana', 'nobody'], ['--wait', '6', 'note']);
    const { code, stderr } = await sending.outcome();
    expect(code).toBe(5);
    expect(stderr).toMatch(/Error: "nobody" is not ready on this network\./);
    expect(stderr).toMatch(
      /\nana +delivered: 1 file \(7 B\)\nnobody +nothing sent: "nobody" is not ready on this network\.\n$/,
    );
  });

  test('a device that was named twice gets it once', async () => {
    writeFileSync(path(bob, 'once'), 'once');
    const sending = send(['ana', '10.77.0.2', 'ANA'], ['--json', 'once']);
    expect((await sending.outcome()).code).toBe(0);
    const names = sending.events.map(({ event }) => event);
    expect(names.filter((name) => name === 'saved')).toHaveLength(1);
    expect(names.filter((name) => name === 'same')).toHaveLength(2);
    expect(downloads(hosted('ana')).filter((name) => name.startsWith('once'))).toEqual(['once']);
    const heard = at('ana').events.filter((event) => event.event === 'error');
    expect(heard).toEqual([]);
  });

  test('--all is who is known and here, and if there is nobody, an error', async () => {
    writeFileSync(path(bob, 'everyone'), 'all');
    const sending = network.run(bob, ['send', '--all', '--json', 'everyone']);
    expect((await sending.outcome()).code).toBe(0);
    const reached = sending.events.filter((event) => event.event === 'summary');
    expect(reached.map(({ peer }) => peer.name).sort()).toEqual(['ana', 'eve']);
    await using stranger = new Home();
    const alone = network.run(bob, ['send', '--all', path(bob, 'everyone')], { home: stranger });
    const { code, stderr } = await alone.outcome();
    expect(code).toBe(3);
    expect(stderr).toMatch(/Error: No known device is ready on this network\./);
  });

  test('two are marked in the list, and their secrets asked for one after the other', async () => {
    receiving.set('ben', await network.receive(hosted('ben'), [], { env: { DROP_PIN: PIN } }));
    await using zoe = new Home();
    writeFileSync(join(zoe.path, 'marked'), 'marked');
    await using sending = dropOnScreen(['send', 'marked'], { home: zoe, host: bob });
    for (const name of ['ana', 'ben', 'eve']) await sending.waitFor(new RegExp(`${name} +new`));
    for (const name of ['ana', 'eve']) {
      sending.type(name);
      await sending.waitFor(new RegExp(`^> ${name} +new\n[\\s\\S]*device\\? ${name}$`));
      sending.type(ESC);
      await sending.waitFor(new RegExp(`^> ${name} +new\n[\\s\\S]*device\\?$`, 'm'));
      sending.type(' ');
      await sending.waitFor(new RegExp(`^>\\*${name} +new$`, 'm'));
    }
    await sending.waitFor(/Enter sends to ana and eve\./);
    sending.type(ENTER);
    const { 1: first, input } = await sending.waitFor(/PIN of "(ana|eve)":/);
    expect(input.match(/PIN of/g)).toHaveLength(1);
    sending.type(`${PIN}${ENTER}`);
    await sending.waitFor(new RegExp(`PIN of "${first === 'ana' ? 'eve' : 'ana'}":`));
    sending.type(`${PIN}${ENTER}`);
    await sending.waitFor(/\nana +delivered: 1 file \(6 B\)\neve +delivered: 1 file \(6 B\)$/);
    expect(await sending.outcome()).toEqual({ code: 0, signal: 0 });
    expect(downloads(hosted('ben'))).not.toContain('marked');
  });

  test('those who cannot be dialled call back, whoever of the others is met before', async () => {
    for (const name of ['ana', 'eve']) hosted(name).lose('meta l4proto tcp ct state new', 10);
    writeFileSync(path(bob, 'calls'), 'calls');
    const sending = send(['ben', 'ana', 'eve'], ['--json', 'calls']);
    expect((await sending.outcome()).code).toBe(0);
    for (const name of ['ana', 'eve']) hosted(name).loseNothing();
  });

  test('three send to one at once: it is asked about each, and nothing is lost', async () => {
    const home = network.home(bob);
    await using receiver = dropOnScreen(['receive', '--name', 'Bob'], { home, host: bob });
    await receiver.waitFor(/Code for new devices/);
    const asked: string[] = [];
    // Of different sizes, as files of one size and time are taken for the same one.
    const reportOf = (name: string): string => name.repeat(name.charCodeAt(0) * 1000);
    const sendings = ['ana', 'eve', 'ben'].map((name) => {
      const host = hosted(name);
      writeFileSync(path(host, 'report.txt'), reportOf(name));
      return network.run(host, ['send', '--json', '--to', '10.77.0.1', 'report.txt']);
    });
    for (const sending of sendings) await sending.event('waiting');
    for (const _ of sendings) {
      const { name, questions } = await receiver.until(() => {
        const shown = receiver.history();
        const [last = ''] = shown.split('\n').slice(-1);
        const [, who = ''] = /^\? (\w+) wants to send report\.txt .*\[y\/N\]\s*$/.exec(last) ?? [];
        if (who === '' || asked.includes(who)) return undefined;
        return { name: who, questions: shown.match(/wants to send/g) };
      }, 'the next question');
      // One stands alone.
      expect(questions).toHaveLength(asked.length + 1);
      asked.push(name);
      receiver.type(`y${ENTER}`);
    }
    expect(asked.sort()).toEqual(['ana', 'ben', 'eve']);
    for (const sending of sendings) expect((await sending.outcome()).code).toBe(0);
    const reports = downloads(bob).filter((name) => name.startsWith('report'));
    expect(reports.sort()).toEqual(['report (1).txt', 'report (2).txt', 'report.txt']);
    const texts = reports.map((name) => readFileSync(join(home.downloads, name), 'utf8'));
    expect(texts.sort()).toEqual(asked.map(reportOf));
  });
});
