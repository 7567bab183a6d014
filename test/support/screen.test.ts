import { expect, test } from 'vitest';
import { Home } from './home.ts';
import { Screen } from './screen.ts';

test('a screen shows what a program draws, as it was when the keys were typed', async () => {
  await using home = new Home();
  await using screen = new Screen('bash', ['--norc'], { env: { ...home.env, PS1: '> ' } });
  await screen.waitFor(/^>/m);
  screen.type("printf 'one\\rtwo\\n'; stty size\r");
  await screen.waitFor(/^two\n24 80$/m);
  expect(screen.text()).not.toMatch(/^one/m);
});

test('a program learns the new size of its screen', async () => {
  await using home = new Home();
  const waiting = 'trap "stty size" WINCH; echo ready; while :; do sleep 0.05; done';
  await using screen = new Screen('bash', ['-c', waiting], { env: home.env });
  await screen.waitFor(/ready/);
  screen.resize(40, 10);
  await screen.waitFor(/^10 40$/m);
});

test('a screen knows whether its cursor shows, what has scrolled away, and what is gone', async () => {
  await using home = new Home();
  const drawing =
    "printf '\\033[?25l'; seq 100; echo hidden; read; printf '\\033[?25h\\033[2Jclear'";
  await using screen = new Screen('bash', ['-c', `${drawing}; read`], { env: home.env });
  await screen.waitFor(/hidden/);
  expect(screen.cursorShown).toBe(false);
  expect(screen.text()).not.toMatch(/^1$/m);
  expect(screen.history()).toMatch(/^1$/m);
  screen.type('\r');
  await screen.waitForGone(/hidden/);
  expect(screen.cursorShown).toBe(true);
});

test.each([
  ['exit 7', { code: 7, signal: 0 }],
  ['kill -INT $$', { code: 0, signal: 2 }],
])('a screen tells how %j ended', async (program, outcome) => {
  await using home = new Home();
  await using screen = new Screen('bash', ['-c', program], { env: home.env });
  expect(await screen.outcome()).toEqual(outcome);
});

test('waiting for what a program never said fails as soon as it has ended', async () => {
  await using home = new Home();
  await using screen = new Screen('echo', ['something else'], { env: home.env });
  await expect(screen.waitFor(/this/)).rejects.toThrow(/has ended.*something else/s);
});

test('Ctrl-C in a screen is SIGINT', async () => {
  await using home = new Home();
  await using screen = new Screen('bash', ['-c', 'echo ready; exec sleep 100'], { env: home.env });
  await screen.waitFor(/ready/);
  screen.type('\x03');
  expect(await screen.outcome()).toEqual({ code: 0, signal: 2 });
});
