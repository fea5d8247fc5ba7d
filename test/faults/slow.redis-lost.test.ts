import { fault, judge } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import {
  differsForLong,
  dropStockCheck,
  postgresDecidesNothing,
  redisEpoch,
  redisIsLeftAlone,
} from '../support/redis-copy.ts';
import { until } from '../support/until.ts';

const holdsKey = '{bl:1}:holds';
type Cli = { cli(...command: string[]): Promise<string> };
/** How many holds a Redis has; one field of them is the epoch. */
const holdsIn = async (redis: Cli) => Math.max(0, Number(await redis.cli('HLEN', holdsKey)) - 1);

fault({
  id: 'F1',
  fault: 'Redis is flushed while baskets are created',
  how: 'FLUSHALL, five times under a load of 64 clients',
  control: { what: 'Postgres does not look whether stock is left', altered: postgresDecidesNothing },
  async run(t, { protection, altered }) {
    const fleet = await startFleet(t, { altered, replicas: 2, capacities: { stalls: 300, balcony: 100 } });
    if (protection === 'off') await dropStockCheck(fleet.pool);
    const epochBefore = await redisEpoch(fleet.pool);
    const load = await startLoad(t, {
      replicas: () => fleet.replicas,
      itemIds: fleet.itemIds,
      clients: 64,
      creations: 2000,
    });
    let holdsForgotten = 0;
    for (let flushes = 1; flushes <= 5; flushes += 1) {
      const before = load.acknowledged();
      await until('the load is at work', 20_000, async () => load.acknowledged() > before + 60);
      holdsForgotten += await holdsIn(fleet.redis);
      await fleet.redis.cli('FLUSHALL');
    }
    await until('the epoch is raised', 10_000, async () => (await redisEpoch(fleet.pool)) > epochBefore);
    await load.stop();
    const outcome = await judge(fleet.pool, load, fleet.stock);
    const differs = protection === 'on' ? await differsForLong(t, fleet.pool, fleet.redis.url) : [];
    return { ...outcome, violations: [...outcome.violations, ...differs], holdsForgotten };
  },
});

for (const { id, fault: words, key } of [
  { id: 'F2a', fault: 'Redis loses the deadlines of a partition', key: 'deadlines' },
  { id: 'F2b', fault: 'Redis loses the holds of a partition', key: 'holds' },
  { id: 'F2c', fault: 'Redis loses the stock rows of a partition', key: 'stock' },
] as const) {
  fault({
    id,
    fault: words,
    how: 'DEL of the key under load',
    control: { what: 'no fence, and nobody compares Redis with Postgres', altered: redisIsLeftAlone },
    async run(t, { altered }) {
      const fleet = await startFleet(t, { altered, replicas: 2 });
      const load = await startLoad(t, { replicas: () => fleet.replicas, itemIds: fleet.itemIds, creations: 400 });
      await until('the load is at work', 20_000, async () => load.acknowledged() > 100);
      await fleet.redis.cli('DEL', `{bl:1}:${key}`);
      await load.stop();
      const outcome = await judge(fleet.pool, load, fleet.stock);
      const differs = await differsForLong(t, fleet.pool, fleet.redis.url);
      return { ...outcome, violations: [...outcome.violations, ...differs] };
    },
  });
}
