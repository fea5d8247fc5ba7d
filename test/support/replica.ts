import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import ts from 'typescript';
import { freePort, stopWithParent } from '../../src/dev/services.ts';
import { fromRunner, jwtSecret } from './service.ts';
import { until } from './until.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const startLimitMs = 30_000;
const probeLimitMs = 1000;

/**
 * A change to one place of the source: the text `find`, which stands in the file exactly once, becomes `replace`. Where
 * `find` is empty a new file is made.
 */
export type Alteration = { file: string; find: string; replace: string };

type ReplicaOptions = {
  databaseUrl: string;
  redisUrl: string;
  /** Added to its environment. */
  env?: Record<string, string>;
  /** Where protections are taken out, or a crash is put in. */
  altered?: readonly Alteration[];
  /** Of its process, from the start on. */
  port?: number;
  /** A module that is loaded before it. */
  preload?: string;
};

/**
 * Starts the service as a process of its own, compiled, and waits until it answers. It has the secrets of
 * `startTestService`, so that tokens of `mintToken` are good for it. It needs a Redis for itself and its siblings.
 */
export async function startReplica(t: Test, options: ReplicaOptions) {
  const { altered = [], port = await freePort(), preload } = options;
  const nodeArgs = preload === undefined ? [] : ['--import', preload];
  const directory = altered.length === 0 ? fromRunner('TEST_COMPILED') : alteredTree(t, altered);
  const url = `http://127.0.0.1:${port}`;
  // Tap loads itself into every Node.js that a test starts, by NODE_OPTIONS: that would double what a start costs.
  const child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, ...nodeArgs, 'dist/server.js'], {
    cwd: directory,
    env: {
      PATH: process.env.PATH,
      HOST: '127.0.0.1',
      PORT: String(port),
      PUBLIC_URL: url,
      DATABASE_URL: options.databaseUrl,
      REDIS_URL: options.redisUrl,
      JWT_SECRET: jwtSecret,
      LINK_KEYS: 'l1:the secret that signs the start links of tests',
      DATA_KEYS: 'd1:the secret that encrypts stored data of tests',
      LOG_LEVEL: 'info',
      // A load calls as one.
      RATE_LIMIT_MAX: '0',
      // So does whatever else runs on the machine.
      MAX_EVENT_LOOP_DELAY_MS: '0',
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('the replica has no process id');
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
  }
  /** How it ended: its exit code, or the signal that killed it. */
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }) as Ended);
  stopWithParent(pid, 'SIGKILL', ended);
  const kill = (signal: NodeJS.Signals = 'SIGKILL') => void child.kill(signal);
  t.teardown(async () => {
    kill('SIGKILL');
    await ended;
  });
  await until('the replica answers', startLimitMs, async () => {
    if (child.exitCode !== null) throw new Error('it ended');
    const asked = fetch(`${url}/health/live`, { signal: AbortSignal.timeout(probeLimitMs) });
    return (await asked.catch(() => null))?.ok ?? false;
  }).catch((error: Error) => {
    throw new Error(`The replica did not start: ${error.message}\n${log}`);
  });
  return {
    url,
    pid,
    ended,
    /** All that it has written so far. */
    log: () => log,
    kill,
    /** Whether SIGSTOP has reached it. */
    isStopped: () => /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')),
    /** Asks it to stop and gives how it ended. */
    stop: () => {
      kill('SIGTERM');
      return ended;
    },
  };
}

type Ended = { code: number | null; signal: NodeJS.Signals | null };

/** Migrates a database with the source, in a process of its own. Throws with what it wrote when it fails. */
export async function migrateAltered(t: Test, databaseUrl: string, altered: readonly Alteration[]): Promise<void> {
  const cwd = alteredTree(t, altered);
  const env = { PATH: process.env.PATH, DATABASE_URL: databaseUrl };
  await promisify(execFile)(process.execPath, ['dist/cli/migrate.js'], { cwd, env });
}

/**
 * A copy of the compiled service with the changes made, each to the source and then compiled, below the checkout so that
 * its packages are found.
 */
function alteredTree(t: Test, altered: readonly Alteration[]): string {
  const within = join(project, '.tap/altered');
  mkdirSync(within, { recursive: true });
  const directory = mkdtempSync(join(within, 'tree-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  cpSync(fromRunner('TEST_COMPILED'), directory, { recursive: true });
  const changed = new Map<string, string>();
  for (const { file, find, replace } of altered) {
    const text = changed.get(file) ?? (find === '' ? '' : readFileSync(join(project, file), 'utf8'));
    const parts = text.split(find);
    if (find !== '' && parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times, not once: ${find}`);
    changed.set(file, find === '' ? replace : parts.join(replace));
  }
  for (const [file, text] of changed) {
    const compiled = file.replace(/^src\//, 'dist/').replace(/\.ts$/, '.js');
    writeFileSync(join(directory, compiled), file.endsWith('.ts') ? compile(text) : text);
  }
  return directory;
}

function compile(text: string): string {
  const { ESNext } = ts.ModuleKind;
  const compilerOptions = { target: ts.ScriptTarget.ES2023, module: ESNext, rewriteRelativeImportExtensions: true };
  return ts.transpileModule(text, { compilerOptions }).outputText;
}
