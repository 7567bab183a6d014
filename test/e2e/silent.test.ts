import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Pair } from '../lab/pair.ts';
import { drop, dropOnScreen } from '../support/bin.ts';
import { describeWith, LAB } from '../support/skip.ts';

const ENTER = '\r';
const DOWN = '\x1b[B';

/** What a usual firewall keeps out: connections that others make. Multicast DNS comes in. */
const NEW_TCP = 'meta l4proto tcp ct state new';

/** How both computers are used at their terminals. */
const people = ({ left, right, bob, ana }: Pair) =>
  [
    { host: left, home: bob },
    { host: right, home: ana },
  ] as const;

describeWith(LAB, 'two people, one of them behind a firewall', () => {
  test('see why, agree to be called, and type the code', async () => {
    await using pair = new Pair();
    const [bob, ana] = people(pair);
    pair.right.lose(NEW_TCP, 10);
    await writeFile(join(pair.bob.path, 'a.txt'), 'for Ana');
    await using receiving = dropOnScreen(['receive', '--name', 'Ana'], ana);
    const [, code] = await receiving.waitFor(/new devices: (\d{3} \d{3})/);
    await receiving.waitFor(/Reachable at 10\.77\.0\.2, as in: drop send FILE --to 10\.77\.0\.2\n/);

    await using sending = dropOnScreen(['send', 'a.txt'], bob);
    await sending.waitFor(
      /^ {2}Ana {2}does not answer\n {2}"Ana" is announced but does not answer/,
    );
    sending.type(DOWN);
    await sending.waitFor(/> Ana {2}does not answer/);
    sending.type(ENTER);
    await sending.waitFor(/"Ana" does not answer; it is asked to call back\./);
    await receiving.waitFor(
      /A device at 10\.77\.0\.1 that is not known here.*\n.*Call it\? \[y\/N\]/,
    );
    receiving.type(`y${ENTER}`);
    await sending.waitFor(/Code shown on "Ana":/);
    sending.type(`${code}${ENTER}`);
    await sending.waitFor(/Sent 1 file/);
    expect(await sending.outcome()).toEqual({ code: 0, signal: 0 });
    expect(await readFile(join(pair.ana.downloads, 'a.txt'), 'utf8')).toBe('for Ana');

    // From now on the two know each other, and nobody is asked who calls whom.
    await using again = dropOnScreen(['send', 'a.txt'], bob);
    await again.waitFor(/> Ana {2}known\n/);
  });

  test('see that a name is not there, and that a device does not answer', async () => {
    await using pair = new Pair();
    const [bob] = people(pair);
    pair.right.lose(NEW_TCP, 10);
    await writeFile(join(pair.bob.path, 'a.txt'), 'a');
    await pair.receive();
    await using looking = drop(['peers'], bob);
    await using naming = drop(['send', '--to', 'Eve', '--wait', '6', 'a.txt'], bob);
    expect((await looking.outcome()).stdout).toMatch(/\nAna +does not answer +10\.77\.0\.2:\d+\n/);
    const { code, stderr } = await naming.outcome();
    expect(code).toBe(3);
    expect(stderr).toMatch(/"Eve" is not ready on this network\. "Ana" is announced but does not/);
  });
});
