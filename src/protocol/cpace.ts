import { ristretto255, ristretto255_hasher } from '@noble/curves/ed25519.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { DropError } from '../errors.ts';
import { concat, equal, utf8 } from './bytes.ts';

/**
 * CPace in initiator-responder mode, suite CPACE-RISTR255-SHA512 of draft-irtf-cfrg-cpace: from a
 * short secret that two sides know to a long one that only they know, so that whoever listens or
 * interferes gets one guess a run and nothing to try out at home.
 */
export interface CPaceInput {
  /** PRS: what both sides know. */
  readonly secret: Uint8Array;
  /** CI: who they are and where they talk; both must see the same. */
  readonly channel: Uint8Array;
  /** sid: unique for each run. */
  readonly session: Uint8Array;
  /** ADa and ADb: what initiator and responder say of themselves. */
  readonly initiator: Uint8Array;
  readonly responder: Uint8Array;
}

export interface CPaceKeys {
  /** ISK, the intermediate session key. */
  readonly isk: Uint8Array;
  /** What each side sends to prove that it has the same key; the initiator's goes first. */
  readonly initiatorTag: Uint8Array;
  readonly responderTag: Uint8Array;
}

/** One side of one run. `random` are 32 fresh random bytes, used for nothing else. */
export class CPace {
  readonly #input: CPaceInput;
  readonly #scalar: bigint;
  /** Ya or Yb: what this side sends. */
  readonly share: Uint8Array;

  constructor(input: CPaceInput, random: Uint8Array) {
    this.#input = input;
    this.#scalar = toScalar(random);
    this.share = generator(input).multiply(this.#scalar).toBytes();
  }

  /** What follows from the peer's share. Throws `unproven` if it is no honest share. */
  finish(part: 'initiator' | 'responder', theirs: Uint8Array): CPaceKeys {
    if (equal(theirs, this.share)) throw new DropError('unproven');
    const { session, initiator, responder } = this.#input;
    const [ya, yb] = part === 'initiator' ? [this.share, theirs] : [theirs, this.share];
    const isk = sha512(
      concat(
        lvCat(utf8('CPaceRistretto255_ISK'), session, this.#multiply(theirs)),
        lvCat(ya, initiator),
        lvCat(yb, responder),
      ),
    );
    const mac = sha512(concat(utf8('CPaceMac'), session, isk));
    return {
      isk,
      initiatorTag: hmac(sha512, mac, lvCat(ya, initiator)),
      responderTag: hmac(sha512, mac, lvCat(yb, responder)),
    };
  }

  /** scalar_mult_vfy: a share that is no point, or gives the neutral element, ends the run. */
  #multiply(share: Uint8Array): Uint8Array {
    try {
      const point = ristretto255.Point.fromBytes(share).multiply(this.#scalar);
      if (!point.is0()) return point.toBytes();
    } catch (cause) {
      throw new DropError('unproven', { cause });
    }
    throw new DropError('unproven');
  }
}

/** The parts, each after its length in LEB128, so that no two lists of parts look alike. */
export function lvCat(...parts: Uint8Array[]): Uint8Array {
  return concat(...parts.flatMap((part) => [leb128(part.length), part]));
}

/** calculate_generator: where on the group a secret leads, in this channel and session. */
function generator({ secret, channel, session }: CPaceInput) {
  const dsi = utf8('CPaceRistretto255');
  const padding = Math.max(0, BLOCK - 1 - lvCat(secret).length - lvCat(dsi).length);
  const string = lvCat(dsi, secret, new Uint8Array(padding), channel, session);
  const point = ristretto255_hasher.deriveToCurve?.(sha512(string));
  if (point === undefined) throw new DropError('internal');
  return point;
}

/** The input block size of SHA-512; the secret and its padding fill one. */
const BLOCK = 128;

/** sample_scalar: 253 random bits, little-endian. */
function toScalar(random: Uint8Array): bigint {
  let scalar = 0n;
  for (const byte of random.toReversed()) scalar = (scalar << 8n) | BigInt(byte);
  return ristretto255.Point.Fn.create(scalar & ((1n << 253n) - 1n));
}

function leb128(value: number): Uint8Array {
  const bytes = [];
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Uint8Array.of(...bytes, rest);
}
