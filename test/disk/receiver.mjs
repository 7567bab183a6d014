/**
 * A process that receives into a folder, without a network, for tests of what another process
 * sees or finds of it. Its work comes as JSON in the first argument; it says `ready` on a line
 * when that is done, and lives on until it is killed.
 *
 * `die` makes the process kill itself right before so many calls of the system; else it says at
 * the end how many calls there were.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { home, target, peer, offered, options, die } = JSON.parse(process.argv[2]);

let calls = 0;

/** Whatever changes something on the disk. */
const CHANGES = ['appendFile', 'chmod', 'fchmod', 'fsync', 'ftruncate', 'futimes', 'link', 'mkdir'];
CHANGES.push('open', 'rename', 'rm', 'rmdir', 'symlink', 'unlink', 'write', 'close');

function counted(call) {
  return (...args) => {
    if (++calls === die) process.kill(process.pid, 'SIGKILL');
    return call(...args);
  };
}

if (die !== undefined) {
  const { promisify } = await import('node:util');
  for (const name of CHANGES) {
    for (const full of [name, `${name}Sync`]) {
      const call = fs[full];
      if (call === undefined) continue;
      fs[full] = counted(call);
      const custom = call[promisify.custom];
      if (custom !== undefined) fs[full][promisify.custom] = counted(custom);
    }
    const promised = fs.promises[name];
    if (promised !== undefined) fs.promises[name] = counted(promised);
  }
  syncBuiltinESMExports();
}

const { createHash } = await import('node:crypto');
const { openInbox } = await import('../../dist/disk/inbox.js');
const { openStagings } = await import('../../dist/disk/staging.js');

const sha256 = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest());

calls = 0;
const stagings = await openStagings(home);
const inbox = await openInbox(target, { peer, stagings, roots: [], umask: 0o022, ...options });
for (const { entry, content = '', upTo } of offered ?? []) {
  const bytes = Buffer.from(content, 'base64');
  const placement = await inbox.place(entry, async () => sha256(bytes));
  if (placement.want !== 'all' && placement.want !== 'rest') continue;
  const file = await inbox.open(entry, placement.want === 'rest' ? placement.size : 0);
  await file.write(bytes.subarray(file.written, upTo));
  if (upTo === undefined) await file.commit(sha256(bytes));
  else await file.keep();
}
if (die !== undefined) {
  await inbox.finish();
  await inbox.close();
}
process.stdout.write(`ready ${calls}\n`);
if (die === undefined) process.stdin.resume();
