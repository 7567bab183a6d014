import { existsSync, readdirSync } from 'node:fs';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { DropError, type ErrorCode } from '../../../src/errors.ts';
import { toHex } from '../../../src/protocol/bytes.ts';

/** Something that reads what others say. */
export interface Target {
  readonly name: string;
  /** Feeds it. The same seed feeds the same, in the same order. */
  fuzz(seed: number, until: End): Promise<Result>;
}

/** How long, whichever comes first. */
interface End {
  readonly ms: number;
  readonly executions: number;
}

export interface Result {
  readonly name: string;
  readonly executions: number;
  /** ms. */
  readonly took: number;
  /** Executions in which it understood what it was fed. */
  readonly understood: number;
  /** Of whoever reads: after the first quarter, and at the end. */
  readonly before: Footprint;
  readonly after: Footprint;
  /** What must not happen: the error, and what was fed, bytes as hex. */
  readonly finding?: string | undefined;
}

export interface Footprint {
  /** Bytes of the heap that are in use once garbage is collected, and of what hangs on it. */
  readonly heap: number;
  /** Bytes that the system gives it; 0 where it shares our process, which needs them for others. */
  readonly memory: number;
  /** Open files and sockets; 0 where the system does not tell. */
  readonly files: number;
}

/** What is set up for a target as long as it is fed. */
export interface Stage extends AsyncDisposable {
  /** Of whoever reads, where that is another process. */
  footprint?(): Promise<Footprint>;
}

interface Plan<Input, S extends Stage> {
  readonly name: string;
  readonly input: fc.Arbitrary<Input>;
  /** How it may refuse what it was fed. */
  readonly codes: readonly ErrorCode[];
  readonly open: () => Promise<S>;
  /** Feeds it. Whether it understood; throws where it does what it must not, too. */
  readonly feed: (input: Input, stage: S) => boolean | Promise<boolean>;
  /** Whether what was fed first still counts later, so that a finding is not made smaller. */
  readonly lasting?: boolean;
}

const NOTHING: Stage = { [Symbol.asyncDispose]: async () => {} };

/** A target for which nothing is set up. */
export function parser<Input>(plan: Omit<Plan<Input, Stage>, 'open'>): Target {
  return target({ ...plan, open: async () => NOTHING });
}

export function target<Input, S extends Stage>(plan: Plan<Input, S>): Target {
  const { name, input, codes, open, feed, lasting = false } = plan;

  /** Whether it was understood; else it was refused by one of its codes. */
  async function isUnderstood(fed: Input, stage: S): Promise<boolean> {
    try {
      return await feed(fed, stage);
    } catch (error) {
      if (error instanceof DropError && codes.includes(error.code)) return false;
      throw error;
    }
  }

  return {
    name,
    async fuzz(seed, until) {
      const strays: unknown[] = [];
      const onStray = (error: unknown) => void strays.push(error);
      process.on('unhandledRejection', onStray);
      await using stage = await open();
      const measure = stage.footprint ?? footprint;
      const start = performance.now();
      const counts = { executions: 0, understood: 0 };
      let before: Footprint | undefined;
      const property = fc.asyncProperty(input, async (fed) => {
        const passed = performance.now() - start;
        if (passed > until.ms) throw new fc.PreconditionFailure(true);
        if (passed > until.ms / 4 || counts.executions > until.executions / 4)
          before ??= await measure.call(stage);
        counts.executions++;
        if (await isUnderstood(fed, stage)) counts.understood++;
        if (counts.executions % STRAY_CHECK === 0) await new Promise(setImmediate);
        if (strays.length > 0) throw strays[0];
      });
      const end = lasting ? { endOnFailure: true } : {};
      const { failed, counterexample, errorInstance } = await fc.check(property, {
        seed,
        numRuns: until.executions,
        timeout: PATIENCE,
        ...end,
      });
      const took = performance.now() - start;
      process.off('unhandledRejection', onStray);
      const result = { name, ...counts, took };
      if (failed) {
        const finding = `${inspect(errorInstance)}\nfed: ${shown(counterexample?.[0])}`;
        return { ...result, before: NONE, after: NONE, finding };
      }
      try {
        const after = await measure.call(stage);
        return { ...result, before: before ?? after, after };
      } catch (error) {
        const finding = `in the end: ${inspect(error)}`;
        return { ...result, before: NONE, after: NONE, finding };
      }
    },
  };
}

/** Executions after which a promise that nobody heeds is noticed; a turn takes long for a parser. */
const STRAY_CHECK = 64;

/** ms. Whoever has not ended by then hangs. */
const PATIENCE = 30_000;

const NONE: Footprint = { heap: 0, memory: 0, files: 0 };

/** Of this process. */
async function footprint(): Promise<Footprint> {
  // A second time for what was only let go by the first.
  for (let i = 0; i < 2; i++) {
    await new Promise(setImmediate);
    collectGarbage();
  }
  const { heapUsed, external } = process.memoryUsage();
  return { heap: heapUsed + external, memory: 0, files: filesOf('self') };
}

/** How many files a process has open; 0 where the system does not tell. */
export function filesOf(pid: number | 'self'): number {
  const folder = `/proc/${pid}/fd`;
  return existsSync(folder) ? readdirSync(folder).length : 0;
}

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** As JSON, with bytes as hex. */
function shown(fed: unknown): string {
  if (fed instanceof Uint8Array) return toHex(fed);
  return JSON.stringify(fed, (_, value) =>
    value instanceof Uint8Array ? { hex: toHex(value) } : value,
  );
}
