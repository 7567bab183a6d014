import { spawn } from 'node:child_process';
import { type Environment, withoutOurs } from '../environment.ts';
import { formatCount } from '../figures.ts';
import type { Summary } from '../index.ts';
import type { Context } from './context.ts';
import type { ShownEvent } from './face.ts';
import type { NotifyOrder } from './orders.ts';

/** What arrives within this time after a notice is told together by the next one, in milliseconds. */
const GAP = 3_000;

/** How long a program may take to show a notice, in milliseconds. */
const PATIENCE = 10_000;

/** Calls a person who looks elsewhere when something arrived. That it cannot is no failure. */
export class Notices {
  readonly #bell: Bell<Summary>;

  constructor(order: NotifyOrder, context: Pick<Context, 'io' | 'words'>) {
    this.#bell = new Bell(order, context, (summaries) =>
      noticeOf(summaries, (device) => context.words.device(device)),
    );
  }

  hear(event: ShownEvent): void {
    if (event.event === 'summary' && event.files > 0) this.#bell.ring(event);
  }

  /** Tells at once what has not been told. */
  close(): void {
    this.#bell.close();
  }
}

/** Tells of news as the person has asked for, and of those together that come soon after each other. */
export class Bell<News> {
  readonly #order: NotifyOrder;
  readonly #context: Pick<Context, 'io'>;
  readonly #noticeOf: (news: readonly News[]) => Notice;
  #waiting: News[] = [];
  #pause: NodeJS.Timeout | undefined;

  constructor(
    order: NotifyOrder,
    context: Pick<Context, 'io'>,
    noticeOf: (news: readonly News[]) => Notice,
  ) {
    this.#order = order;
    this.#context = context;
    this.#noticeOf = noticeOf;
  }

  ring(news: News): void {
    if (this.#order.notify === undefined) return;
    this.#waiting.push(news);
    if (this.#pause === undefined) this.#tell();
  }

  /** Tells at once what has not been told. */
  close(): void {
    clearTimeout(this.#pause);
    this.#tell();
  }

  #tell(): void {
    this.#pause = undefined;
    if (this.#waiting.length === 0) return;
    const notice = this.#noticeOf(this.#waiting);
    this.#waiting = [];
    this.#pause = setTimeout(() => this.#tell(), GAP).unref();
    if (this.#order.notify === 'desktop') showNotice(notice);
    // A log has no ears.
    else if (this.#context.io.stderr.isTTY) this.#context.io.stderr.write('\x07');
  }
}

/** The texts of a notice: what, and from whom. */
export interface Notice {
  readonly title: string;
  readonly body: string;
  /** What it is about, in a word of desktops on Linux. */
  readonly category: 'transfer' | 'transfer.complete';
}

/**
 * How many files, and from whom. No names of files: on Linux the texts of a notice are words of a
 * command line, which everybody on the computer can read.
 */
function noticeOf(
  summaries: readonly Summary[],
  device: (peer: Summary['peer']) => string,
): Notice {
  const files = summaries.reduce((sum, summary) => sum + summary.files, 0);
  const whole = summaries.every(({ ok }) => ok);
  const peers = new Map(summaries.map(({ peer }) => [peer.id, peer]));
  const [first] = peers.values();
  const from = peers.size === 1 && first ? device(first) : formatCount(peers.size, 'device');
  return {
    title: `${formatCount(files, 'file')} arrived${whole ? '' : ', others did not'}`,
    body: `from ${from}`,
    category: 'transfer.complete',
  };
}

function showNotice(notice: Notice): void {
  const program = noticeProgram(process.platform, notice, process.env);
  if (program === undefined) return;
  const [file, ...args] = program.command;
  try {
    const shown = spawn(file, args, {
      env: { ...withoutOurs(process.env), ...program.env },
      stdio: 'ignore',
      windowsHide: true,
    });
    shown.on('error', () => {});
    shown.unref();
    // So that those that hang do not become many.
    setTimeout(() => shown.kill(), PATIENCE).unref();
  } catch {
    // The system has no room for another process.
  }
}

/**
 * The program that shows a notice. Whoever sends chose its name, so the texts are never a part of a
 * script: where one is needed, it is always the same, and they are in the environment.
 */
export function noticeProgram(
  platform: NodeJS.Platform,
  { title, body, category }: Notice,
  { SystemRoot = 'C:\\Windows' }: Environment,
):
  | { readonly command: readonly [file: string, ...args: string[]]; readonly env: Environment }
  | undefined {
  const env = { DROP_NOTICE_TITLE: title, DROP_NOTICE_BODY: body };
  switch (platform) {
    case 'linux':
      return {
        command: [
          'notify-send',
          '--app-name=drop',
          `--category=${category}`,
          '--',
          title,
          asBody(body),
        ],
        env: {},
      };
    case 'darwin':
      return { command: ['/usr/bin/osascript', '-l', 'JavaScript', '-e', MACOS], env };
    case 'win32':
      return {
        command: [
          // By its whole path: a program of that name in the current folder would go before.
          `${SystemRoot}\\System32\\WindowsPowerShell\\v1.0\\powershell.exe`,
          '-NoProfile',
          '-NonInteractive',
          '-Command',
          WINDOWS,
        ],
        env,
      };
    default:
      return undefined;
  }
}

/**
 * A text as notify-send takes it for the body of a notice. It reads backslashes as in C first,
 * by which `\074` would become a `<`; and what is left is markup to those who show it.
 */
function asBody(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('\\', '\\\\');
}

const MACOS = [
  `ObjC.import('Foundation')`,
  'const given = $.NSProcessInfo.processInfo.environment',
  'const text = (name) => ObjC.unwrap(given.objectForKey(name))',
  'const app = Application.currentApplication()',
  'app.includeStandardAdditions = true',
  `app.displayNotification(text('DROP_NOTICE_BODY'), { withTitle: text('DROP_NOTICE_TITLE') })`,
].join('; ');

/** In the name of PowerShell, as only programs that are installed in the start menu have their own. */
const WINDOWS = [
  '$null = [Windows.UI.Notifications.ToastNotificationManager, Windows.UI.Notifications, ContentType = WindowsRuntime]',
  '$toast = [Windows.UI.Notifications.ToastNotificationManager]::GetTemplateContent([Windows.UI.Notifications.ToastTemplateType]::ToastText02)',
  `$lines = $toast.GetElementsByTagName('text')`,
  '$null = $lines.Item(0).AppendChild($toast.CreateTextNode($env:DROP_NOTICE_TITLE))',
  '$null = $lines.Item(1).AppendChild($toast.CreateTextNode($env:DROP_NOTICE_BODY))',
  `$id = '{1AC14E77-02E7-4E5D-B744-2EB1AE5198B7}\\WindowsPowerShell\\v1.0\\powershell.exe'`,
  '[Windows.UI.Notifications.ToastNotificationManager]::CreateToastNotifier($id).Show([Windows.UI.Notifications.ToastNotification]::new($toast))',
].join('; ');
