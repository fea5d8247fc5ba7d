import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import t from 'tap';
import { type RedisKind, startPostgres, startRedis } from '../../src/dev/services.ts';

const directory = await mkdtemp(join(tmpdir(), 'basketlink-services-'));
await chmod(directory, 0o755);
t.teardown(() => rm(directory, { recursive: true }));
const dataDirectory = join(directory, 'postgres');

const isRoot = process.getuid?.() === 0;
const redisIsInstalled = (process.env.PATH ?? '')
  .split(delimiter)
  .some((path) => existsSync(join(path, 'redis-server')));

async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { lazyConnect: true, enableOfflineQueue: false, commandTimeout: 2000 });
  await redis.connect();
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function isGone(pid: number): Promise<boolean> {
  const deadline = Date.now() + 10_000;
  while (isRunning(pid) && Date.now() < deadline) await delay(20);
  return !isRunning(pid);
}

async function isAccepting(host: string, url: string): Promise<boolean> {
  const socket = connect({ host, port: Number(new URL(url).port), timeout: 1000 });
  const accepted = await Promise.race([
    once(socket, 'connect').then(() => true),
    once(socket, 'timeout').then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return accepted;
}

async function postmasterPid(): Promise<number> {
  return Number.parseInt(await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8'), 10);
}

async function redisPid(url: string): Promise<number> {
  const info = await withRedis(url, (redis) => redis.info('server'));
  return Number(/process_id:(\d+)/.exec(info)?.[1]);
}

t.test('Postgres keeps its rows, and the password in its URL, across a stop and a start', async (t) => {
  const first = await startPostgres({ dataDirectory, durable: false });
  await query(first.url, 'CREATE TABLE visits (note text)');
  await query(first.url, `INSERT INTO visits VALUES ('before the stop')`);
  await first.stop();

  const second = await startPostgres({ dataDirectory, durable: false });
  t.teardown(() => second.stop());
  t.same(await query(second.url, 'SELECT note FROM visits'), [{ note: 'before the stop' }]);
  t.equal(new URL(second.url).password, new URL(first.url).password);
});

t.test(
  'Postgres commits before it answers, in UTF-8 and by the order of bytes, and flushes when durable',
  async (t) => {
    const postgres = await startPostgres({ dataDirectory, durable: true });
    t.teardown(() => postgres.stop());
    const statement = `SELECT current_setting('synchronous_commit') AS commit, current_setting('fsync') AS fsync,
    pg_encoding_to_char(encoding) AS encoding, datcollate AS locale FROM pg_database WHERE datname = current_database()`;
    t.same(await query(postgres.url, statement), [{ commit: 'on', fsync: 'on', encoding: 'UTF8', locale: 'C' }]);
  },
);

t.test('Postgres starts again after kill -9 with every committed row', async (t) => {
  const killed = await startPostgres({ dataDirectory, durable: false });
  await query(killed.url, `INSERT INTO visits VALUES ('before the kill')`);
  process.kill(await postmasterPid(), 'SIGKILL');

  const next = await startPostgres({ dataDirectory, durable: false });
  t.teardown(() => next.stop());
  t.match(await query(next.url, `SELECT note FROM visits WHERE note = 'before the kill'`), [{ note: String }]);
  await killed.stop();
});

t.test('stop leaves none of the processes of Postgres behind and can be repeated', async (t) => {
  const postgres = await startPostgres({ dataDirectory, durable: false });
  const workers = await query(postgres.url, 'SELECT pid FROM pg_stat_activity');
  const pids = [await postmasterPid(), ...workers.map(({ pid }) => Number(pid))];
  t.ok(pids.length > 3);
  await Promise.all([postgres.stop(), postgres.stop()]);
  t.same(pids.filter(isRunning), []);
});

t.test('servers end when their parent is killed with -9, and the next start has its data', async (t) => {
  const program = `
    import { startPostgres, startRedis } from ${JSON.stringify(new URL('../../src/dev/services.ts', import.meta.url))};
    const postgres = await startPostgres({ dataDirectory: ${JSON.stringify(dataDirectory)}, durable: false });
    const redis = await startRedis({ dataDirectory: null, persist: false });
    console.log(JSON.stringify({ postgres: postgres.url, redis: redis.url, kind: redis.kind }));`;
  const parent = spawn(process.execPath, ['--import=tsx', '--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(parent.stdout), 'line')) as [string];
  const urls: { postgres: string; redis: string; kind: RedisKind } = JSON.parse(line);
  await query(urls.postgres, `INSERT INTO visits VALUES ('before the parent died')`);
  const pids = [await postmasterPid()];
  if (urls.kind !== 'js-redis-server') pids.push(await redisPid(urls.redis));
  parent.kill('SIGKILL');

  const next = await startPostgres({ dataDirectory, durable: false });
  t.teardown(() => next.stop());
  t.match(await query(next.url, `SELECT note FROM visits WHERE note LIKE '%parent%'`), [{ note: String }]);
  for (const pid of pids) t.ok(await isGone(pid));
});

t.test(
  'a stale lock file does not block Postgres when its process id belongs to another program by now',
  { skip: process.platform === 'linux' ? false : 'only Linux tells which program a process id runs' },
  async (t) => {
    const lockFile = join(dataDirectory, 'postmaster.pid');
    const killed = await startPostgres({ dataDirectory, durable: false });
    const lock = await readFile(lockFile, 'utf8');
    process.kill(await postmasterPid(), 'SIGKILL');
    await killed.stop();
    // Postgres itself disregards the processes of other users.
    const bystander = spawn('sleep', ['60'], isRoot ? { uid: 65534, gid: 65534 } : {});
    await once(bystander, 'spawn');
    t.teardown(() => bystander.kill());
    await writeFile(lockFile, lock.replace(/^\d+/, String(bystander.pid)));

    const next = await startPostgres({ dataDirectory, durable: false });
    t.teardown(() => next.stop());
    t.match(await query(next.url, 'SELECT count(*)::int AS visits FROM visits'), [{ visits: 3 }]);
    t.equal(bystander.exitCode, null);
  },
);

t.test('data of another major version is refused by its version, and left alone', async (t) => {
  const versionFile = join(dataDirectory, 'PG_VERSION');
  const version = await readFile(versionFile, 'utf8');
  await writeFile(versionFile, '12\n');
  await t.rejects(startPostgres({ dataDirectory, durable: false }), {
    message: /initialized by PostgreSQL version 12[\s\S]*Move this directory away/,
  });
  await writeFile(versionFile, version);
  const postgres = await startPostgres({ dataDirectory, durable: false });
  t.teardown(() => postgres.stop());
  t.match(await query(postgres.url, 'SELECT count(*)::int AS visits FROM visits'), [{ visits: 3 }]);
});

t.test(
  'Postgres starts for root in a directory that is closed to everybody else',
  { skip: isRoot ? false : 'only root needs it' },
  async (t) => {
    const closed = join(directory, 'closed');
    await mkdir(closed, { mode: 0o700 });
    const postgres = await startPostgres({ dataDirectory: join(closed, 'postgres'), durable: false });
    t.teardown(() => postgres.stop());
    t.same(await query(postgres.url, 'SELECT 1 AS one'), [{ one: 1 }]);
  },
);

t.test('Postgres listens on 127.0.0.1 alone', async (t) => {
  const postgres = await startPostgres({ dataDirectory, durable: false });
  t.teardown(() => postgres.stop());
  t.equal(await isAccepting('127.0.0.1', postgres.url), true);
  t.equal(await isAccepting('127.0.0.2', postgres.url), false);
});

const script = `
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'seconds', now[1])
  redis.call('ZADD', KEYS[2], now[1], 'due', now[1] + 60, 'later')
  return {redis.call('HGET', KEYS[1], 'seconds'), redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now[1])}`;

for (const only of ['redis-server', 'js-redis-server'] as const) {
  const skip = only === 'redis-server' && !redisIsInstalled ? 'there is no redis-server on the PATH' : false;

  t.test(`${only} runs Lua that reads its clock and writes hashes and sorted sets`, { skip }, async (t) => {
    const redis = await startRedis({ dataDirectory: null, persist: false, only });
    t.teardown(() => redis.stop());
    t.equal(redis.kind, only);
    await withRedis(redis.url, async (client) => {
      const before = Math.floor(Date.now() / 1000);
      const [seconds, due] = (await client.eval(script, 2, '{a}hash', '{a}set')) as [string, string[]];
      t.ok(Number(seconds) >= before && Number(seconds) <= Date.now() / 1000);
      t.same(due, ['due']);
      const sha = await client.script('LOAD', script);
      t.match(await client.evalsha(String(sha), 2, '{a}hash', '{a}set'), [/^\d+$/, ['due']]);
      t.match(await client.config('GET', 'maxmemory-policy'), ['maxmemory-policy', 'noeviction']);
    });
  });

  t.test(`${only} listens on 127.0.0.1 alone and is gone after stop, with clients connected`, { skip }, async (t) => {
    const redis = await startRedis({ dataDirectory: null, persist: false, only });
    t.equal(await isAccepting('127.0.0.2', redis.url), false);
    await withRedis(redis.url, async (client) => {
      client.on('error', () => {});
      const pid = only === 'redis-server' ? await redisPid(redis.url) : null;
      await Promise.all([redis.stop(), redis.stop()]);
      t.equal(await isAccepting('127.0.0.1', redis.url), false);
      if (pid !== null) t.equal(isRunning(pid), false);
    });
  });
}

t.test(
  'redis-server keeps what it was given across a stop and a start when it persists',
  { skip: redisIsInstalled ? false : 'there is no redis-server on the PATH' },
  async (t) => {
    const options = { dataDirectory: join(directory, 'redis'), persist: true, only: 'redis-server' } as const;
    const first = await startRedis(options);
    await withRedis(first.url, (client) => client.set('kept', 'yes'));
    await first.stop();
    const second = await startRedis(options);
    t.teardown(() => second.stop());
    t.equal(await withRedis(second.url, (client) => client.get('kept')), 'yes');
  },
);
