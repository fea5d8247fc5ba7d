import { fault, judge } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { findLost } from '../support/history.ts';
import { startLoad } from '../support/load.ts';
import { differsForLong, redisIsLeftAlone } from '../support/redis-copy.ts';
import { until } from '../support/until.ts';

fault({
  id: 'F40',
  fault: 'Postgres comes back from a backup that is older than Redis',
  how: 'a copy of its files; more load; SIGKILL, and a start on the copy',
  control: {
    what: 'nobody compares Redis with Postgres',
    altered: [
      ...redisIsLeftAlone,
      { file: 'src/holds/epoch.ts', find: '&& tick <= recorded.tick', replace: '&& tick <= Infinity' },
    ],
  },
  async run(t, { altered }) {
    // More than both loads ask for, so that the second one has something to hold.
    const fleet = await startFleet(t, { altered, capacities: { stalls: 400, balcony: 200 } });
    const tickInRedis = async () => Number(await fleet.redis.cli('HGET', '{bl:1}:stock', '@tick'));
    const first = await startLoad(t, { replicas: () => fleet.replicas, itemIds: fleet.itemIds, creations: 150 });
    await first.done;
    await first.stop();
    const outcome = await judge(fleet.pool, first, fleet.stock);
    await fleet.postgres.backUp();
    const tick = await tickInRedis();
    const second = await startLoad(t, { replicas: () => fleet.replicas, itemIds: fleet.itemIds, creations: 150 });
    await second.done;
    await second.stop();
    // A comparison since the backup is what tells that Redis is newer; the protection taken out makes none.
    await until('Redis is compared with Postgres', 15_000, async () => (await tickInRedis()) > tick).catch(() => {});
    await fleet.postgres.restoreBackup();
    const lost = await findLost(fleet.pool, first.history);
    const differs = await differsForLong(t, fleet.pool, fleet.redis.url);
    return { ...outcome, lost: lost.length, violations: [...outcome.violations, ...lost, ...differs] };
  },
});
