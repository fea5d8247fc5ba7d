import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Histogram } from '../statistics.ts';

/** What is sent to a server, and how it must answer. */
export type Load = {
  requests: readonly { method: 'GET' | 'POST'; path: string; body?: object }[];
  headers: Record<string, string>;
  /** Whether each request has an Idempotency-Key that no other has. */
  keyed: boolean;
  /** Whether each of the requests can be sent only once: else they are sent over and over for as long as it takes. */
  once: boolean;
  /** The status that every answer must have. */
  expected: number;
};

/** What a load generator saw: how many answers of each status, and how many requests that got none. */
export type Seen = { statuses: Record<string, number>; errors: number; elapsedMs: number; latencies: Histogram };

/** A program that sends a load from outside the server's process. */
export type Generator = {
  description: string;
  send(url: string, load: Load, connections: number, seconds: number, signal: AbortSignal): Promise<Seen>;
};

const run = promisify(execFile);
const pathOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Until when a load of a given number of requests must have been sent, instead of after a given time. */
const onceLimitSeconds = 60;
const outputBytes = 64 * 1024 * 1024;
let runs = 0;

/**
 * Opens a load generator, which keeps requests in files of `directory`: wrk when it is on the PATH, or else autocannon.
 * `only` asks for one of the two. Throws when that is wrk and not there.
 */
export async function openGenerator(directory: string, only?: 'wrk' | 'autocannon'): Promise<Generator> {
  const wrkVersion = only === 'autocannon' ? null : await versionOfWrk();
  if (wrkVersion === null && only === 'wrk') throw new Error('There is no wrk on the PATH.');
  const [program, argumentsFor] =
    wrkVersion === null ? ([process.execPath, autocannonArguments] as const) : (['wrk', wrkArguments] as const);
  return {
    description: wrkVersion ?? 'autocannon',
    async send(url, load, connections, seconds, signal) {
      runs += 1;
      const file = join(directory, `requests-${runs}`);
      await writeFile(file, written(load));
      const prefix = load.keyed ? `bench-${runs}-` : '-';
      // As many as may be under way at the end are not waited for: only while all connections work is it the same load.
      const limit = load.once ? load.requests.length - connections : 0;
      if (limit < 0) throw new Error(`${load.requests.length} requests are too few for ${connections} connections`);
      const args = argumentsFor(url, connections, load.once ? onceLimitSeconds : seconds, [file, prefix, `${limit}`]);
      const { stdout } = await run(program, args, { signal, env: { PATH: process.env.PATH }, maxBuffer: outputBytes });
      return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Seen;
    },
  };
}

function wrkArguments(url: string, connections: number, seconds: number, ours: string[]): string[] {
  const options = ['--threads=1', `--connections=${connections}`, `--duration=${seconds}s`, '--timeout=10s'];
  return [...options, `--script=${pathOf('wrk.lua')}`, url, '--', ...ours, `${connections}`];
}

function autocannonArguments(url: string, connections: number, seconds: number, ours: string[]): string[] {
  return [
    '--import',
    import.meta.resolve('tsx'),
    pathOf('autocannon.ts'),
    url,
    `${connections}`,
    `${seconds}`,
    ...ours,
  ];
}

/** A request is a line of method, path and body between tabs, behind the headers of all and an empty line. */
function written({ headers, requests }: Load): string {
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const lines = requests.map(({ method, path, body }) =>
    [method, path, body === undefined ? '' : JSON.stringify(body)].join('\t'),
  );
  return [...head, '', ...lines, ''].join('\n');
}

async function versionOfWrk(): Promise<string | null> {
  try {
    await run('wrk', ['--version']);
  } catch (error) {
    // It shows its version beside how it is used, and fails.
    const { stdout = '' } = error as { stdout?: string };
    return /^wrk (?:debian\/)?\S+/.exec(stdout)?.[0] ?? null;
  }
  return null;
}
