import { randomBytes } from 'node:crypto';
import { Cluster, Redis } from 'ioredis';
import type pg from 'pg';
import type { Test } from 'tap';
import type { LinkState } from '../../src/holds/index.ts';
import { openRedis, type RedisConnection, redisTimeoutMs } from '../../src/platform/redis.ts';
import { fromRunner } from './service.ts';
import { until } from './until.ts';

/** The Redis that the tests share; each has a key prefix of its own. */
export const redisUrl = () => fromRunner('TEST_REDIS_URL');

/** A single server that the tests share, also where the services under test have a cluster. */
export const plainRedisUrl = () => fromRunner('TEST_PLAIN_REDIS_URL');

/** A Redis URL that nothing listens on. */
export const closedRedisUrl = 'redis://127.0.0.1:1';

/**
 * Opens Redis as the service does, but with the patience of a tool unless told, and through `url` if it is not to be the
 * shared one. `errors` is what it reported.
 */
export function openTestRedis(
  t: Test,
  { url = redisUrl(), keyPrefix = newKeyPrefix(), commandTimeoutMs = redisTimeoutMs.ofTool } = {},
) {
  const errors: Error[] = [];
  const connection = openRedis(url, keyPrefix, (error) => void errors.push(error), commandTimeoutMs);
  t.teardown(() => connection.close());
  return { connection, keyPrefix, errors };
}

export type RedisKeys = Redis | Cluster;

/** A client that looks at the keys as they are, under the same prefix. */
export function inspectRedis(t: Test, keyPrefix: string, url = redisUrl()): RedisKeys {
  const [first = '', ...others] = url.split(',');
  const client = others.length === 0 ? new Redis(first, { keyPrefix }) : new Cluster([first, ...others], { keyPrefix });
  t.teardown(() => client.disconnect());
  return client;
}

/** A link that nothing is special about, of a basket that expires then. */
export function linkUntil(expiresAt: Date): LinkState {
  return { generation: 1, expiresAt, mode: null, mayLogIn: false, reservesAtActivation: false, eventIds: [] };
}

function newKeyPrefix(): string {
  return `test:${randomBytes(8).toString('hex')}:`;
}

/** The keys of the partition of the shop `roxy`. */
export const partitionKeys = { deadlines: '{bl:1}:deadlines', holds: '{bl:1}:holds', stock: '{bl:1}:stock' };

/** What Redis counts of a stock row of the shop `roxy`, `<capacity> <held> <admitted> <sold>`, or null. */
export function countedRow(keys: RedisKeys, stockId: string): Promise<string | null> {
  return keys.hget(partitionKeys.stock, `roxy/${stockId}`);
}

/** The holds of the partition of the shop `roxy`, by basket, without their links. */
export async function holdsIn(keys: RedisKeys): Promise<Record<string, string>> {
  const { '@epoch': _, ...holds } = await keys.hgetall(partitionKeys.holds);
  return Object.fromEntries(Object.entries(holds).map(([member, text]) => [member, text.replace(/ @\S+/, '')]));
}

/**
 * All keys under a prefix with what they hold, as plain values: two equal answers mean that nothing was written. Of the
 * keeper's comparisons, which it counts whoever comes, nothing is told; and the order in which Redis finds keys and
 * fields means nothing and changes by itself.
 */
export async function contentsOfRedis(client: RedisKeys): Promise<Record<string, unknown>> {
  const { keyPrefix = '' } = client.options;
  const contents: [string, unknown][] = [];
  if (client instanceof Cluster) await until('the cluster is known', 5000, async () => client.status === 'ready');
  for (const server of client instanceof Cluster ? client.nodes('master') : [client]) {
    // The prefix is added to the names of keys, but neither to a pattern nor to what is found.
    for await (const found of server.scanStream({ match: `${keyPrefix}*`, count: 1000 })) {
      for (const name of found as string[]) {
        const key = name.slice(keyPrefix.length);
        contents.push([key, await contentOf(client, key)]);
      }
    }
  }
  return sorted(contents);
}

/**
 * Waits until Redis has all there is to know of a shop in Postgres, each stock row and the deadline of each live basket:
 * from then on it changes only with what is done to the shop.
 */
export async function untilRedisHasAll(
  client: RedisKeys,
  { service: { pool }, shopId }: { service: { pool: pg.Pool }; shopId: string },
): Promise<void> {
  const { rows } = await pool.query<{ key: 'stock' | 'deadlines'; text: string }>(
    `SELECT 'stock' AS key, format('"%s/%s":', shop_id, stock_id) AS text FROM stock WHERE shop_id = $1
     UNION ALL SELECT 'deadlines', format('"%s"', (extract(epoch FROM expires_at) * 1000)::bigint) FROM baskets
     WHERE shop_id = $1 AND status IN ('open', 'activated', 'checkout')`,
    [shopId],
  );
  await until('Redis has what Postgres has', 15_000, async () => {
    const contents = await contentsOfRedis(client);
    return rows.every(({ key, text }) => JSON.stringify(contents[partitionKeys[key]] ?? null).includes(text));
  });
}

async function contentOf(client: RedisKeys, key: string): Promise<unknown> {
  const type = await client.type(key);
  if (type === 'zset') return client.zrange(key, '0', '-1', 'WITHSCORES');
  if (type !== 'hash') return client.get(key);
  return sorted(Object.entries(await client.hgetall(key)).filter(([field]) => field !== '@tick'));
}

function sorted<T>(entries: [string, T][]): Record<string, T> {
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Watches what a service asks of Redis: `lost` counts what was not answered, `idle` waits for what is under way. */
export function watchRedis(t: Test, connection: RedisConnection) {
  const run: RedisConnection['run'] = connection.run.bind(connection);
  const underWay = new Set<Promise<unknown>>();
  let lost = 0;
  const watched: RedisConnection['run'] = async (...request) => {
    const reply = run(...request);
    underWay.add(reply);
    if (!(await reply).known) lost += 1;
    underWay.delete(reply);
    return reply;
  };
  t.intercept(connection, 'run', { value: watched });
  return {
    lost: () => lost,
    async idle(): Promise<void> {
      while (underWay.size > 0) await Promise.all(underWay);
    },
  };
}
