import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadIdentity } from '../../src/disk/identity.ts';
import { isPeerId, peerIdOf } from '../../src/peer-id.ts';
import { describeWith } from '../support/skip.ts';
import { newFolder } from './support.ts';

test('the first use makes a P-256 key and a certificate that names nobody and does not age', async () => {
  const home = newFolder();
  const identity = await loadIdentity(home);
  const certificate = new X509Certificate(identity.cert);
  expect(createPrivateKey(identity.key).asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
  expect(certificate.subject).toBe('CN=drop');
  expect(certificate.issuer).toBe('CN=drop');
  expect(certificate.checkPrivateKey(createPrivateKey(identity.key))).toBe(true);
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(new Date(certificate.validTo).getUTCFullYear()).toBe(9999);
  expect(isPeerId(identity.id)).toBe(true);
  expect(peerIdOf(certificate)).toBe(identity.id);
  expect(statSync(join(home, 'identity.pem')).mode & 0o777).toBe(0o600);
});

test('the next use finds the same identity, and nothing else is left in the folder', async () => {
  const home = newFolder();
  expect(await loadIdentity(home)).toEqual(await loadIdentity(home));
  expect(readdirSync(home)).toEqual(['identity.pem']);
});

test('several first uses at once end with one identity', async () => {
  const home = newFolder();
  const all = await Promise.all(Array.from({ length: 6 }, () => loadIdentity(home)));
  expect(new Set(all.map(({ id }) => id)).size).toBe(1);
  expect(readdirSync(home)).toEqual(['identity.pem']);
});

describe('an identity is refused, and left as it is,', () => {
  const cases: [string, RegExp, (path: string, home: string) => Promise<void> | void][] = [
    ['when others can read it', /other users/, (path) => chmodSync(path, 0o640)],
    ['when it is damaged', /damaged/, (path) => writeFileSync(path, 'nonsense')],
    ['when it is empty', /damaged/, (path) => writeFileSync(path, '')],
    [
      'when the key is damaged',
      /damaged/,
      (path) => writeFileSync(path, readFileSync(path, 'utf8').replace(/^M.{20}/m, 'M')),
    ],
    ['when it is too large', /too large/, (path) => writeFileSync(path, 'x'.repeat(20_000))],
    [
      'when it is a link',
      /link/,
      (path) => {
        renameSync(path, `${path}.elsewhere`);
        symlinkSync(`${path}.elsewhere`, path);
      },
    ],
    [
      'when it is a folder',
      /not a regular file/,
      (path) => {
        renameSync(path, `${path}.elsewhere`);
        mkdirSync(path);
      },
    ],
    [
      'when the certificate belongs to another key',
      /another key/,
      async (path) => {
        const { cert } = await loadIdentity(newFolder());
        writeFileSync(path, readFileSync(path, 'utf8').replace(/-----BEGIN CERT.*/s, cert));
      },
    ],
    [
      'when the key is of another kind',
      /wrong kind/,
      (path) => {
        const { privateKey } = generateKeyPairSync('ed25519');
        const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
        writeFileSync(path, readFileSync(path, 'utf8').replace(/^.*END PRIVATE KEY-----\n/s, key));
      },
    ],
  ];
  test.each(cases)('%s', async (_, message, spoil) => {
    const home = newFolder();
    await loadIdentity(home);
    const path = join(home, 'identity.pem');
    await spoil(path, home);
    const before = statSync(path).mtimeMs;
    await expect(loadIdentity(home)).rejects.toMatchObject({
      code: 'identity',
      message: expect.stringMatching(message),
      path,
    });
    expect(statSync(path).mtimeMs).toBe(before);
  });

  describeWith(['root'], 'since only root can give a file away', () => {
    test('when it belongs to somebody else', async () => {
      const home = newFolder();
      await loadIdentity(home);
      chownSync(join(home, 'identity.pem'), 65534, 65534);
      await expect(loadIdentity(home)).rejects.toMatchObject({
        code: 'identity',
        message: expect.stringMatching(/another user/),
      });
    });
  });
});

test('a home that is not there fails as missing and makes nothing', async () => {
  const home = join(newFolder(), 'none');
  await expect(loadIdentity(home)).rejects.toMatchObject({ code: 'missing' });
  expect(existsSync(home)).toBe(false);
});
