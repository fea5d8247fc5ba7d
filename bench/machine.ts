import { execFile } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { asPostgres, infoOfRedis } from './servers.ts';
import { median } from './statistics.ts';

/** The settings that decide whether a commit is on the disk before it is answered. */
const durability = ['fsync', 'synchronous_commit', 'full_page_writes'] as const;

/**
 * What figures were measured on, in words, as pairs of name and value. `dataDirectory` is on the disk that Postgres
 * writes to. Throws when Postgres was told to answer before a commit is on that disk: such figures are worth nothing.
 */
export async function describeMachine(
  postgresUrl: string,
  redisUrl: string,
  dataDirectory: string,
): Promise<[name: string, value: string][]> {
  const [processor] = cpus();
  const gibibytes = (totalmem() / 2 ** 30).toFixed(1);
  return [
    ['processor', `${processor?.model ?? 'unknown'}, ${cpus().length} cores`],
    ['memory', `${gibibytes} GiB`],
    ['kernel', `${type()} ${release()}`],
    ['disk', `${flushMs(dataDirectory).toFixed(2)} ms to write 8 KiB and flush them`],
    ['Node', process.version],
    ['Postgres', await describePostgres(postgresUrl)],
    ['Redis', await infoOfRedis(redisUrl, 'redis_version')],
  ];
}

/** The commit that is checked out, and whether files were changed since. */
export async function describeCommit(directory: string): Promise<string> {
  const git = async (...args: string[]) => (await promisify(execFile)('git', args, { cwd: directory })).stdout.trim();
  try {
    const changed = (await git('status', '--porcelain')) !== '';
    return `${await git('rev-parse', '--short=12', 'HEAD')}${changed ? ' with changes' : ''}`;
  } catch {
    return 'unknown';
  }
}

async function describePostgres(url: string): Promise<string> {
  return asPostgres(url, async (client) => {
    const setting = async (name: string) =>
      (await client.query<{ value: string }>('SELECT current_setting($1) AS value', [name])).rows[0]?.value ?? '';
    for (const name of durability) {
      const value = await setting(name);
      if (value !== 'on') throw new Error(`Postgres runs with ${name} = ${value}.`);
    }
    return `${await setting('server_version')}, with ${durability.join(', ')} on`;
  });
}

/** What every commit waits for at least, as a median. On a disk in memory it is nothing. */
function flushMs(directory: string): number {
  const path = join(directory, 'flushed');
  const file = openSync(path, 'w');
  const page = Buffer.alloc(8192);
  const timesMs = Array.from({ length: 100 }, () => {
    const startedAtMs = performance.now();
    writeSync(file, page);
    fdatasyncSync(file);
    return performance.now() - startedAtMs;
  });
  closeSync(file);
  rmSync(path);
  return median(timesMs);
}
