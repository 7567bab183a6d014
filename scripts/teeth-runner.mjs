// Runs tests of the checkout that it stands in, again and again, for `npm run test:teeth`, as each
// start of a test runner takes longer than most of these tests. It is told by messages: {"file",
// "titles", "changed": path of a file that is another than before}. It answers with a list of
// {"name": whole title, "status": "passed", "failed" or "skipped", "reason": why it failed}.

import { createVitest } from 'vitest/node';

const vitest = await createVitest('test', {
  run: true,
  watch: false,
  reporters: [{}],
  bail: 1, // One test that fails is enough.
  testTimeout: 30_000, // ms. Many a one waits for ever without what it shows.
});
process.on('message', async (wanted) => process.send(await run(wanted)));
process.once('disconnect', () => process.exit());

async function run({ file, titles, changed }) {
  for (const path of changed) vitest.invalidateFile(path);
  const pattern = titles.map((title) => title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
  vitest.setGlobalTestNamePattern(pattern);
  const chosen = await vitest.globTestSpecifications([file]);
  const { testModules } = await vitest.runTestSpecifications(chosen);
  return testModules // Of earlier runs, too.
    .filter(({ moduleId }) => chosen.some((one) => one.moduleId === moduleId))
    .flatMap(({ children }) => [...children.allTests()])
    .map(said);
}

function said(test) {
  const { state, errors = [] } = test.result();
  const reason = errors.map(({ message, stack }) => `${message}\n${stack}`).join('\n');
  return { name: titleOf(test), status: state, reason };
}

/** As patterns see it. */
function titleOf({ type, name, parent }) {
  return type === 'module' ? '' : `${titleOf(parent)} ${name}`.trim();
}
