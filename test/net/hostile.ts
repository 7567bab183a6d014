/** Packets that no honest program sends, made by hand: the encoders in use refuse to make them. */

/** 5000 questions for `type`, of which each may be answered by a packet of its own. */
export function manyQuestions(type: string, count = 5000): Uint8Array {
  const rest = Uint8Array.from({ length: 6 * (count - 1) }, (_, at) => QUESTION[at % 6] ?? 0);
  return join(header({ questions: count }), encodeName(type), [0, 12, 0, 1], rest);
}

/** A pointer again and again to the end of a chain of pointers, so that decoding takes long. */
export function compressionBomb(size: number): Uint8Array {
  const links = Math.floor(Math.min(size / 4, 8000));
  const start = HEADER + 11;
  const chain = Array.from({ length: links }, (_, n) =>
    pointer(n === 0 ? HEADER : start + 2 * (n - 1)),
  );
  const first = [0, 0xff, 0, 0, 1, 0, 0, 0, 1, ...uint16(2 * links), ...chain.flat()];
  const record = [...pointer(start + 2 * (links - 1)), 0xff, 1, 0, 1, 0, 0, 0, 0, 0, 0];
  const count = Math.floor((size - HEADER - first.length) / record.length);
  const records = Array.from({ length: count }, () => record).flat();
  return join(header({ response: true, answers: count + 1 }), first, records);
}

/** A well-formed announcement of a process that does not exist. */
export function inventedPeer(
  type: string,
  instance: string,
  port: number,
  txt: string[],
): Uint8Array {
  const name = [...label(instance), ...encodeName(type)];
  const strings = txt.flatMap((text) => label(text));
  const host = encodeName('invented.local');
  return join(
    header({ response: true, answers: 4 }),
    record(encodeName(type), 12, name),
    record(name, 33, [0, 0, 0, 0, ...uint16(port), ...host]),
    record(name, 16, strings.length > 0 ? strings : [0]),
    record(host, 1, [10, 9, 8, 7]),
  );
}

/** A withdrawal of somebody else's announcement. */
export function forgedGoodbye(type: string, instance: string): Uint8Array {
  const name = [...label(instance), ...encodeName(type)];
  return join(header({ response: true, answers: 1 }), record(encodeName(type), 12, name, 0));
}

/** A question whose packet asks for a call, too. */
export function knocking(type: string, strings: readonly string[]): Uint8Array {
  return join(
    header({ questions: 1, additionals: 1 }),
    encodeName(type),
    [0, 12, 0, 1],
    record(encodeName(`_knock.${type}`), 16, strings.flatMap(label)),
  );
}

/** A name that points at itself. */
export function pointerLoop(): Uint8Array {
  return join(
    header({ response: true, answers: 1 }),
    pointer(HEADER),
    [0, 12, 0, 1, 0, 0, 0, 9, 0, 2],
    pointer(HEADER),
  );
}

const HEADER = 12;

/** The name at the start of the first question again, PTR, IN. */
const QUESTION = [...pointer(HEADER), 0, 12, 0, 1];

interface Counts {
  readonly response?: boolean;
  readonly questions?: number;
  readonly answers?: number;
  readonly additionals?: number;
}

function header({ response, questions = 0, answers = 0, additionals = 0 }: Counts): number[] {
  const counts = [questions, answers, 0, additionals].flatMap(uint16);
  return [0, 0, response ? 0x84 : 0, 0, ...counts];
}

function record(name: number[], type: number, data: number[], ttl = 120): number[] {
  return [...name, ...uint16(type), 0, 1, 0, 0, ...uint16(ttl), ...uint16(data.length), ...data];
}

function encodeName(name: string): number[] {
  return [...name.split('.').flatMap(label), 0];
}

function label(text: string): number[] {
  const bytes = new TextEncoder().encode(text);
  return [bytes.length, ...bytes];
}

function pointer(to: number): number[] {
  return uint16(0xc000 | to);
}

function uint16(value: number): number[] {
  return [value >> 8, value & 0xff];
}

function join(...parts: Iterable<number>[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
