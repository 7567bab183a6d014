import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import type { Host } from '../lab/hosts.ts';
import { Network } from '../lab/network.ts';
import { FakeTime } from '../support/faketime.ts';
import { describeWith, LAB } from '../support/skip.ts';

describeWith([...LAB, 'faketime'], 'in the list, and as what is sent to,', () => {
  test('two devices of one name are two, and the paired one is meant', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    const other = network.host('other', { bridge: 'lan', addresses: ['10.1.0.3/24'] });
    const [first, second] = [await network.receive(ana), await network.receive(other, NAMED_ANA)];
    const ids = [(await first.event('ready')).id, (await second.event('ready')).id];
    const list = network.list(bob);
    await list.shows('ana', '10.1.0.1:');
    await list.shows('ana', '10.1.0.3:');
    expect(list.entries.map(({ id }) => id).sort()).toEqual([...ids].sort());

    await writeFile(join(network.home(bob).path, 'note'), 'for one of them');
    const sending = network.send(bob, 'ana', first, ['note'], patient(network, bob));
    expect((await sending.outcome()).code).toBe(3);
    const { message } = await sending.event('error');
    for (const id of ids) expect(message).toContain(id.slice(0, 8));

    expect(await network.deliver(bob, String(ids[0]), first)).toBeDefined();
    expect(await network.deliver(bob, 'ana', first)).toBeDefined();
    expect(await network.deliver(bob, String(ids[1]), second)).toBeDefined();
  });

  test('names that are long or odd are shown clean, and mean their devices', async () => {
    await using network = new Network();
    const { bob, ana } = network.pair();
    const list = network.list(bob);
    for (const [i, { name, shown }] of ODD_NAMES.entries()) {
      const host = network.host(`ana${i}`, { bridge: 'lan', addresses: [`10.1.0.${10 + i}/24`] });
      const receiving = await network.receive(host, ['--name', name]);
      const entry = await list.shows(shown, `10.1.0.${10 + i}:`);
      expect(entry.name).not.toMatch(/\p{Cc}|\p{Bidi_Control}/u);
      // What could be a host is looked for as a device for a second.
      const options = shown.includes('.') ? patient(network, bob) : {};
      expect(await network.deliver(bob, shown, receiving, options), shown).toBeDefined();
    }
    const { stdout } = await network.run(ana, ['peers']).outcome();
    for (const { shown } of ODD_NAMES) expect(stdout).toContain(shown);
    expect(stdout).not.toMatch(/[^\P{Cc}\n]|\p{Bidi_Control}/u);
  });

  test('two receivers of one account are two, each with what it was sent', async () => {
    await using network = new Network();
    const { ana, bob } = network.pair();
    const folders = ['desk', 'lap'].map((name) => join(network.home(ana).path, name));
    const receivers = [];
    for (const folder of folders) {
      await mkdir(folder);
      receivers.push(await network.receive(ana, ['--into', folder]));
    }
    const [first, second] = receivers;
    if (!first || !second) throw new Error('not two receivers');
    const [one, two] = [await first.event('ready'), await second.event('ready')];
    expect(two).toMatchObject({ id: one.id, port: one.port + 1 });

    const list = network.list(bob);
    await list.shows('ana', `10.1.0.1:${one.port}`);
    await list.shows('ana', `10.1.0.1:${two.port}`);
    expect(list.entries.map(({ id }) => id)).toEqual([one.id, one.id]);

    // Each shows a code of its own, and who is new needs the right one.
    await writeFile(join(network.home(bob).path, 'note'), 'for any of them');
    const unsure = network.send(bob, 'ana', first, ['note'], patient(network, bob));
    expect((await unsure.outcome()).code).toBe(3);
    const { message } = await unsure.event('error');
    // Each answers by IPv4 and by IPv6, and whichever was first is known first.
    for (const { port } of [one, two]) expect(message).toMatch(new RegExp(`:${port}\\b`));

    for (const [i, receiving] of receivers.entries()) {
      const { port } = await receiving.event('ready');
      const path = await network.deliver(bob, `10.1.0.1:${port}`, receiving);
      expect(dirname(String(path))).toBe(folders[i]);
      expect(await readFile(String(path), 'utf8')).toContain(`${port}`);
    }
    // Who knows the device and names it means any of them.
    const sending = network.send(bob, 'ana', first, ['note']);
    expect((await sending.outcome()).code).toBe(0);
  });
});

const NAMED_ANA = ['--name', 'ana'];

/** For whom a second is long enough for all who are there to answer, however busy the machine is. */
function patient(network: Network, host: Host) {
  return { env: new FakeTime(network.home(host).path).slow(5).env };
}

/** Names, and how they are listed. */
const ODD_NAMES = [
  { name: 'é'.repeat(150), shown: 'é'.repeat(31) },
  { name: 'v1.2.3 of a.b.c', shown: 'v1.2.3 of a.b.c' },
  { name: 'ana.local', shown: 'ana.local' },
  { name: '👩‍💻 Ana 😀', shown: '👩‍💻 Ana 😀' },
  { name: 'red\u001b[31m\u0007 \u202eanA\r\n', shown: 'red[31m anA' },
];
