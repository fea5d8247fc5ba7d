import pg from 'pg';
import type { Test } from 'tap';
import { audit } from './audit.ts';
import { countOversold } from './fault.ts';
import { type Alteration, startReplica } from './replica.ts';
import { startRedisServer } from './servers.ts';
import { api, asTester, createDatabase, mintToken } from './service.ts';
import { openShopAt } from './shop.ts';

/**
 * A shop on replicas that are processes, with a Redis of their own and the runner's Postgres: for what breaks in the
 * service or around it, and leaves the servers alone. `service.pool` looks at Postgres past them. `start` starts another
 * replica. `through` is the URL of something in front of Postgres; `env` is added to the environment of each replica.
 */
export async function openShopOnReplicas(
  t: Test,
  options: {
    altered?: readonly Alteration[];
    replicas?: number;
    settings?: object;
    through?: string;
    env?: Record<string, string>;
  } = {},
) {
  const { altered = [], replicas: count = 1, settings = {}, env = {} } = options;
  const [databaseUrl, redis] = await Promise.all([createDatabase(t), startRedisServer(t)]);
  const through =
    options.through === undefined ? databaseUrl : new URL(new URL(databaseUrl).pathname, options.through).href;
  const start = (more: { altered?: readonly Alteration[] } = {}) =>
    startReplica(t, { databaseUrl: through, redisUrl: redis.url, altered, env, ...more });
  const replicas = await Promise.all(Array.from({ length: count }, () => start()));
  const pool = new pg.Pool({ connectionString: asTester(databaseUrl), max: 4 });
  t.teardown(() => pool.end());
  const [first] = replicas;
  if (first === undefined) throw new Error('a shop needs a replica');
  const shop = await openShopAt(first.url, settings);
  return {
    ...shop,
    service: { pool },
    replicas,
    start,
    databaseUrl,
    /** A client of one of the replicas. */
    at: async (url: string, scope: string, partner?: string) =>
      api(url, await mintToken({ shop: shop.shopId, scope, ...(partner === undefined ? {} : { partner }) })),
  };
}

/** What a run comes to: what the test found wrong, what the auditor finds, and which of the baskets made are there. */
export async function accountFor(pool: pg.Pool, created: readonly string[], violations: readonly string[]) {
  const { rows } = await pool.query<{ basket_id: string }>('SELECT basket_id FROM baskets');
  const known = new Set(rows.map(({ basket_id }) => basket_id));
  const books = await audit(pool).then(
    () => [],
    (error: Error) => [error.message],
  );
  return {
    violations: [...violations, ...books],
    acknowledged: created.length,
    lost: created.filter((id) => !known.has(id)).length,
    oversold: await countOversold(pool),
  };
}
