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
  const message =
    SENTENCES[error.code] ?? (code === 'disk' ? `The disk failed (${error.code}).` : undefined);
  return new DropError(code, { cause: error, path, ...(message && { message }) });
}

/** Whether the system refused a call, and if codes are given, with one of them. */
export function isSystemError(error: unknown, ...codes: readonly string[]): error is SystemError {
  if (!(error instanceof Error && 'syscall' in error && 'code' in error)) return false;
  return codes.length === 0 || codes.includes(String(error.code));
}

interface SystemError extends Error {
  readonly code: string;
  readonly syscall: string;
}

/** What can be said better than in general. */
const SENTENCES: Readonly<Record<string, string>> = {
  EDQUOT: 'There is no room left of what this user may take of the disk.',
  EFBIG: 'The disk takes no file that is so large.',
  EROFS: 'The disk can only be read.',
};

const MEANINGS: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'disk-full',
  EDQUOT: 'disk-full',
  EACCES: 'not-permitted',
  EPERM: 'not-permitted',
  EROFS: 'not-permitted',
  EMFILE: 'too-many-open',
  ENFILE: 'too-many-open',
  ENOENT: 'missing',
  ENOTDIR: 'missing',
  EEXIST: 'exists',
  ENAMETOOLONG: 'unsafe-name',
  EILSEQ: 'unsafe-name',
  EINVAL: 'unsafe-name',
};

/** While storing, a folder that is gone is our disk's failure, not a file that the sender lacks. */
export const STORING: Readonly<Record<string, ErrorCode>> = { ENOENT: 'disk', ENOTDIR: 'disk' };
