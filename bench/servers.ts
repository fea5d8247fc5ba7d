import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import pg from 'pg';
import { migrate } from '../src/platform/migrations.ts';

/** Makes a database with the service's tables, and gives its address and how to drop it. */
export async function createDatabase(postgresUrl: string): Promise<{ url: string; drop: () => Promise<unknown> }> {
  const name = `bench_${randomBytes(6).toString('hex')}`;
  await asPostgres(postgresUrl, (client) => client.query(`CREATE DATABASE ${name}`));
  const url = new URL(postgresUrl);
  url.pathname = `/${name}`;
  await migrate(url.href);
  return {
    url: url.href,
    drop: () => asPostgres(postgresUrl, (client) => client.query(`DROP DATABASE ${name} WITH (FORCE)`)),
  };
}

/** The process that all of Postgres' processes are children of, as its superuser may read. */
export async function pidOfPostgres(postgresUrl: string): Promise<number> {
  const { rows } = await asPostgres(postgresUrl, (client) =>
    client.query<{ lock: string }>(`SELECT pg_read_file('postmaster.pid') AS lock`),
  );
  return Number.parseInt(rows[0]?.lock ?? '', 10);
}

/** One line of what Redis says of its server. */
export async function infoOfRedis(redisUrl: string, name: 'process_id' | 'redis_version'): Promise<string> {
  const info = await asRedis(redisUrl, (redis) => redis.info('server'));
  return new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1] ?? '';
}

/** How many bytes Redis keeps its data in. */
export async function memoryOfRedis(redisUrl: string): Promise<number> {
  const info = await asRedis(redisUrl, (redis) => redis.info('memory'));
  return Number(/^used_memory:(\d+)/m.exec(info)?.[1]);
}

/** Runs `work` on a connection of its own. */
export async function asPostgres<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Runs `work` on a connection of its own. */
export async function asRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url);
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}
