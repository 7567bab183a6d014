import { describe, expect, test } from 'vitest';
import { MAX_READ_OUT } from '../../src/limits.ts';
import { clean } from '../../src/web/page/clean.ts';
import {
  adviceOf,
  figuresOf,
  NOTHING,
  newsBetween,
  progressOf,
  stateOf,
  windowTitle,
} from '../../src/web/page/window/words.ts';
import type { Transfer, View } from '../../src/web/window/model.ts';
import { SCENES, SENDING } from '../support/page-server.ts';

const of = (changes: Partial<Transfer>): Transfer => ({ ...SENDING, ...changes });

test.each([
  ['report.pdf', 'report.pdf'],
  ['two\nlines\tand a tab', 'two\nlines\tand a tab'],
  ['gpj\u202egnp.exe', 'gpj\ufffdgnp.exe'],
  ['a\u2066b\u200bc\u0007d\u009be', 'a\ufffdb\ufffdc\ufffdd\ufffde'],
  // What joins the parts of one sign is part of what it means.
  ['\u{1f469}\u200d\u{1f680}', '\u{1f469}\u200d\u{1f680}'],
])('%j is shown as %j', (text, shown) => {
  expect(clean(text)).toBe(shown);
});

describe('a transfer', () => {
  test.each([
    [{ state: 'calling' }, 'Calling Ana’s laptop…'],
    [{ state: 'waiting' }, 'Waiting for Ana’s laptop to accept…'],
    [{ state: 'running', direction: 'in' }, 'Receiving'],
    [{ state: 'paused' }, 'Paused'],
    [{ state: 'held' }, 'Paused by Ana’s laptop'],
    [{ state: 'done' }, 'Sent'],
    [{ state: 'done', failed: 2 }, 'Done, but 2 files failed'],
    [{ state: 'declined' }, 'Ana’s laptop declined'],
  ] as const)('that is %j is said to be "%s"', (changes, said) => {
    expect(stateOf(of(changes))).toBe(said);
  });

  test('tells how far it has come, as far as anybody knows', () => {
    expect(figuresOf(SENDING)).toEqual([
      '734.0 MB of 1.9 GB',
      '96.4 MB/s',
      '0:12 left',
      '12 of 48 files',
    ]);
    expect(figuresOf(of({ total: null, left: null, ofFiles: null }))).toEqual([
      '734.0 MB',
      '96.4 MB/s',
    ]);
    expect(figuresOf(of({ state: 'failed', bytes: 0, ofFiles: 1 }))).toEqual([]);
    expect(figuresOf(of({ state: 'done', bytes: 0, ofFiles: 1, leftOut: 1 }))).toEqual([
      '1 file left out: its name is taken',
    ]);
    expect(figuresOf(of({ state: 'done', bytes: 0, ofFiles: 1, leftOut: 2 }))).toEqual([
      '2 files left out: their names are taken',
    ]);
    expect(progressOf(SENDING)).toBe('Sending 38 %, 0:12 left');
    expect(progressOf(of({ bytes: 1_899_999_999, left: null }))).toBe('Sending 99 %');
  });

  test('says under which name a file is here, if that is another one', () => {
    const renamed = { count: 1, offered: 'report.pdf', name: 'report (1).pdf' };
    const done = of({ state: 'done', direction: 'in', renamed });
    expect(adviceOf(done)).toBe('“report.pdf” is saved as “report (1).pdf”.');
    expect(adviceOf({ ...done, renamed: { ...renamed, count: 3 } })).toBe(
      '3 files are saved under other names: “report.pdf” as “report (1).pdf”, for instance.',
    );
    const view: View = { ...NOTHING, transfers: [done] };
    const before = { ...NOTHING, transfers: [{ ...done, state: 'running' } as const] };
    expect(newsBetween(before, view)).toEqual([
      'holiday.mp4 and 2 more, from Ana’s laptop: Received. “report.pdf” is saved as “report (1).pdf”.',
    ]);
  });

  test('that was interrupted says what goes on with it', () => {
    expect(adviceOf(of({ state: 'interrupted' }))).toMatch(/^Drop the same files on Ana’s laptop/);
    for (const [direction, begun, said] of [
      ['out', 'there', /when Ana’s laptop fetches it again/],
      ['in', 'here', /^What came is kept: get it again/],
      ['in', 'there', /^What came is kept: it goes on when Ana’s laptop sends/],
    ] as const)
      expect(adviceOf(of({ state: 'interrupted', direction, begun }))).toMatch(said);
    expect(adviceOf(SENDING)).toBe('');
  });
});

describe('what is said where nobody looks', () => {
  const calm: View = { ...NOTHING, device: { ...SCENES.locked.device, locked: false } };

  test('the name of the window tells what is asked first, then how far all has come', () => {
    const transfers = [SENDING, of({ id: 'u', bytes: 0, total: 100_000_000 })];
    const { questions } = SCENES.stranger;
    expect(windowTitle(calm)).toBe('drop – mint-box');
    expect(windowTitle({ ...calm, transfers })).toBe('36 % – drop');
    expect(windowTitle({ ...calm, transfers, questions })).toBe(
      '(1) bob-desktop wants to send you report.pdf – drop',
    );
    // Strangers who guess codes do not get a word there.
    expect(windowTitle({ ...calm, questions: SCENES.locked.questions })).toBe('drop – mint-box');
  });

  test('only what is new is read aloud', () => {
    const nearby = SCENES.devices.nearby?.slice(0, 2) ?? [];
    const { messages } = SCENES.transfers;
    const busy = { ...calm, nearby, messages, transfers: [SENDING] };
    expect(newsBetween(calm, busy)).toEqual([
      'Ana’s laptop and bob-desktop can be reached.',
      'holiday.mp4 and 2 more, to Ana’s laptop: Sending.',
      'Message from Ana’s laptop: The meeting is at three. https://example.org/agenda',
    ]);
    // In one go, without what steers, and not for ever.
    const [message] = messages;
    const told = (text: string): readonly string[] =>
      newsBetween(calm, { ...calm, messages: message ? [{ ...message, text }] : [] });
    expect(told('one\n\n\ttwo \u202e')).toEqual(['Message from Ana’s laptop: one two \ufffd']);
    const [long = ''] = told(`${'x'.repeat(MAX_READ_OUT - 1)}😀${'y'.repeat(1e6)}`);
    expect(long).toBe(`Message from Ana’s laptop: ${'x'.repeat(MAX_READ_OUT - 1)}…`);
    expect(newsBetween(busy, { ...busy, transfers: [of({ bytes: 999_000_000 })] })).toEqual([]);
    expect(newsBetween(busy, { ...busy, nearby: nearby.slice(1) })).toEqual([
      'Ana’s laptop is not there any more.',
    ]);
    expect(newsBetween(busy, { ...busy, nearby: [] })).toEqual([
      'Ana’s laptop and bob-desktop are not there any more.',
    ]);
    // Whoever shares something may be there besides.
    const sharing = { ...busy, nearby: SCENES.devices.nearby?.slice(0, 3) ?? [] };
    expect(newsBetween(busy, sharing)).toEqual(['Studio Mac shares something.']);
    expect(newsBetween(sharing, busy)).toEqual(['Studio Mac shares nothing any more.']);
    const failed = SCENES.transfers.transfers.filter(({ state }) => state === 'failed');
    expect(newsBetween(busy, { ...busy, transfers: failed })).toEqual([
      'movie.mkv, to bob-desktop: Failed. There is not enough room on the other device.',
    ]);
    const waiting = { ...busy, transfers: [of({ state: 'waiting' })] };
    expect(newsBetween(busy, waiting)).toEqual([
      'holiday.mp4 and 2 more, to Ana’s laptop: Waiting for Ana’s laptop to accept…',
    ]);
  });
});
