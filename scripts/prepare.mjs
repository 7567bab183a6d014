// Builds dist/ when npm wants the package whole: after `npm ci`, before it is packed or linked.
// `npm install -g .` comes here before anything was fetched, so this fetches it first.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { npm, project, script } from './npm.mjs';

script(() => {
  if (isBuilt()) return;
  if (!existsSync(join(project, 'node_modules', 'rolldown')))
    npm('ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund');
  npm('run', 'build');
});

function isBuilt() {
  const built = statSync(join(project, 'dist', 'THIRD-PARTY.txt'), { throwIfNoEntry: false });
  if (built === undefined) return false;
  return readdirSync(join(project, 'src'), { recursive: true }).every(
    (path) => statSync(join(project, 'src', path)).mtimeMs <= built.mtimeMs,
  );
}
