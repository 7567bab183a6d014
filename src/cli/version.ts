import { readFileSync } from 'node:fs';

/** The version of this package. Both `src/cli` and what is built of it lie two folders down. */
export function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
