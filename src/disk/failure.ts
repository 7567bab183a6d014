import { DropError, type ErrorCode } from '../errors.ts';

/**
 * A failure of the system as one that a person understands, with the cause kept. `path` is what
 * it is about, as the person named it or as it was offered. Anything else, a bug for instance,
 * comes back as it is.
 */
export function diskFailure(
  error: unknown,
  path: string,
  here: Readonly<Record<string, ErrorCode>> = {},
): unknown {
  if (!isSystemError(error)) return error;
  const code = here[error.code] ?? MEANINGS[error.code] ?? 'disk';
  const message = code === 'disk' ? `The disk failed (${error.code}).` : undefined;
  return new DropError(code, { cause: error, path, ...(message && { message }) });
}

/** Whether the system refused a call, and if codes are given, with one of them. */
export function isSystemError(error: unknown, ...codes: readonly string[]): error is SystemError {
  if (!(error instanceof Error && 'syscall' in error && 'code' in error)) return false;
  return codes.length === 0 || codes.includes(String(error.code));
}

interface SystemError extends Error {
  readonly code: string;
}

const MEANINGS: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'disk-full',
  EDQUOT: 'disk-full',
  EACCES: 'not-permitted',
  EPERM: 'not-permitted',
  EROFS: 'not-permitted',
  ENOENT: 'missing',
  ENOTDIR: 'missing',
  EEXIST: 'exists',
  ENAMETOOLONG: 'unsafe-name',
  EILSEQ: 'unsafe-name',
  EINVAL: 'unsafe-name',
};
