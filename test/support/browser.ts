import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import axe from 'axe-core';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import { expect } from 'vitest';
import type { Host } from '../lab/hosts.ts';
import { text } from './process.ts';
import { CHROMIUM } from './skip.ts';

/** Nothing that a browser does by itself, for a network that leads nowhere. */
const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A real browser; on a host of a lab, if one is given, with `scratch` as a folder for what that takes. */
export async function openBrowser({
  host,
  scratch,
  args = [],
}: {
  readonly host?: Host;
  readonly scratch?: string;
  readonly args?: readonly string[];
} = {}): Promise<Browser> {
  let executablePath = CHROMIUM;
  if (host !== undefined && scratch !== undefined) {
    executablePath = join(scratch, `chromium-on-${host.name}`);
    const [file, ...rest] = host.on(CHROMIUM, []);
    const words = [file, ...rest].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
    writeFileSync(executablePath, `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`);
    chmodSync(executablePath, 0o755);
  }
  return chromium.launch({ executablePath, args: [...QUIET, ...args] });
}

/** Drops files and folders of the disk on something in a page, as a person does with a mouse. */
export async function dropOn(target: Locator, paths: readonly string[]): Promise<void> {
  await target.scrollIntoViewIfNeeded();
  const box = await target.boundingBox();
  if (box === null) throw new Error('What is dropped on is not to be seen.');
  const at = { x: box.x + box.width / 2, y: box.y + 20 };
  const page = target.page();
  await page.evaluate(SEE_DRAGGING);
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: [...paths], dragOperationsMask: 1 };
  const seen = (): Promise<string[]> => page.evaluate<string[]>('globalThis.dragged');
  const drag = async (type: 'dragEnter' | 'dragOver' | 'drop'): Promise<void> => {
    const { length } = await seen();
    await session.send('Input.dispatchDragEvent', { type, ...at, data });
    // Before the page has said what it thinks of that, the next is for nobody.
    await expect.poll(async () => (await seen()).length).toBeGreaterThan(length);
  };
  await drag('dragEnter');
  // What it shows then may be something else below the hand, which has to be entered first.
  while ((await seen()).filter((type) => type === 'dragover').length < 2) await drag('dragOver');
  await drag('drop');
  await expect.poll(seen).toContain('drop');
  await session.detach();
}

const SEE_DRAGGING = `{
  globalThis.dragged = [];
  for (const type of ['dragenter', 'dragover', 'drop'])
    addEventListener(type, () => globalThis.dragged.push(type), { capture: true });
}`;

/** What keeps somebody from using a page, in light and dark, as far as a program can tell. */
export async function accessibilityErrors(page: Page): Promise<string[]> {
  const errors: string[] = [];
  await page.evaluate(axe.source);
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    const found = await page.evaluate<string[]>(
      `axe.run().then(({ violations }) =>
        violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => id + ': ' + html)))`,
    );
    errors.push(...found.map((error) => `${colorScheme}: ${error}`));
  }
  return errors;
}

/**
 * Serves a page on a host that tries to get at `target`, until `stop` is called; see there for what
 * `kind` is.
 */
export async function hostilePage(
  host: Host,
  target: string,
  kind: 'window' | 'guest' = 'window',
): Promise<{ readonly port: number; readonly stop: () => void }> {
  const child = host.spawn(process.execPath, [HOSTILE, target, kind], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = text(child.stdout);
  await expect.poll(said).toMatch(/\n/);
  return { port: Number(said()), stop: () => child.kill() };
}

const HOSTILE = fileURLToPath(new URL('hostile-page.mjs', import.meta.url));
