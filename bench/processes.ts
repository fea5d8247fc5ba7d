import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort, stopWithParent } from '../src/dev/services.ts';
import type { FloorName } from './scenarios/scenario.ts';
import { serviceEnvironment } from './scenarios/shop.ts';

/** A server under load. */
export type Server = { url: string; pid: number; stop(): Promise<void> };

/** What a server is started with. `directory` gets its log; `signal` gives its start up. */
export type Surroundings = { databaseUrl: string; redisUrl: string; directory: string; signal: AbortSignal };

const project = fileURLToPath(new URL('..', import.meta.url));
const startLimitMs = 30_000;
const stopLimitMs = 10_000;
const pauseMs = 20;

/** Starts the service, compiled in `serviceDirectory`, on a database that is migrated. */
export async function startService(serviceDirectory: string, around: Surroundings): Promise<Server> {
  const port = await freePort();
  const env = serviceEnvironment(port, around.databaseUrl, around.redisUrl);
  return startServer('service', ['dist/server.js'], serviceDirectory, port, env, '/health/ready', around);
}

/** Starts a floor, on a database where it has not run before. */
export async function startFloor(name: FloorName, around: Surroundings): Promise<Server> {
  const args = ['--import', import.meta.resolve('tsx'), `bench/floors/${name}.ts`];
  const env = { DATABASE_URL: around.databaseUrl, REDIS_URL: around.redisUrl };
  return startServer(name, args, project, await freePort(), env, '/health', around);
}

/**
 * Starts a program of Node as a process of its own and waits until `probe`, a path, is answered with 200. What it writes
 * goes into a file: to read it here would take time from what is measured. Throws with the end of that file when it does
 * not start.
 */
async function startServer(
  name: string,
  args: readonly string[],
  cwd: string,
  port: number,
  env: Record<string, string>,
  probe: string,
  { directory, signal }: Surroundings,
): Promise<Server> {
  const logFile = join(directory, `${name}.log`);
  const log = openSync(logFile, 'w');
  // In a process group of its own: Ctrl-C is for whoever started it, who stops it in order.
  const child = spawn(process.execPath, args, {
    cwd,
    env: { PATH: process.env.PATH, PORT: String(port), ...env },
    stdio: ['ignore', log, log],
    detached: true,
  });
  const closed = once(child, 'close');
  closeSync(log);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${process.execPath} could not be started`);
  stopWithParent(pid, 'SIGKILL', closed);
  const stop = async () => {
    child.kill('SIGTERM');
    const limit = setTimeout(() => child.kill('SIGKILL'), stopLimitMs);
    await closed;
    clearTimeout(limit);
  };
  const url = `http://127.0.0.1:${port}`;
  const giveUpAtMs = performance.now() + startLimitMs;
  try {
    while (!(await fetch(url + probe).catch(() => null))?.ok) {
      signal.throwIfAborted();
      if (child.exitCode !== null || performance.now() > giveUpAtMs) {
        throw new Error(`The ${name} did not start:\n${readFileSync(logFile, 'utf8').slice(-4000)}`);
      }
      await delay(pauseMs);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, pid, stop };
}
