import { Registry } from 'prom-client';
import type { Test } from 'tap';
import { holdMetrics, openAdmission } from '../../src/holds/index.ts';
import { openLogger } from '../../src/platform/logger.ts';
import { openPostgres } from '../../src/platform/postgres.ts';
import { openRedis, redisTimeoutMs } from '../../src/platform/redis.ts';
import { createBasket } from './journey.ts';
import { countedRow, inspectRedis } from './redis.ts';
import { asTester } from './service.ts';
import { openShop } from './shop.ts';
import { until } from './until.ts';

/**
 * A shop with live baskets of one `stalls` each whose service has stopped, so that nobody looks after Redis but the
 * test. `replica` gives what another replica would work with; `keys` looks at Redis as it is.
 */
export async function openStoppedShop(t: Test, { baskets = 2 } = {}) {
  const shop = await openShop(t);
  const { config, redisKeyPrefix } = shop.service;
  const created = [];
  for (let at = 0; at < baskets; at += 1) created.push(await createBasket(shop));
  const keys = inspectRedis(t, redisKeyPrefix);
  await until('the creations are settled', 15_000, async () => {
    return (await countedRow(keys, 'item:stalls')) === `100 ${baskets} 0 0`;
  });
  await shop.service.stop();

  const open = (url: string) => {
    const pool = openPostgres(url, () => {});
    t.teardown(() => pool.end());
    return pool;
  };
  const [pool, poolOfReplicas] = [open(asTester(config.databaseUrl)), open(config.databaseUrl)];
  const replica = async () => {
    const redis = openRedis(config.redisUrl, redisKeyPrefix, () => {}, redisTimeoutMs.ofTool);
    t.teardown(() => redis.close());
    const admission = openAdmission(redis);
    // Every node of a cluster, not only the first.
    await until('Redis answers', 5000, async () => (await admission.identify()) !== null);
    return {
      redis,
      pool: poolOfReplicas,
      admission,
      logger: openLogger('silent'),
      metrics: holdMetrics(new Registry()),
    };
  };
  return { config, redisKeyPrefix, baskets: created, keys, pool, replica };
}
