import type { SentTo, Summary } from '../index.ts';
import type { Failure } from './face.ts';
import type { Library } from './io.ts';
import { UsageError } from './orders.ts';

/** Ends with 0 only if everything was delivered; see the exit codes of the command line. */
export function exitOfSummary({ ok, files, code }: Summary, { ERRORS }: Library): number {
  if (ok) return 0;
  // Something delivered and something not, or the code of the first failure.
  return files > 0 || code === undefined ? ERRORS.incomplete.exit : ERRORS[code].exit;
}

/** Of several transfers: 0 if all are delivered, 5 if only something is, else that of the first failure. */
export function exitOfAll(results: readonly SentTo[], library: Library): number {
  const exits = results.map(({ summary, error }) =>
    summary === undefined ? failureOf(error, library).exit : exitOfSummary(summary, library),
  );
  const failure = exits.find((exit) => exit !== 0) ?? 0;
  const delivered = results.some(({ summary }) => summary?.ok || (summary?.files ?? 0) > 0);
  return failure !== 0 && delivered ? library.ERRORS.incomplete.exit : failure;
}

/** What is said of an error that ended a command, and its exit code. Anything unforeseen is a bug. */
export function failureOf(
  error: unknown,
  { DropError, ERRORS }: Library,
): Failure & { readonly exit: number } {
  if (error instanceof DropError || error instanceof UsageError) {
    const { code, message, hint, exit } = error;
    const path = error instanceof DropError ? error.path : undefined;
    return { code, message, hint, path, exit, detail: causesOf(error) };
  }
  const { exit, message, hint } = ERRORS.internal;
  const reason = error instanceof Error ? error.message : String(error);
  const detail = error instanceof Error ? error.stack : undefined;
  return { code: 'internal', message: `${message} ${reason}`, hint, exit, detail };
}

/** What lies below a failure that we understand: the system's own words. */
function causesOf({ cause }: Error): string | undefined {
  return cause instanceof Error ? `Cause: ${cause.message}` : undefined;
}
