import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Said } from '../../src/web/window/model.ts';
import { Questions } from '../../src/web/window/questions.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const device = { name: 'Bob', id: '81d0c4b7' };
const offer = {
  ...{ files: 2, texts: 0, bytes: 5, sized: true, final: true },
  roots: ['report.pdf', 'plan.pdf'],
};
const accept = { device, known: true, offer, risks: [] };

/** Questions, and what is told of those that nobody answered. */
function begin() {
  const missed: Said[] = [];
  const gone = new AbortController();
  const questions = new Questions(
    () => {},
    (said) => missed.push(said),
  );
  return { questions, missed, gone, how: { within: 60_000, gone: gone.signal } };
}

test('tells of what nobody answered in time', async () => {
  const { questions, missed, how } = begin();
  const outcomes = Promise.all([
    questions.ask('accept', accept, how),
    questions.ask('fetch', { device, what: ['map.pdf'] }, how),
    questions.ask('call', { device: { name: '10.0.0.7', id: '' } }, how),
  ]);
  await vi.advanceTimersByTimeAsync(59_999);
  expect(missed).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  const late = { answer: undefined, because: 'late' };
  expect(await outcomes).toEqual([late, late, late]);
  expect(questions.all).toEqual([]);
  expect(missed.map(({ message, hint }) => `${message} ${hint}`)).toEqual([
    'Bob wanted to send you report.pdf and 1 more. Nobody answered, so it was refused.',
    'Bob wanted to fetch map.pdf. Nobody answered, so it was refused.',
    '10.0.0.7 asked to be called back. Nobody answered.',
  ]);
});

test('tells of nothing that was answered, or need not be any more', async () => {
  const { questions, missed, gone, how } = begin();
  const answered = questions.ask('accept', accept, how);
  questions.answer(questions.all[0]?.id ?? '', false);
  expect(await answered).toEqual({ answer: false });
  const left = questions.ask('accept', accept, how);
  gone.abort();
  expect(await left).toEqual({ answer: undefined, because: 'gone' });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(missed).toEqual([]);
});
