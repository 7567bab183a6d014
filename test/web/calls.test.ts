import { expect, test } from 'vitest';
import { MAX_CALLS } from '../../src/limits.ts';
import { NOTHING } from '../../src/web/page/window/words.ts';
import { type Calling, Calls } from '../../src/web/window/calls.ts';
import type { Question, Transfer, View } from '../../src/web/window/model.ts';
import { SCENES, SENDING } from '../support/page-server.ts';

/** What is called out by pages and elsewhere, while this and that happens. */
class Elsewhere {
  readonly told: Calling[] = [];
  readonly calls: Calls;
  #view: View = NOTHING;

  constructor({ mayCall = true } = {}) {
    const call = mayCall ? (calling: Calling) => void this.told.push(calling) : undefined;
    this.calls = new Calls({ changed: () => {}, call });
  }

  /** `page: id` of each call of a page. */
  get called(): string[] {
    return this.calls.all.map(({ id, page }) => `${page}: ${id}`);
  }

  happens(changes: Partial<View>): void {
    this.#view = { ...this.#view, ...changes };
    this.calls.look(this.#view);
  }
}

const ASKED: readonly Question[] = SCENES.accept.questions;
const [first] = ASKED;
const questions = (count: number): Question[] =>
  Array.from({ length: count }, (_, n) => ({ ...(first as Question), id: `q${n}` }));
const over = (id: string, changes: Partial<Transfer> = {}): Transfer => ({
  ...SENDING,
  ...{ id, direction: 'in', state: 'done', files: 3, can: ['open', 'dismiss'] },
  ...changes,
});

test('nobody is called who has a page in sight, and for nothing that was seen', () => {
  const { calls, called, told, ...elsewhere } = watched('in-sight');
  elsewhere.happens({ questions: ASKED, transfers: [over('t')] });
  calls.page('p', 'calling');
  expect([called(), told]).toEqual([[], []]);
});

test('one page calls, the one that came first; and the next when that is gone', () => {
  const { calls, called, told, happens } = watched('silent');
  calls.page('a', 'calling');
  calls.page('b', 'calling');
  happens({ questions: ASKED });
  expect(called()).toEqual(['a: q1']);
  calls.page('a', undefined);
  expect(called()).toEqual(['b: q1']);
  // One that is in sight shows it all.
  calls.page('b', 'in-sight');
  expect([called(), told]).toEqual([[], []]);
});

test('a question is called for until it is answered, wherever that is', () => {
  const { called, happens } = watched('calling');
  happens({ questions: questions(2) });
  expect(called()).toEqual(['p: q0', 'p: q1']);
  happens({ questions: questions(2).slice(1) });
  expect(called()).toEqual(['p: q1']);
  happens({ questions: [] });
  expect(called()).toEqual([]);
});

test('somebody else calls where no page may, once for each', () => {
  const { calls, called, told, happens } = watched('silent');
  happens({ questions: ASKED });
  happens({ nearby: [] });
  calls.page('q', 'silent');
  calls.page('q', 'calling');
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject({ title: 'Ana’s laptop wants to send you something', asks: true });
  // It was told already.
  expect(called()).toEqual([]);
  happens({ questions: [...ASKED, ...questions(1)] });
  expect(called()).toEqual(['q: q0']);
});

test('where nobody else may, the first page calls that can', () => {
  const elsewhere = new Elsewhere({ mayCall: false });
  elsewhere.happens({ questions: ASKED });
  expect(elsewhere.called).toEqual([]);
  elsewhere.calls.page('p', 'calling');
  expect(elsewhere.called).toEqual(['p: q1']);
});

test('nobody is called for more at a time than can be borne', () => {
  const { called, happens } = watched('calling');
  happens({ questions: questions(100) });
  expect(called()).toHaveLength(MAX_CALLS);
});

test('transfers that are over are told together, and so are messages', () => {
  const { calls, happens } = watched('calling');
  const told = (): object[] => calls.all.map(({ id, title, body }) => ({ id, title, body }));
  happens({ transfers: [over('a')] });
  expect(told()).toEqual([
    { id: 'transfers', title: '3 files arrived', body: 'from Ana’s laptop' },
  ]);
  const bob = { name: 'Bob', id: 'bbbbbbbb' };
  const lost = over('b', { device: bob, direction: 'out', state: 'interrupted' });
  happens({ transfers: [lost, over('a'), { ...SENDING, id: 'c' }] });
  expect(told()).toEqual([
    {
      id: 'transfers',
      title: '2 transfers are over, not all of them whole',
      body: 'with Bob and Ana’s laptop',
    },
  ]);
  const message = (id: string) => ({ id, from: bob, text: 'secret', at: 0 });
  happens({ messages: [message('m')] });
  happens({ messages: [message('n'), message('m')] });
  expect(told()[1]).toEqual({ id: 'messages', title: '2 messages came', body: 'from Bob' });
});

test('no name of a file, and nothing of a message, is in what is called', () => {
  const { calls, happens } = watched('calling');
  happens({
    transfers: [over('a', { what: ['secret.pdf'], file: 'secret.pdf' })],
    messages: [{ id: 'm', from: { name: 'Bob', id: '' }, text: 'secret', at: 0 }],
  });
  const scenes: readonly Partial<View>[] = Object.values(SCENES);
  const asked = scenes.flatMap(({ questions = [] }) => questions);
  for (const question of asked) {
    happens({ questions: [] });
    happens({ questions: [question] });
    const text = JSON.stringify(calls.all);
    if (question.kind !== 'unlock') expect(text).toContain(question.id);
    for (const name of ['secret', 'setup.exe', 'report.pdf', 'map.pdf', 'photos'])
      expect(text).not.toContain(name);
  }
});

/** With one page that is in this way in sight. */
function watched(sight: 'in-sight' | 'calling' | 'silent') {
  const elsewhere = new Elsewhere();
  const { calls, told } = elsewhere;
  calls.page('p', sight);
  return {
    ...{ calls, told },
    called: () => elsewhere.called,
    happens: (changes: Partial<View>) => elsewhere.happens(changes),
  };
}
