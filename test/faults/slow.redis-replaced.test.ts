import { fault, judge } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import { differsForLong, dropStockCheck, redisDecidesAlone } from '../support/redis-copy.ts';
import { until } from '../support/until.ts';

const holdsKey = '{bl:1}:holds';
type Cli = { cli(...command: string[]): Promise<string> };
/** How many holds a Redis has; one field of them is the epoch. */
const holdsIn = async (redis: Cli) => Math.max(0, Number(await redis.cli('HLEN', holdsKey)) - 1);

for (const { id, fault: words, persistence } of [
  { id: 'F3a', fault: 'a Redis that keeps nothing is killed under load', persistence: 'none' },
  { id: 'F3b', fault: 'a Redis that keeps snapshots is killed under load', persistence: 'rdb' },
  { id: 'F3c', fault: 'a Redis that writes its log every second is killed under load', persistence: 'everysec' },
] as const) {
  fault({
    id,
    fault: words,
    how: 'SIGKILL, and a start with what it has kept',
    control: { what: 'Redis alone says whether stock is left', altered: redisDecidesAlone },
    async run(t, { protection, altered }) {
      const fleet = await startFleet(t, {
        altered,
        replicas: 2,
        redis: { persistence },
      });
      if (protection === 'off') await dropStockCheck(fleet.pool);
      const load = await startLoad(t, { replicas: () => fleet.replicas, itemIds: fleet.itemIds, creations: 400 });
      await until('the load is at work', 20_000, async () => load.acknowledged() > 80);
      const before = await holdsIn(fleet.redis);
      await fleet.redis.kill();
      // Nobody may touch it before its holds have been counted.
      for (const { kill } of fleet.replicas) kill('SIGSTOP');
      await fleet.redis.restart();
      const holdsForgotten = Math.max(0, before - (await holdsIn(fleet.redis)));
      for (const { kill } of fleet.replicas) kill('SIGCONT');
      await load.done;
      await load.stop();
      const outcome = await judge(fleet.pool, load, fleet.stock);
      const differs = protection === 'on' ? await differsForLong(t, fleet.pool, fleet.redis.url) : [];
      return { ...outcome, violations: [...outcome.violations, ...differs], holdsForgotten };
    },
  });
}
