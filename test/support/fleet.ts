import pg from 'pg';
import type { Test } from 'tap';
import { type Alteration, startReplica } from './replica.ts';
import { startPostgresServer, startRedisServer } from './servers.ts';
import { api, mintToken } from './service.ts';
import { openShopAt } from './shop.ts';

export type Fleet = Awaited<ReturnType<typeof startFleet>>;

type FleetOptions = {
  altered?: readonly Alteration[];
  replicas?: number;
  /** What there is of each of the items, which are named so. */
  capacities?: Record<string, number>;
  redis?: Parameters<typeof startRedisServer>[1];
  /** Of the Postgres server. */
  settings?: Record<string, string>;
  /** Added to the environment of each replica. */
  env?: Record<string, string>;
  /** Where the replicas find Postgres, if not directly. */
  databaseUrl?: (postgresUrl: string) => Promise<string>;
  /** Where each of the replicas finds Redis, if not directly. */
  redisUrl?: (redisUrl: string, replica: number) => Promise<string>;
};

/**
 * A service with everything of its own: a Postgres, a Redis, replicas as processes, and a shop with items of limited
 * stock. `pool` looks at Postgres past the service; it survives Postgres being killed.
 */
export async function startFleet(t: Test, options: FleetOptions = {}) {
  const { altered = [], replicas: count = 1, capacities = { stalls: 60, balcony: 30 }, env = {} } = options;
  const [postgres, redis] = await Promise.all([
    startPostgresServer(t, options.settings),
    startRedisServer(t, options.redis),
  ]);
  const databaseUrl = (await options.databaseUrl?.(postgres.url)) ?? postgres.url;
  const start = (more: Partial<Parameters<typeof startReplica>[1]> = {}) =>
    startReplica(t, { databaseUrl, redisUrl: redis.url, altered, env, ...more });
  const replicas = await Promise.all(
    Array.from({ length: count }, async (_, at) =>
      start(options.redisUrl ? { redisUrl: await options.redisUrl(redis.url, at) } : {}),
    ),
  );
  const [first] = replicas;
  if (first === undefined) throw new Error('a fleet has at least one replica');
  const pool = new pg.Pool({ connectionString: postgres.url, max: 2 });
  pool.on('error', () => {});
  t.teardown(() => pool.end());
  const shop = await openShopAt(first.url);
  for (const [itemId, capacity] of Object.entries(capacities)) {
    const { status, text } = await shop.owner.request('PUT', `/v1/items/${itemId}`, {
      name: itemId,
      price: 100,
      capacity,
    });
    if (status !== 200) throw new Error(text);
  }
  const stock = new Map(Object.entries(capacities).map(([itemId, capacity]) => [`item:${itemId}`, capacity]));
  const token = await mintToken({ shop: shop.shopId, scope: 'baskets:read baskets:write' });
  const backEndAt = (url: string) => api(url, token);
  return { backEndAt, postgres, redis, replicas, start, pool, shop, itemIds: Object.keys(capacities), stock };
}
