import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect } from 'vitest';
import { openBook } from '../../../src/disk/book.ts';
import { openHome } from '../../../src/disk/home.ts';
import { type Identity, loadIdentity } from '../../../src/disk/identity.ts';
import { openTrustStore, type TrustStore } from '../../../src/disk/trust.ts';
import type { PeerId } from '../../../src/events.ts';
import { utf8 } from '../../../src/protocol/bytes.ts';
import { TempFolder } from '../../support/home.ts';
import { mutated } from './bytes.ts';
import { target } from './target.ts';

const ANA = 'a'.repeat(64) as PeerId;
const TIME = '2026-01-02T03:04:05.678Z';

/** A folder with somebody's private files in it. */
class PrivateFolder extends TempFolder {
  async write(path: string, bytes: Uint8Array): Promise<void> {
    await writeFile(join(this.path, path), bytes, { mode: 0o600 });
  }
}

/** Text that may be damaged; most often where the values are. */
function damaged(record: object): fc.Arbitrary<Uint8Array> {
  const keys = Object.keys(record);
  const changes = fc.dictionary(fc.constantFrom(...keys, '__proto__', 'more'), fc.jsonValue(), {
    maxKeys: 2,
  });
  return fc.oneof(
    mutated(fc.constant(utf8(JSON.stringify(record)))),
    changes.map((change) => utf8(JSON.stringify(Object.assign({ ...record }, change)))),
  );
}

class TrustFolder extends PrivateFolder {
  store!: TrustStore;
}

const trust = target({
  name: 'trust',
  input: damaged({ v: 1, id: ANA, name: 'Ana', via: 'code', trust: 'ask', firstSeen: TIME }),
  codes: [],
  async open() {
    const folder = new TrustFolder();
    folder.store = await openTrustStore(folder.path);
    return folder;
  },
  async feed(bytes, folder) {
    await folder.write(`peers/${ANA}.json`, bytes);
    const peer = await folder.store.get(ANA);
    expect(await folder.store.all()).toEqual(peer ? [peer] : []);
    if (peer) expect(peer.id).toBe(ANA);
    return peer !== undefined;
  },
});

const MEETINGS = [
  { host: '192.168.1.5', port: 23767, at: TIME },
  { host: 'fe80::1%eth0', port: 1, at: TIME },
];

const book = target({
  name: 'book',
  input: damaged({ v: 1, id: ANA, meetings: MEETINGS }),
  codes: [],
  async open() {
    const folder = new PrivateFolder();
    await openBook(folder.path);
    return folder;
  },
  async feed(bytes, folder) {
    await folder.write(`addresses/${ANA}.json`, bytes);
    const [met] = await (await openBook(folder.path)).all();
    if (met) expect(met.id).toBe(ANA);
    return met !== undefined;
  },
});

class IdentityFolder extends PrivateFolder {
  identity!: Identity;
  pem = new Uint8Array(0);
}

/** Where the PEM is changed; it is made anew each time, so the change is what is generated. */
const damage = fc.array(fc.record({ at: fc.nat(0xffff), byte: fc.nat(255), cut: fc.nat(20) }), {
  maxLength: 3,
});

const identity = target({
  name: 'identity',
  input: damage,
  codes: ['identity'],
  async open() {
    const folder = new IdentityFolder();
    await openHome(folder.path);
    folder.identity = await loadIdentity(folder.path);
    folder.pem = await readFile(join(folder.path, 'identity.pem'));
    return folder;
  },
  async feed(changes, folder) {
    const pem = Uint8Array.from(folder.pem);
    let { length } = pem;
    for (const { at, byte, cut } of changes)
      if (cut === 0) length = at % pem.length;
      else pem[at % pem.length] = byte;
    await folder.write('identity.pem', pem.subarray(0, length));
    expect((await loadIdentity(folder.path)).id).toBe(folder.identity.id);
    return true;
  },
});

export const files = [trust, book, identity];
