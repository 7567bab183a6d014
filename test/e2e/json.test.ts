import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { Pair } from '../lab/pair.ts';
import { drop } from '../support/bin.ts';
import { describeWith, LAB } from '../support/skip.ts';

const SCHEMA = new URL('../../docs/events.schema.json', import.meta.url);

describeWith(LAB, 'what is printed', () => {
  test('is what the published schema says', async () => {
    const isLine = new Ajv2020().compile(JSON.parse(readFileSync(SCHEMA, 'utf8')));
    await using pair = new Pair();
    const { ana, bob, left, right } = pair;
    await writeFile(join(bob.path, 'a.txt'), 'a');
    const receiving = await pair.receive();
    const sent = await pair.send(['a.txt']).outcome();
    const again = await pair.send(['a.txt']).outcome();
    const printed = [sent.stdout, again.stdout];
    for (const yes of [[], ['--yes']]) {
      const words = ['share', '--json', '--name', 'Ana', ...yes, join(bob.path, 'a.txt')];
      await using sharing = drop(words, { home: ana, host: right });
      await sharing.event('ready');
      const getting = ['get', '--json', '--from', 'Ana', '--into', bob.downloads];
      await using fetching = drop(getting, { home: bob, host: left });
      printed.push((await fetching.outcome()).stdout, (await sharing.stop()).stdout);
    }
    for (const words of ['peers', 'trust Ana auto', 'send a.txt', 'send a.txt --huh']) {
      const args = [...words.split(' '), '--json'];
      await using running = drop(args, { home: bob, host: left });
      printed.push((await running.outcome()).stdout);
    }
    printed.push((await receiving.stop()).stdout);

    const lines = printed.flatMap((text) => text.trimEnd().split('\n'));
    const events = lines.map((line) => JSON.parse(line));
    for (const event of events) expect(isLine(event), JSON.stringify(event)).toBe(true);
    const kinds = new Set(events.map(({ event }) => event));
    // Who takes long to answer, on a slow machine, is asked to call back.
    kinds.delete('knocking');
    expect([...kinds].sort()).toEqual([
      'accepted',
      'code',
      'declined',
      'error',
      'fetch',
      'known',
      'offer',
      'paired',
      'peer',
      'progress',
      'ready',
      'request',
      'saved',
      'skipped',
      'summary',
      'waiting',
    ]);
  });
});
