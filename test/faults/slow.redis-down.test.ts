import { setTimeout as delay } from 'node:timers/promises';
import { fault, judge } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { latenessOfExpiry } from '../support/lateness.ts';
import { startLoad } from '../support/load.ts';
import { differsForLong } from '../support/redis-copy.ts';

fault({
  id: 'F6',
  fault: 'Redis is down while baskets run out of time',
  how: 'SIGKILL, and a start a minute later; baskets live for 10 s',
  control: {
    what: 'nobody asks Postgres alone which baskets are due',
    altered: [
      {
        file: 'src/holds/sweeper.ts',
        find: 'const postgresOnlyEveryMs = 10_000;',
        replace: 'const postgresOnlyEveryMs = 1e9;',
      },
    ],
  },
  async run(t, { altered }) {
    const fleet = await startFleet(t, { altered, capacities: { stalls: 100_000 } });
    await fleet.redis.kill();
    const downSinceMs = performance.now();
    const load = await startLoad(t, {
      replicas: () => fleet.replicas,
      itemIds: fleet.itemIds,
      creations: 150,
      ttlSeconds: 10,
    });
    await load.done;
    await load.stop();
    await delay(Math.max(0, 60_000 - (performance.now() - downSinceMs)));
    await fleet.redis.restart();
    const { violations, latestMs } = await latenessOfExpiry(fleet.pool);
    const outcome = await judge(fleet.pool, load, fleet.stock);
    const differs = await differsForLong(t, fleet.pool, fleet.redis.url);
    return {
      ...outcome,
      violations: [...outcome.violations, ...violations, ...differs],
      note: `the last expired ${(latestMs / 1000).toFixed(1)} s late`,
    };
  },
});
