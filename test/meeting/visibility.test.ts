import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Visibility } from '../../src/meeting/visibility.ts';
import { Survey } from '../../src/net/survey.ts';
import { receive } from '../../src/receive.ts';
import { Home } from '../support/home.ts';
import { freePort } from '../support/ports.ts';

vi.mock('node:os', async (original) => {
  const os = await original<typeof import('node:os')>();
  return { ...os, networkInterfaces: vi.fn(os.networkInterfaces) };
});

test('a system that has no files left for a look is no reason to end', async () => {
  const { networkInterfaces } = await import('node:os');
  vi.useFakeTimers();
  const told: object[] = [];
  const visibility = new Visibility({
    survey: new Survey(),
    port: 1,
    tell: (event) => told.push(event),
  });
  const full = Object.assign(new Error('too many open files'), {
    syscall: 'uv_interface_addresses',
  });
  vi.mocked(networkInterfaces).mockImplementation(() => {
    throw full;
  });
  vi.advanceTimersByTime(10_000);
  expect(networkInterfaces).toHaveBeenCalled();
  vi.mocked(networkInterfaces).mockReturnValue({});
  vi.advanceTimersByTime(3_000);
  expect(told).toEqual([{ event: 'reachable', addresses: [] }]);
  visibility.close();
  vi.useRealTimers();
});

test('a system that has none left at the start is told of, and nobody listens any more', async () => {
  await using home = new Home();
  const { networkInterfaces } = await import('node:os');
  const full = Object.assign(new Error('EMFILE'), { code: 'EMFILE', syscall: 'getifaddrs' });
  vi.mocked(networkInterfaces).mockImplementation(() => {
    throw full;
  });
  onTestFinished(() => void vi.mocked(networkInterfaces).mockReset());
  const port = await freePort();
  const receiving = receive({ home: home.state, into: home.downloads, port });
  await expect(receiving.next()).rejects.toBe(full);
  const other = createServer().listen(port);
  await once(other, 'listening');
  other.close();
});
