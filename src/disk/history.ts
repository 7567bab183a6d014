import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { ERRORS, type ErrorCode } from '../errors.ts';
import type { Device, PeerId } from '../events.ts';
import { MAX_ARRIVAL_ROOTS, MAX_ARRIVALS, MAX_DEVICE_NAME } from '../limits.ts';
import { isPeerId } from '../peer-id.ts';
import { MAX_FILE_NAME } from '../protocol/names.ts';
import { diskFailure, isSystemError } from './failure.ts';
import { readPrivate, Unfit, writePrivate } from './private.ts';

/** A transfer that came to its end here, whole or not. */
export interface Arrival {
  /** When that was: ISO 8601, UTC. */
  readonly at: string;
  /** 32 hex digits. */
  readonly transfer: string;
  /** Who sent it, called what it was called then. */
  readonly peer: Device;
  /** Whether all of it is here. */
  readonly ok: boolean;
  /** Delivered, with what was here already. */
  readonly files: number;
  readonly bytes: number;
  /** What of it is at the top of `into`, as it is named there; the first ten names. */
  readonly roots: readonly string[];
  /** The folder that it lies in. */
  readonly into: string;
  /** What the first failure was, if any. */
  readonly code?: ErrorCode | undefined;
}

/**
 * What arrived, for nobody else to read: a file for each transfer, so that several processes can
 * write at once, a damaged one costs one line, and nothing is ever half-written. Its name begins
 * with the time, so the first names are the oldest.
 */
export class History {
  readonly #folder: string;

  constructor(home: string) {
    this.#folder = join(home, 'history');
  }

  /** Those that can be read, the oldest first. */
  async all(): Promise<Arrival[]> {
    const arrivals: Arrival[] = [];
    for (const name of (await this.#records()).slice(-MAX_ARRIVALS)) {
      const arrival = await this.#read(name);
      if (arrival !== undefined) arrivals.push(arrival);
    }
    return arrivals;
  }

  /** Remembers one more, and forgets the oldest where there are too many. */
  async add(arrival: Arrival): Promise<void> {
    const path = join(this.#folder, nameOf(arrival));
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writePrivate(path, `${JSON.stringify({ v: 1, ...arrival })}\n`, { replace: true });
      for (const old of (await this.#records()).slice(0, -MAX_ARRIVALS)) await this.#remove(old);
      await this.#clearDrafts(Date.now() - DRAFT_AGE);
    } catch (error) {
      throw diskFailure(error, path);
    }
  }

  async clear(): Promise<void> {
    try {
      for (const name of await this.#records()) await this.#remove(name);
      await this.#clearDrafts(Date.now());
    } catch (error) {
      throw diskFailure(error, this.#folder);
    }
  }

  /** What a crash left half-written. */
  async #clearDrafts(before: number): Promise<void> {
    for (const name of await this.#names(DRAFT))
      if (name.slice(0, TIME_LENGTH) < timeOf(new Date(before))) await this.#remove(name);
  }

  async #read(name: string): Promise<Arrival | undefined> {
    const path = join(this.#folder, name);
    try {
      return parse(await readPrivate(path, MAX_RECORD), name);
    } catch (error) {
      // Another process may have forgotten it meanwhile, or written it as another user.
      if (error instanceof Unfit || isSystemError(error, 'ENOENT', 'EACCES')) return undefined;
      throw diskFailure(error, path);
    }
  }

  async #remove(name: string): Promise<void> {
    await rm(join(this.#folder, name), { force: true });
  }

  #records(): Promise<string[]> {
    return this.#names(RECORD);
  }

  async #names(kind: RegExp): Promise<string[]> {
    try {
      return (await readdir(this.#folder)).filter((name) => kind.test(name)).sort();
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return [];
      throw diskFailure(error, this.#folder);
    }
  }
}

const RECORD = /^\d{8}T\d{9}Z-[0-9a-f]{32}\.json$/;
const DRAFT = /^\d{8}T\d{9}Z-[0-9a-f]{32}\.json\.[0-9a-f]{16}\.tmp$/;

/** Milliseconds after which whoever began to write one has not been writing for long. */
const DRAFT_AGE = 3_600_000;

/** Several times what ten names take, each of which JSON may make six times as long. */
const MAX_RECORD = 64 * 1024;

function nameOf({ at, transfer }: Pick<Arrival, 'at' | 'transfer'>): string {
  return `${timeOf(new Date(at))}-${transfer}.json`;
}

/** `20261129T193730123Z`: in the order of time as it is in the order of letters. */
function timeOf(time: Date): string {
  return time.toISOString().replace(/[-:.]/g, '');
}

const TIME_LENGTH = '20261129T193730123Z'.length;

const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const ArrivalRecord = v.strictObject({
  v: v.literal(1),
  at: v.pipe(v.string(), v.isoTimestamp()),
  transfer: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  peer: v.strictObject({
    id: v.custom<PeerId>((id) => typeof id === 'string' && isPeerId(id)),
    name: v.pipe(v.string(), v.maxBytes(MAX_DEVICE_NAME)),
  }),
  ok: v.boolean(),
  files: Count,
  bytes: Count,
  roots: v.pipe(
    v.array(v.pipe(v.string(), v.maxBytes(MAX_FILE_NAME))),
    v.maxLength(MAX_ARRIVAL_ROOTS),
  ),
  into: v.string(),
  code: v.optional(
    v.custom<ErrorCode>((code) => typeof code === 'string' && Object.hasOwn(ERRORS, code)),
  ),
});

/** What a record says, if it belongs under this name. */
function parse(text: string, name: string): Arrival | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const result = v.safeParse(ArrivalRecord, value);
  if (!result.success || Number.isNaN(Date.parse(result.output.at))) return undefined;
  const { v: _, ...arrival } = result.output;
  return nameOf(arrival) === name ? arrival : undefined;
}
