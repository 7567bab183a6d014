import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { generate } from 'selfsigned';
import type { ReceiveEvent } from '../../src/events.ts';
import { Home, TempFolder } from '../../test/support/home.ts';
import type { Run } from './figures.ts';
import { Measured } from './measured.ts';
import type { Payload } from './payloads.ts';
import type { Stage } from './stage.ts';

/** A way to bring what is at a path into a folder on another host. */
export interface Program {
  readonly name: string;
  /** Whether what travels can be read on the way by others. */
  readonly encrypted: boolean;
  /** Why it cannot take part here. */
  missing(): string | undefined;
  /** Brings it there once. */
  run(stage: Stage, payload: Payload, into: string): Promise<Run>;
}

/** What the programs need of their own: identities, keys, certificates. */
export class Kit implements AsyncDisposable {
  readonly ana = new Home();
  readonly bob = new Home();
  readonly #folder = new TempFolder();
  #paired = false;

  static async create(): Promise<Kit> {
    const kit = new Kit();
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'bench' }], {
      keyType: 'ec',
      curve: 'P-256',
      algorithm: 'sha256',
    });
    writeFileSync(kit.certificate, `${key.trim()}\n${cert.trim()}\n`, { mode: 0o600 });
    return kit;
  }

  /** A key and its certificate, for whoever speaks TLS. */
  get certificate(): string {
    return this.path('tls.pem');
  }

  path(name: string): string {
    return join(this.#folder.path, name);
  }

  /** Keys of host and user, made when first asked for, and what both ends are told about them. */
  get ssh(): { readonly client: string; readonly server: string } {
    const [client, server] = [this.path('ssh_config'), this.path('sshd_config')];
    const [key, hostKey] = [this.path('key'), this.path('host_key')];
    try {
      readFileSync(client);
    } catch {
      for (const file of [key, hostKey])
        execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
      writeFileSync(
        server,
        `HostKey ${hostKey}\nAuthorizedKeysFile ${key}.pub\nPidFile none\nStrictModes no\n` +
          'PermitRootLogin prohibit-password\nUseDNS no\nPasswordAuthentication no\n' +
          'Subsystem sftp internal-sftp\n',
      );
      writeFileSync(
        client,
        `IdentityFile ${key}\nIdentitiesOnly yes\nStrictHostKeyChecking no\nLogLevel ERROR\n` +
          `UserKnownHostsFile /dev/null\nBatchMode yes\n`,
      );
    }
    return { client, server };
  }

  /** Makes the two know each other, so that no code is needed any more. */
  async pair(stage: Stage): Promise<void> {
    if (this.#paired) return;
    const note = this.path('note');
    writeFileSync(note, 'hello');
    await deliver(this, stage, note, this.bob.downloads, { withCode: true });
    this.#paired = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const folder of [this.ana, this.bob, this.#folder]) await folder[Symbol.asyncDispose]();
  }
}

export function drop(kit: Kit, ...options: readonly string[]): Program {
  return {
    name: ['drop', ...options].join(' '),
    encrypted: true,
    missing() {
      const option = options.find((one) => one.startsWith('--') && !knows(one));
      return option === undefined ? undefined : `this drop knows no ${option}`;
    },
    async run(stage, { path }, into) {
      await kit.pair(stage);
      return deliver(kit, stage, path, into, { options });
    },
  };
}

/** Whether `drop send` has this option. */
export function knows(option: string): boolean {
  const { stdout } = spawnSync(process.execPath, [COMMAND, 'send', '--help'], { encoding: 'utf8' });
  return stdout.includes(option);
}

export interface Delivery {
  readonly options?: readonly string[];
  /** The two do not know each other yet. */
  readonly withCode?: boolean;
  /** Hears what the sender says. */
  readonly onOutput?: (text: string) => void;
}

/**
 * `drop receive`, which is ready before the clock starts, and `drop send`, whose end stops it: by
 * then all is stored and acknowledged. What the receiver has to tidy up comes after that.
 */
export async function deliver(
  kit: Kit,
  stage: Stage,
  path: string,
  into: string,
  { options = [], withCode = false, onOutput }: Delivery,
): Promise<Run> {
  const told = kit.path('events');
  const receive = ['receive', '--once', '--yes', '--json', '--name', 'bob', '--into', into];
  // Its events go to a file: nobody who reads them takes a share of the machine.
  await using receiver = new Measured(stage.receiver, process.execPath, [COMMAND, ...receive], {
    env: kit.bob.env,
    stdout: told,
  });
  await receiver.until(() => readFileSync(told, 'utf8').includes('\n'), 'gets ready');
  const ready = JSON.parse(readFileSync(told, 'utf8').split('\n', 1)[0] ?? '') as ReceiveEvent;
  if (ready.event !== 'ready') throw new Error(`drop receive says ${JSON.stringify(ready)}`);
  const send = ['send', '--to', `${stage.address}:${ready.port}`, ...options, path];
  await using sender = new Measured(stage.sender, process.execPath, [COMMAND, ...send], {
    env: { ...kit.ana.env, ...(withCode && { DROP_CODE: ready.code ?? '' }) },
    ...(onOutput && { onOutput }),
  });
  const sent = await sender.succeeded();
  const received = await receiver.succeeded();
  return runOf(sender, receiver, sent, received);
}

/** From the start of the one that calls until `end`. */
function runOf(sender: Measured, receiver: Measured, end: number, last = end): Run {
  const wall = end - sender.started;
  return { wall, late: last - end, sender: sender.cost(), receiver: receiver.cost() };
}

/** In the folder of the project, where npm runs its scripts. */
export const COMMAND = resolve('bin/drop.js');

/** Each run has a port of its own: the last one may not be free yet. */
let port = 20_000;

export function nc(): Program {
  return oneStream('nc', false, noNc, {
    receive: (at) => `exec nc -4 -l ${at}`,
    send: (to, at) => `exec nc -4 -N ${to} ${at}`,
  });
}

/** socat with TLS 1.3. The client checks the certificate, as everything else would be no comparison. */
export function socat(kit: Kit): Program {
  const pem = kit.certificate;
  const least = 'openssl-min-proto-version=TLS1.3';
  return oneStream('socat TLS 1.3', true, noSocat, {
    receive: (at) =>
      `exec socat -u -b65536 OPENSSL-LISTEN:${at},reuseaddr,cert=${pem},verify=0,${least} STDOUT`,
    send: (to, at) =>
      `exec socat -u -b65536 STDIN OPENSSL-CONNECT:${to}:${at},cafile=${pem},commonname=bench,${least}`,
  });
}

interface OneStream {
  receive(at: number): string;
  send(to: string, at: number): string;
}

/** Whoever moves one stream of bytes moves a folder with the help of tar. */
function oneStream(
  name: string,
  encrypted: boolean,
  missing: () => string | undefined,
  { receive, send }: OneStream,
): Program {
  const without = (command: string) => command.replace(/^exec /, '');
  return {
    name,
    encrypted,
    missing: () => missing() ?? absent('tar'),
    async run(stage, { path, folder }, into) {
      const at = port++;
      const listening = receive(at);
      const sending = send(stage.address, at);
      await using receiver = folder
        ? new Measured(stage.receiver, 'sh', ['-c', `${without(listening)} | tar -xf -`], {
            cwd: into,
          })
        : new Measured(stage.receiver, 'sh', ['-c', listening], {
            stdout: join(into, basename(path)),
          });
      await receiver.listening(at);
      await using sender = folder
        ? new Measured(
            stage.sender,
            'sh',
            ['-c', `tar -cf - "$0" | ${without(sending)}`, basename(path)],
            { cwd: dirname(path) },
          )
        : new Measured(stage.sender, 'sh', ['-c', sending], { stdin: path });
      const ends = await Promise.all([sender.succeeded(), receiver.succeeded()]);
      return runOf(sender, receiver, Math.max(...ends));
    },
  };
}

/** tar through one of those; for files alone they need none. */
export function tar(program: Program): Program {
  return { ...program, name: `tar | ${program.name}` };
}

export function scp(kit: Kit, ...options: readonly string[]): Program {
  return overSsh(kit, ['scp', ...options].join(' '), noSsh, (config, at, { path, folder }, to) => [
    'scp',
    ...['-q', '-F', config, '-P', `${at}`, ...options, ...(folder ? ['-r'] : [])],
    path,
    to,
  ]);
}

export function rsyncOverSsh(kit: Kit, ...options: readonly string[]): Program {
  const name = ['rsync', ...options, 'over ssh'].join(' ');
  const missing = () => noSsh() ?? noRsync(options);
  return overSsh(kit, name, missing, (config, at, { path }, to) => [
    'rsync',
    ...['-a', ...options, '-e', `ssh -F ${config} -p ${at}`],
    path,
    to,
  ]);
}

/** Whatever calls an sshd, of which each run has its own, so that what its parts took is in one bill. */
function overSsh(
  { ssh }: Kit,
  name: string,
  missing: () => string | undefined,
  call: (
    config: string,
    at: number,
    payload: Payload,
    to: string,
  ) => readonly [string, ...string[]],
): Program {
  return {
    name,
    encrypted: true,
    missing,
    async run(stage, payload, into) {
      const at = port++;
      const { client, server } = ssh;
      mkdirSync(FOR_SSHD, { recursive: true, mode: 0o755 });
      const serve = ['-D', '-e', '-f', server, '-p', `${at}`];
      const [command, ...args] = call(client, at, payload, `${stage.address}:${into}/`);
      return served(stage, at, [whereIs('sshd') ?? 'sshd', ...serve], [command, ...args]);
    },
  };
}

/**
 * Where sshd locks up what strangers talk to. It does not start without it, and only its service
 * makes it. It stays, as another sshd may use it by now.
 */
const FOR_SSHD = '/run/sshd';

export function rsyncDaemon(kit: Kit): Program {
  return {
    name: 'rsync daemon',
    encrypted: false,
    missing: () => noRsync([]),
    async run(stage, { path }, into) {
      const at = port++;
      const config = kit.path('rsyncd.conf');
      writeFileSync(
        config,
        `uid = root\ngid = root\nuse chroot = no\nread only = no\n[into]\npath = ${into}\n`,
      );
      const serve = ['--daemon', '--no-detach', `--config=${config}`, `--port=${at}`];
      const to = `rsync://${stage.address}:${at}/into/`;
      return served(stage, at, ['rsync', ...serve], ['rsync', '-a', path, to]);
    },
  };
}

/** The run of a client, whose server goes on listening after it. */
async function served(
  stage: Stage,
  at: number,
  [server, ...serve]: readonly [string, ...string[]],
  [client, ...call]: readonly [string, ...string[]],
): Promise<Run> {
  await using receiver = new Measured(stage.receiver, server, serve);
  await receiver.listening(at);
  await using sender = new Measured(stage.sender, client, call);
  const end = await sender.succeeded();
  await receiver.stop();
  return runOf(sender, receiver, end);
}

function absent(...commands: readonly string[]): string | undefined {
  const command = commands.find((one) => whereIs(one) === undefined);
  return command === undefined ? undefined : `there is no ${command}`;
}

function noNc(): string | undefined {
  const { stderr } = spawnSync('nc', ['-h'], { encoding: 'utf8' });
  return (
    absent('nc') ?? (stderr.includes('OpenBSD') ? undefined : 'this nc is not that of OpenBSD')
  );
}

function noSocat(): string | undefined {
  const { stdout } = spawnSync('socat', ['-V'], { encoding: 'utf8' });
  return (
    absent('socat') ?? (stdout.includes('WITH_OPENSSL 1') ? undefined : 'this socat has no TLS')
  );
}

function noSsh(): string | undefined {
  return absent('ssh', 'scp', 'sshd', 'ssh-keygen');
}

function noRsync(options: readonly string[]): string | undefined {
  const { stdout } = spawnSync('rsync', ['--help'], { encoding: 'utf8' });
  const option = options.find((one) => one.startsWith('--') && !stdout.includes(one));
  return absent('rsync') ?? (option && `this rsync knows no ${option}`);
}

function whereIs(command: string): string | undefined {
  const { stdout, status } = spawnSync('sh', ['-c', 'command -v "$0"', command], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
  });
  return status === 0 ? stdout.trim() : undefined;
}
