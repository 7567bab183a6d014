import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { drain } from '../../src/cli/asker.ts';
import type { Input } from '../../src/cli/io.ts';
import { TempFolder } from '../support/home.ts';

test('what was typed before a question is thrown away, even where all stood still meanwhile', async () => {
  await using folder = new TempFolder();
  const path = join(folder.path, 'keyboard');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const keyboard = connect(path);
  const [stdin] = (await once(server, 'connection')) as [Socket & Input];
  await new Promise((typed) => keyboard.write('y\r', typed));
  const drained = drain(stdin, new AbortController().signal, 10);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  await drained;
  keyboard.end('n');
  let answer = '';
  for await (const typed of stdin) answer += typed;
  expect(answer).toBe('n');
  server.close();
});
