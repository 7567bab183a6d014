/**
 * A process that receives into a folder, without a network, for tests of what another process
 * sees or finds of it. Its work stands in the file that is named in the first argument. It says
 * `ready` when that is done, and lives on until it is killed.
 *
 * With `together`, small files come as a whole, all those at once between which no other comes.
 *
 * With `die` it kills itself right before it asks the system for the so-manieth change; and if
 * there are not so many, it ends by itself.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const work = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const { home, target, peer, offered, options, together, die } = work;

/** Whatever may change something on the disk. */
const CHANGES = `chmod close fchmod fsync ftruncate futimes link mkdir open rename rm rmdir symlink
  truncate unlink write writeFile`.split(/\s+/);

/** Counted from when the work begins. */
let calls = Number.NaN;

if (die !== undefined) {
  for (const name of CHANGES)
    for (const [holder, key] of [
      [fs, name],
      [fs, `${name}Sync`],
      [fs.promises, name],
    ])
      if (holder[key] !== undefined) holder[key] = counted(holder[key]);
  syncBuiltinESMExports();
}

function counted(call) {
  const counting = (...args) => {
    if (++calls === die) process.kill(process.pid, 'SIGKILL');
    return call(...args);
  };
  // What there is beside the call itself says how to promisify it.
  return Object.defineProperties(counting, Object.getOwnPropertyDescriptors(call));
}

const { createHash } = await import('node:crypto');
const { openInbox } = await import('../../dist/disk/inbox.js');
const { openStagings } = await import('../../dist/disk/staging.js');

const SMALL = 64 * 1024;

async function storeSmall() {
  if (small.length === 0) return;
  const failure = (await inbox.storeTogether(small.splice(0))).find((one) => one instanceof Error);
  if (failure !== undefined) throw failure;
}

const sha256 = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest());

calls = 0;
const stagings = await openStagings(home);
const inbox = await openInbox(target, { peer, stagings, roots: [], umask: 0o022, ...options });
/** Small files that wait for each other. */
const small = [];
for (const { entry, content = '', upTo } of offered ?? []) {
  const bytes = Buffer.from(content, 'base64');
  const placement = await inbox.place(entry, async () => sha256(bytes));
  if (placement.want !== 'all' && placement.want !== 'rest') continue;
  if (together && placement.want === 'all' && entry.kind === 'file' && bytes.length <= SMALL) {
    small.push({ entry, bytes, digest: sha256(bytes) });
    continue;
  }
  await storeSmall();
  const file = await inbox.open(entry, placement.want === 'rest' ? placement.size : 0);
  await file.write(bytes.subarray(file.written, upTo));
  if (upTo === undefined) await file.commit(sha256(bytes));
  else await file.keep();
}
await storeSmall();
if (die !== undefined) {
  await inbox.finish();
  await inbox.close();
}
process.stdout.write('ready\n');
if (die === undefined) process.stdin.resume();
