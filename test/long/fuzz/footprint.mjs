// Loaded into a `drop` before its own code, see live.ts: at each SIGUSR2 it says on stderr how much
// memory it needs, the bytes of its heap and those that the system gives it.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');
let count = 0;

process.on('SIGUSR2', () => {
  collectGarbage();
  // A second time for what was only let go by the first.
  setImmediate(() => {
    collectGarbage();
    const { heapUsed, external, rss } = process.memoryUsage();
    process.stderr.write(`footprint ${++count} ${heapUsed + external} ${rss}\n`);
  });
});
