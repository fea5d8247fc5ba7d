import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import type { Test } from 'tap';
import { freePort, launch, startPostgres } from '../../src/dev/services.ts';
import { fromRunner } from './service.ts';
import { copyPostgres } from './stopped-postgres.ts';
import { until } from './until.ts';

/** What a Redis keeps over a kill: nothing, the last snapshot, or all but the last second or so. */
type RedisPersistence = 'none' | 'rdb' | 'everysec';

const goneWithinMs = 10_000;

/**
 * Starts a redis-server of a test's own, which the test can kill and start again on the same port and data. `env` is
 * added to its environment, for a clock shim say; `replicaOf` is the port of the master that it follows.
 */
export async function startRedisServer(
  t: Test,
  options: { persistence?: RedisPersistence; env?: Record<string, string>; replicaOf?: number } = {},
) {
  const directory = await mkdtemp(join(fromRunner('TEST_DIRECTORY'), 'redis-'));
  const port = await freePort();
  const { persistence = 'none', env = {}, replicaOf } = options;
  const settings: Record<string, string> = {
    port: String(port),
    bind: '127.0.0.1',
    dir: directory,
    save: persistence === 'rdb' ? '1 1' : '',
    appendonly: persistence === 'everysec' ? 'yes' : 'no',
    appendfsync: 'everysec',
    'maxmemory-policy': 'noeviction',
    ...(replicaOf === undefined ? {} : { replicaof: `127.0.0.1 ${replicaOf}` }),
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, ...value.split(' ')]);

  async function start() {
    // The port of a server that was killed may be taken for a moment, by an outgoing connection say.
    return until('redis-server starts', goneWithinMs, async () => {
      const launched = await launch(
        { command: 'redis-server', args, cwd: directory, env: { ...process.env, ...env } },
        'SIGTERM',
      );
      if (launched.outcome === 'exited' && /Address already in use/.test(launched.log)) return false;
      if (launched.outcome !== 'ready') throw new Error(`redis-server did not start: ${JSON.stringify(launched)}`);
      return launched;
    });
  }
  let server = await start();
  t.teardown(async () => {
    signal(server.pid, 'SIGCONT');
    await server.stop();
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    /** Ends it, by default without a chance to write anything down. */
    async kill(name: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
      signal(server.pid, name);
      await until('redis-server is gone', goneWithinMs, async () => !isRunning(server.pid));
    },
    pause: () => signal(server.pid, 'SIGSTOP'),
    resume: () => signal(server.pid, 'SIGCONT'),
    /** Starts it again after `kill`. */
    async restart(): Promise<void> {
      server = await start();
    },
    /** Runs redis-cli and gives what it printed. Throws when it fails or gets an error. */
    async cli(...command: string[]): Promise<string> {
      const { stdout } = await promisify(execFile)('redis-cli', ['-e', '-p', String(port), ...command]);
      return stdout.trim();
    },
  };
}

/**
 * Starts a Postgres of a test's own, migrated, which the test can kill and start again on the same port and data. It
 * flushes to its disk as in production. `settings` are parameters of the server.
 */
export async function startPostgresServer(t: Test, settings: Record<string, string> = {}) {
  const dataDirectory = join(await openToAll(await mkdtemp(join(fromRunner('TEST_DIRECTORY'), 'postgres-'))), 'data');
  await copyPostgres(fromRunner('TEST_STOPPED_POSTGRES'), dataDirectory);
  let current = settings;
  const port = await freePort();
  const start = () => startPostgres({ dataDirectory, durable: true, port, settings: current });
  const postmaster = () => Number.parseInt(readFileSync(join(dataDirectory, 'postmaster.pid'), 'utf8'), 10);
  let server = await start();
  const { url } = server;
  t.teardown(async () => {
    await server.stop();
  });

  const processes = () => [postmaster(), ...childrenOf(postmaster())];
  return {
    url,
    port,
    /** Kills the postmaster and every one of its processes at once, as a power cut would. */
    async kill(): Promise<void> {
      // Stopped first, so that it neither starts processes meanwhile nor recovers on its own.
      signal(postmaster(), 'SIGSTOP');
      const all = processes();
      for (const pid of all) signal(pid, 'SIGKILL');
      await until('postgres is gone', goneWithinMs, async () => !all.some(isRunning));
    },
    pause(): void {
      for (const pid of processes()) signal(pid, 'SIGSTOP');
    },
    resume(): void {
      for (const pid of processes()) signal(pid, 'SIGCONT');
    },
    /** Starts it again after `kill`, or stops and starts it, with other settings if they are given. */
    async restart(changed: Record<string, string> = current): Promise<void> {
      current = changed;
      await server.stop();
      server = await start();
    },
    /** Keeps a copy of all that it has, for which it is stopped for a moment. */
    async backUp(): Promise<void> {
      await server.stop();
      await promisify(execFile)('cp', ['-a', dataDirectory, `${dataDirectory}.backup`]);
      server = await start();
    },
    /** Kills it, and starts it again with what it had at the backup. */
    async restoreBackup(): Promise<void> {
      await this.kill();
      await server.stop();
      await rm(dataDirectory, { recursive: true });
      await rename(`${dataDirectory}.backup`, dataDirectory);
      server = await start();
    },
    /** Opens a connection for as long as `work` takes. */
    async asAdministrator<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      try {
        return await work(client);
      } finally {
        await client.end();
      }
    },
  };
}

/** Sends a signal to a process that may be gone already. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Whether a process runs; one that has ended and was not waited for yet does not. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

/** As root, Postgres is run as nobody, who must get in. */
async function openToAll(directory: string): Promise<string> {
  await chmod(directory, 0o755);
  return directory;
}
