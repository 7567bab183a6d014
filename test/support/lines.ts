/**
 * What a line of `--json` looks like, event by event: stricter than the types of src/events.ts, and
 * checked against them by the compiler. docs/json.md is compared with it, docs/events.schema.json
 * made of it (`npm run schema`), and every line that a test sees is held against it.
 */

import * as v from 'valibot';
import type { ShownEvent } from '../../src/cli/face.ts';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import type { PeerId } from '../../src/events.ts';

/** A line of `--json`. */
export type JsonEvent = { readonly v: 1 } & ShownEvent;

type Name = JsonEvent['event'];

const text = v.string();
const flag = v.boolean();
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
/** Of bytes and of ms. */
const amount = count;
const id = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const run = v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/));
const transfer = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
/** Empty at a sender of whom nothing was accepted yet. */
const transferIfAny = v.pipe(v.string(), v.regex(/^(?:[0-9a-f]{32})?$/));
const digest = v.pipe(v.string(), v.regex(/^(?:blake3|sha256):[0-9a-f]{64}$/));
const time = v.pipe(v.string(), v.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/));
/** `host:port` of each; an address of IPv6 stands in brackets. */
const addresses = v.array(v.pipe(v.string(), v.regex(/^(?:[^:]+|\[.+\]):\d+$/)));
const web = v.pipe(v.string(), v.regex(/^http:\/\/[^/]+:\d+\/[\w-]{22}\/$/));
const errorCode = v.picklist(Object.keys(ERRORS) as ErrorCode[]);
const found = v.picklist(['found', 'lost']);
const via = v.picklist(['code', 'pin']);
const by = v.picklist(['here', 'there']);
const cause = v.picklist([
  'no-network',
  'port-taken',
  'cannot-speak',
  'cannot-hear',
  'silent',
  'nobody',
  'alone',
]);

const device = v.strictObject({ name: text, id });
const ofTransfer = { transfer, peer: device };
/** Where it goes to several, and there is no transfer yet. */
const ofTarget = { to: v.exactOptional(text) };
const failure = {
  code: errorCode,
  message: text,
  hint: v.exactOptional(text),
  path: v.exactOptional(text),
};

const presence = {
  ...device.entries,
  port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
  addresses,
  code: v.nullable(text),
  pin: flag,
  web: v.exactOptional(web),
};
const roots = v.pipe(v.array(text), v.maxLength(100));
const offered = { files: count, texts: count, bytes: amount, sized: flag, final: flag, roots };
const extent = {
  ...offered,
  risks: v.array(
    v.strictObject({
      risk: v.picklist(['large', 'many', 'runs', 'renamed', 'endless']),
      entries: count,
      example: v.exactOptional(text),
    }),
  ),
};

const lines = {
  ready: v.union([
    line('ready', { ...presence, open: flag, into: v.nullable(text), url: v.exactOptional(text) }),
    line('ready', { ...presence, roots }),
  ]),
  code: line('code', { code: text }),
  locked: line('locked', { for: v.nullable(amount) }),
  unlocked: line('unlocked', {}),
  reachable: line('reachable', { addresses, web: v.exactOptional(web) }),
  downloaded: line('downloaded', { from: text, path: text, bytes: amount, whole: flag }),
  running: line('running', { url: text }),
  hidden: line('hidden', { cause, message: text }),
  peer: line('peer', {
    state: found,
    ...device.entries,
    run,
    addresses,
    known: flag,
    standing: v.picklist(['self', 'paired', 'new', 'namesake', 'blocked', 'clone']),
    shares: flag,
    offer: v.exactOptional(v.strictObject(offered)),
  }),
  silent: line('silent', { state: found, name: text, run, addresses }),
  nothing: line('nothing', {
    asked: v.array(
      v.strictObject({
        interface: text,
        family: v.picklist(['IPv4', 'IPv6']),
        address: text,
        loopback: flag,
        said: count,
        echoed: count,
        heard: count,
        trouble: v.exactOptional(text),
      }),
    ),
    cause,
    message: text,
    hint: text,
  }),
  check: line('check', {
    name: v.picklist([
      'identity',
      'state',
      'clock',
      'downloads',
      'room',
      'network',
      'vpn',
      'port-5353',
      'speak',
      'hear',
      'others',
      'silent',
      'listen',
      'reachable',
      'firewall',
      'self-test',
    ]),
    ok: flag,
    level: v.picklist(['ok', 'warning', 'failed']),
    message: text,
    fix: v.exactOptional(text),
    interface: v.exactOptional(text),
  }),
  known: line('known', {
    ...device.entries,
    via,
    trust: v.picklist(['ask', 'auto', 'blocked']),
    firstSeen: time,
    lastSeen: time,
  }),
  arrived: line('arrived', {
    at: time,
    ...ofTransfer,
    ok: flag,
    files: count,
    bytes: amount,
    roots: v.pipe(v.array(text), v.maxLength(10)),
    into: text,
    code: v.exactOptional(errorCode),
  }),
  unrecorded: line('unrecorded', { code: errorCode, message: text }),
  paired: line('paired', { ...device.entries, via, ...ofTarget }),
  knocking: line('knocking', { name: text, ...ofTarget }),
  waiting: line('waiting', { ...device.entries, ...ofTarget }),
  same: line('same', { to: text, id, as: text }),
  request: line('request', { ...ofTransfer, from: device, known: flag, ...extent }),
  fetch: line('fetch', { peer: device }),
  offer: line('offer', { ...ofTransfer, ...extent }),
  accepted: line('accepted', ofTransfer),
  declined: line('declined', {
    ...ofTransfer,
    transfer: transferIfAny,
    reason: v.exactOptional(errorCode),
    quiet: v.exactOptional(amount),
    ...ofTarget,
  }),
  resuming: line('resuming', { ...ofTransfer, bytes: amount, total: v.nullable(amount) }),
  reconnecting: line('reconnecting', {
    ...ofTransfer,
    transfer: transferIfAny,
    reason: errorCode,
    next: v.exactOptional(amount),
    ...ofTarget,
  }),
  progress: line('progress', {
    ...ofTransfer,
    file: text,
    bytes: amount,
    total: v.nullable(amount),
    files: count,
    ofFiles: v.nullable(count),
    rate: amount,
  }),
  paused: line('paused', { ...ofTransfer, by }),
  resumed: line('resumed', { ...ofTransfer, by }),
  saved: line('saved', {
    ...ofTransfer,
    path: text,
    bytes: amount,
    digest,
    offered: v.exactOptional(text),
  }),
  text: line('text', { ...ofTransfer, text }),
  skipped: line('skipped', {
    ...ofTransfer,
    path: text,
    reason: v.picklist(['unchanged', 'identical', 'conflict', 'unsupported']),
  }),
  error: v.union([
    line('error', { ...failure, ...ofTransfer }),
    line('error', { ...failure, peer: v.exactOptional(device) }),
    line('error', { ...failure, to: text }),
  ]),
  summary: line('summary', {
    ...ofTransfer,
    ok: flag,
    files: count,
    bytes: amount,
    sent: amount,
    resumed: amount,
    skipped: count,
    failed: count,
    ms: amount,
    kept: v.exactOptional(amount),
    code: v.exactOptional(errorCode),
  }),
};

/**
 * What each event must be. If the compiler complains here, it names an event whose schema and type
 * are not the same (optional fields count), or that has only one of them.
 */
export const LINES = lines satisfies Record<Disagreeing, never>;

/** What stands in several events. */
export const PARTS = { device, errorCode };

/**
 * The event of a line. Throws an error that says what is wrong if it is not one as it must be;
 * `older`: it may lack what came later.
 */
export function eventOf(line: string, { older = false } = {}): JsonEvent {
  if (!line.startsWith('{"v":1,"event":"')) throw new Error(`v and event must come first: ${line}`);
  const value: JsonEvent = JSON.parse(line);
  if (!Object.hasOwn(LINES, value.event)) throw new Error(`There is no such event: ${line}`);
  const { issues = [] } = v.safeParse(LINES[value.event], value);
  const wrong = issues.filter(({ received }) => !(older && received === 'undefined'));
  if (wrong.length === 0) return value;
  const reasons = wrong.map((issue) => `${v.getDotPath(issue) ?? ''}: ${issue.message}`);
  throw new Error(`${reasons.join('; ')}, in ${line}`);
}

function line<const Event extends Name, Fields extends v.ObjectEntries>(
  event: Event,
  fields: Fields,
) {
  return v.strictObject({ v: v.literal(1), event: v.literal(event), ...fields });
}

type Lines = typeof lines;

type Disagreeing =
  | {
      [E in Name]: E extends keyof Lines
        ? IsSame<TypeOf<E>, SchemaOf<E>> extends true
          ? never
          : E
        : E;
    }[Name]
  | Exclude<keyof Lines, Name>;

type TypeOf<E extends Name> = Plain<Extract<JsonEvent, { readonly event: E }>>;
type SchemaOf<E extends keyof Lines> = Plain<v.InferOutput<Lines[E]>>;

/** What is left of a type in JSON: no brands, and nothing that is there and undefined. */
type Plain<T> = T extends PeerId
  ? string
  : T extends readonly (infer Element)[]
    ? readonly Plain<Element>[]
    : T extends object
      ? { readonly [Key in keyof T]: Plain<Exclude<T[Key], undefined>> }
      : T;

/** Unlike being assignable to each other, it sees fields that may be left out. */
type IsSame<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
