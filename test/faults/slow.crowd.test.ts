import { setTimeout as delay } from 'node:timers/promises';
import { addCrowd } from '../support/crowd.ts';
import { countOversold, fault, judge } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { nowMs } from '../support/history.ts';
import { startLoad } from '../support/load.ts';
import { differsForLong } from '../support/redis-copy.ts';
import { until } from '../support/until.ts';

/** Without the protection fewer will do, and they would take all day. */
const crowds = { on: 100_000, off: 60_000 };
/** For how long it is looked at how creations usually do, before the crowd expires. */
const usualForMs = 15_000;
const hourMs = 3_600_000;
/** Far beyond what it takes, which the table tells: how long it takes is the machine's, that it ends is ours. */
const releasedWithinMs = 40_000;
/** How long a client waits is the machine's, too, where other tests share its two cores with all of this. */
const patienceMs = 15_000;

type Calls = Awaited<ReturnType<typeof startLoad>>['history']['calls'];

function p99(calls: Calls, fromMs: number, toMs: number): number {
  const tookMs = calls
    .filter(({ operation, invokedMs }) => operation === 'create' && invokedMs >= fromMs && invokedMs < toMs)
    .map(({ invokedMs, endedMs }) => endedMs - invokedMs)
    .sort((a, b) => a - b);
  return tookMs[Math.floor(tookMs.length * 0.99)] ?? Number.POSITIVE_INFINITY;
}

fault({
  id: 'F35',
  fault: 'Redis is lost with 100,000 live baskets, which then all expire in the same second',
  how: 'FLUSHALL, and a load of creations beside',
  control: {
    what: 'baskets are ended one at a time',
    altered: [{ file: 'src/holds/sweeper.ts', find: 'const batchSize = 500;', replace: 'const batchSize = 1;' }],
  },
  async run(t, { altered, protection }) {
    const crowd = crowds[protection];
    const fleet = await startFleet(t, { altered, replicas: 2, capacities: { stalls: 1_000_000 } });
    const created = await fleet.shop.backEnd.request<{ id: string }>('POST', '/v1/baskets', {
      items: [{ itemId: 'stalls', quantity: 1 }],
      ttlSeconds: 1800,
    });
    const startedMs = Date.now();
    await addCrowd(fleet.pool, created.body.id, crowd, new Date(startedMs + hourMs));
    // To be read again takes less than to be written did, on whatever machine.
    const expiresAtMs = Date.now() + 2 * (Date.now() - startedMs) + usualForMs;
    await fleet.pool.query(`UPDATE baskets SET expires_at = $1 WHERE basket_id LIKE 'bkt_crowd%'`, [
      new Date(expiresAtMs),
    ]);
    await fleet.redis.cli('FLUSHALL');
    const rebuild = await until('Redis is built anew', 180_000, async () => {
      const lines = fleet.replicas.flatMap(({ log }) =>
        log()
          .split('\n')
          .filter((line) => line.includes('built anew')),
      );
      const built = lines.map((line) => JSON.parse(line) as { holds: number; ms: number });
      return built.find(({ holds }) => holds > crowd) ?? false;
    });
    const violations: string[] = [];

    const load = await startLoad(t, {
      replicas: () => fleet.replicas,
      itemIds: ['stalls'],
      clients: 2,
      creations: 1_000_000,
      patienceMs,
    });
    await delay(Math.max(0, expiresAtMs - Date.now()));
    const expiredAtMs = nowMs();
    await until('the crowd is gone', releasedWithinMs, async () => {
      // Counting them all the time would be a load of its own.
      await delay(250);
      const { rows } = await fleet.pool.query<{ left: boolean }>(
        `SELECT EXISTS (SELECT FROM baskets WHERE status IN ('open', 'activated', 'checkout') AND expires_at <= now()
           ORDER BY expires_at LIMIT 1) AS left`,
      );
      return rows[0]?.left === false;
    }).catch(() => {});
    const releasedMs = nowMs() - expiredAtMs;
    await load.stop();
    if (releasedMs > releasedWithinMs) violations.push(`${crowd} baskets were not released in ${releasedMs} ms`);
    const usualMs = p99(load.history.calls, expiredAtMs - 10_000, expiredAtMs);
    const meanwhileMs = p99(load.history.calls, expiredAtMs, expiredAtMs + releasedMs);
    const outcome = await judge(fleet.pool, load, fleet.stock);
    const differs = await differsForLong(t, fleet.pool, fleet.redis.url);
    return {
      ...outcome,
      oversold: await countOversold(fleet.pool),
      violations: [...outcome.violations, ...violations, ...differs],
      note:
        `built anew in ${(rebuild.ms / 1000).toFixed(1)} s, released in ${(releasedMs / 1000).toFixed(1)} s, ` +
        `p99 of creations ${Math.round(usualMs)} ms before and ${Math.round(meanwhileMs)} ms meanwhile`,
    };
  },
});
