/** Asks the server for its stream of news; undefined if there is none. */
type Ask = (signal: AbortSignal) => Promise<Response | undefined>;

/**
 * Hears news of the server, each a JSON value in a line of its own, until the stream ends or breaks,
 * or nothing comes for `maxSilence` milliseconds. Returns whether anything was heard.
 */
export async function hear<News extends { readonly event: string }>(
  ask: Ask,
  maxSilence: number,
  onNews: (news: News) => void,
): Promise<boolean> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), maxSilence);
  let isHeard = false;
  try {
    const response = await ask(silence.signal);
    if (response === undefined) return false;
    for await (const line of linesOf(response)) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), maxSilence);
      isHeard = true;
      // It comes from our own server, which is of the same version: page and command are one package.
      const news: News | { readonly event?: never } = JSON.parse(line);
      // Where nothing happens, it says `{}`.
      if (news.event !== undefined) onNews(news);
    }
  } catch (error) {
    // What breaks is tried again; a bug of the page's own is for its console.
    if (!isBreak(error)) console.error(error);
  } finally {
    clearTimeout(timer);
  }
  return isHeard;
}

/** What the server, or its absence, has against something that was asked of it. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** What a server says that refuses something. */
export async function failureOf(response: Response): Promise<Failure> {
  const said: { readonly message?: unknown; readonly hint?: unknown } = await response
    .json()
    .catch(() => ({}));
  return new Failure(
    typeof said.message === 'string' ? said.message : `That was refused (${response.status}).`,
    typeof said.hint === 'string' ? said.hint : undefined,
  );
}

function isBreak(error: unknown): boolean {
  return error instanceof Failure || error instanceof DOMException || error instanceof TypeError;
}

/** What comes, line by line, as it comes. */
async function* linesOf({ body }: Response): AsyncGenerator<string> {
  if (body === null) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line !== '') yield line;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
