import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { DropError } from '../errors.ts';
import type { PeerId } from '../events.ts';
import { peerIdOf } from '../peer-id.ts';
import { diskFailure, isSystemError } from './failure.ts';
import { asWord } from './platform.ts';
import { readPrivate, Unfit, writePrivate } from './private.ts';

/** Our key and certificate, PEM, and the id that others know us by. */
export interface Identity {
  readonly id: PeerId;
  readonly key: string;
  readonly cert: string;
}

/**
 * The identity in `home`, made at the first use. Several first uses at once end with the same
 * one. Throws `identity` if the one that is there must not or cannot be used.
 */
export async function loadIdentity(home: string): Promise<Identity> {
  const path = join(home, 'identity.pem');
  try {
    return parse(await read(path));
  } catch (error) {
    if (!(error instanceof Unfit)) throw diskFailure(error, path);
    throw new DropError('identity', {
      message: `${path} ${error.message}.`,
      hint: hintFor(error, path),
      cause: error,
      path,
    });
  }
}

async function read(path: string): Promise<string> {
  try {
    return await readPrivate(path, MAX_PEM);
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
  }
  await writePrivate(path, await make(), { replace: false });
  return readPrivate(path, MAX_PEM);
}

/** Ten times what a key and a certificate take. */
const MAX_PEM = 16 * 1024;

/** A new key and its certificate, which names neither host nor person. */
async function make(): Promise<string> {
  // It takes a tenth of a second to load and is needed once in a device's life.
  const { generate } = await import('selfsigned');
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'drop' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    // The key is pinned, not its age; and clocks are wrong.
    notBeforeDate: new Date('2020-01-01T00:00:00Z'),
    notAfterDate: new Date('9999-12-31T23:59:59Z'),
  });
  return `${key.trim()}\n${cert.trim()}\n`;
}

function parse(text: string): Identity {
  const key = sectionOf(text, 'PRIVATE KEY');
  const cert = sectionOf(text, 'CERTIFICATE');
  const [privateKey, certificate] = decode(key, cert);
  if (privateKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new Unfit('holds a key of the wrong kind');
  if (!certificate.checkPrivateKey(privateKey))
    throw new Unfit('holds a certificate that belongs to another key');
  return { id: peerIdOf(certificate), key, cert };
}

function sectionOf(text: string, label: string): string {
  const section = new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----`).exec(text);
  if (!section) throw new Unfit('is damaged');
  return `${section[0]}\n`;
}

function decode(key: string, cert: string): [KeyObject, X509Certificate] {
  try {
    return [createPrivateKey(key), new X509Certificate(cert)];
  } catch (error) {
    throw new Unfit('is damaged', { cause: error });
  }
}

function hintFor(error: Unfit, path: string): string {
  if (error.message.startsWith('can be')) return `Make it yours alone: chmod 600 ${asWord(path)}`;
  return 'Remove it to get a new identity; other devices will then ask for a code again.';
}
