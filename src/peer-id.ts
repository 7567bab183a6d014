import { createHash, type X509Certificate } from 'node:crypto';
import type { PeerId } from './events.ts';

/** The peer id of whoever holds the key of this certificate; its other fields mean nothing. */
export function peerIdOf(certificate: X509Certificate): PeerId {
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('hex') as PeerId;
}

/** What stands for a visitor who has no key, but a secret. */
export function visitorId(secret: string): PeerId {
  return createHash('sha256').update(`visitor ${secret}`).digest('hex') as PeerId;
}

export function isPeerId(text: string): text is PeerId {
  return /^[0-9a-f]{64}$/.test(text);
}
