import { DropError, type ErrorCode } from '../errors.ts';
import type { Part } from '../protocol/card.ts';
import type { Message, MessageOf, MessageType } from '../protocol/message.ts';
import { Session } from '../protocol/session.ts';

/** Ordered, secret bytes to and from one peer: TLS today, anything tomorrow. */
export interface Pipe {
  /**
   * Ends where the peer ended it; throws `disconnected` where it broke. What it gives may be
   * overwritten when the next is asked for.
   */
  readonly incoming: AsyncIterable<Uint8Array>;
  /** Resolves when the bytes are on their way and may be overwritten. */
  write(...parts: Uint8Array[]): Promise<void>;
  /** Closes it, once what was written is handed over or soon anyway; whoever writes then fails. */
  end(): Promise<void>;
}

/** A session held over a pipe. */
export class Channel {
  /** Over which we speak, and over which we hear: for a while they may be two. */
  #out: Pipe;
  #in: Pipe;
  /** The one that takes over, and who waits until the peer speaks over it. */
  #next: Promise<Pipe> | undefined;
  #followed = (): void => {};
  #incoming: AsyncIterator<Uint8Array>;
  /** What the bytes say that came last. */
  #heard: Iterator<Message, void> = [][Symbol.iterator]();
  #interrupt: (error: unknown) => void = () => {};
  #failure: { readonly error: unknown } | undefined;
  readonly session: Session;

  constructor(part: Part, pipe: Pipe) {
    this.#out = this.#in = pipe;
    this.#incoming = pipe.incoming[Symbol.asyncIterator]();
    this.session = new Session(part);
  }

  /** Resolves when the messages are on their way; what they carry may be overwritten then. */
  async say(...messages: Message[]): Promise<void> {
    if (this.#failure) throw this.#failure.error;
    const [first] = messages;
    const parts =
      messages.length === 1 && first !== undefined
        ? this.session.say(first)
        : messages.flatMap((message) => this.session.say(message));
    await this.#out.write(...parts).catch((error: unknown) => {
      throw this.#failure?.error ?? error;
    });
  }

  /** The peer's next message, which must be of one of these types. */
  async hear<T extends MessageType>(...types: T[]): Promise<MessageOf<T>> {
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      // Many messages come at once: only the next bytes have to be waited for.
      const { value: message, done } = this.#heard.next();
      if (done) {
        this.#heard = this.session.hear(await this.#more());
        continue;
      }
      if (message.type === 'alive') continue;
      if (message.type === 'moved') {
        await this.#follow();
        continue;
      }
      if (message.type === 'cancel') {
        this.#failure = { error: new DropError(message.code) };
        continue;
      }
      if (!types.some((type) => type === message.type))
        throw new DropError('protocol', { message: `"${message.type}" came unexpectedly.` });
      return message as MessageOf<T>;
    }
  }

  /**
   * From now on we speak over another pipe, which the peer has made because we asked for it.
   * Resolves when the peer speaks over it, too, and it is all that there is; never, if that fails.
   */
  moveTo(pipe: Pipe): Promise<void> {
    const followed = this.expect(Promise.resolve(pipe));
    this.#move(pipe);
    return followed;
  }

  /** If the peer moves, it will be to this pipe. Resolves when it has; never, if it does not. */
  expect(pipe: Promise<Pipe>): Promise<void> {
    this.#next = pipe;
    pipe.catch(() => {}); // Then it does not move.
    return new Promise((resolve) => {
      this.#followed = resolve;
    });
  }

  /** Ends all pipes; resolves when that is done. */
  async end(): Promise<void> {
    // One that is still being made is nobody's business any more.
    void this.#next?.then((pipe) => pipe.end()).catch(() => {});
    await Promise.all([this.#out.end(), this.#in.end()]);
  }

  /**
   * Gives up: whoever wants to hear or to say something gets `error`, now and from now on. The peer
   * is told its code, if it still listens; the pipe ends, so that nobody waits to be heard either.
   */
  fail(error: unknown): void {
    const code: ErrorCode = error instanceof DropError ? error.code : 'cancelled';
    if (!this.session.over) this.say({ type: 'cancel', code }).catch(() => {}); // It may be gone.
    this.#failure ??= { error };
    this.#interrupt(error);
    void this.end();
  }

  /** What a promise gives, unless we give up before. For whoever hears, and for nobody beside that. */
  unlessFailed<T>(promise: Promise<T>): Promise<T> {
    if (this.#failure) return Promise.reject(this.#failure.error);
    return new Promise((resolve, reject) => {
      this.#interrupt = reject;
      promise.then(resolve, reject);
    });
  }

  /** `moved` was the last word on the old pipe: what is half said there would go on over the new. */
  async #follow(): Promise<void> {
    const before = this.#in;
    const isLast = this.#heard.next().done && this.session.between;
    if (this.#next === undefined || !isLast) throw new DropError('protocol');
    const pipe = await this.unlessFailed(this.#next).catch((cause) => {
      throw this.#failure?.error ?? new DropError('disconnected', { cause });
    });
    if (this.#out !== pipe) this.#move(pipe);
    this.#in = pipe;
    this.#incoming = pipe.incoming[Symbol.asyncIterator]();
    void before.end();
    this.#followed();
  }

  #move(pipe: Pipe): void {
    this.say({ type: 'moved' }).catch(() => {}); // Whoever says something next learns of it.
    this.#out = pipe;
  }

  async #more(): Promise<Uint8Array> {
    const { value, done } = await this.unlessFailed(this.#incoming.next());
    if (done) throw new DropError('disconnected');
    return value;
  }
}
