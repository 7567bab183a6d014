// What Node does by itself from 22.8 on, for one that is older: what V8 has compiled is kept, and the
// next run begins with that. It saves a sixth of a start.

const { createHash } = require('node:crypto');
const { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const { createRequire, wrap } = require('node:module');
const { dirname, join } = require('node:path');
const { Script, constants } = require('node:vm');

/** Files in the folder; beyond these, most are of versions that are gone. */
const MAX_KEPT = 64;

/**
 * From now on, what is required is looked for in the folder, which must be ours alone, as it is run.
 * `what`: what this run is for, as each compiles other parts of the same files. Returns what keeps
 * all that was not there; it is to be called at the end, when all is compiled that is needed.
 */
module.exports = (folder, what) => {
  const fresh = [];
  require.extensions['.cjs'] = (module, file) => {
    const source = readFileSync(file, 'utf8');
    const path = join(
      folder,
      digest([process.version, process.arch, what, source].join('\0')).toString('hex'),
    );
    const cachedData = read(path);
    const script = new Script(wrap(source), {
      filename: file,
      cachedData,
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    });
    // V8 does not take what another version or other flags have made.
    if (cachedData === undefined || script.cachedDataRejected) fresh.push({ path, script });
    const run = script.runInThisContext();
    run.call(module.exports, module.exports, createRequire(file), module, file, dirname(file));
  };
  return () => {
    if (fresh.length === 0) return;
    const kept = readdirSync(folder);
    if (kept.length > MAX_KEPT)
      for (const name of kept) rmSync(join(folder, name), { force: true });
    for (const { path, script } of fresh) write(path, script.createCachedData());
  };
};

/** What was kept; undefined if there is nothing, or it is not what was written: V8 would crash. */
function read(path) {
  try {
    const bytes = readFileSync(path);
    const data = bytes.subarray(DIGEST);
    return digest(data).equals(bytes.subarray(0, DIGEST)) ? data : undefined;
  } catch (_) {
    return undefined;
  }
}

function write(path, data) {
  const draft = `${path}.${process.pid}`;
  try {
    writeFileSync(draft, Buffer.concat([digest(data), data]), { flag: 'wx', mode: 0o600 });
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

function digest(bytes) {
  return createHash('sha256').update(bytes).digest();
}

const DIGEST = 32;
