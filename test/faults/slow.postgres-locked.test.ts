import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { fault, judge } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { nowMs } from '../support/history.ts';
import { startLoad } from '../support/load.ts';
import { until } from '../support/until.ts';

/** Longer than a client may have to wait. */
const stuckMs = 8000;

/** How often Postgres had to end a deadlock. Its processes report that when they are idle. */
async function deadlocks(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ deadlocks: number }>(
    'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
  );
  return rows[0]?.deadlocks ?? 0;
}

fault({
  id: 'F19',
  fault: 'a transaction that is stuck locks a stock row',
  how: 'a row of stock is changed and neither committed nor rolled back for 8 s, under load on it and another',
  control: {
    what: 'no wait in the service or in Postgres is bounded',
    altered: [
      { file: 'src/platform/postgres.ts', find: 'lock_timeout: 2000,', replace: '' },
      { file: 'src/platform/postgres.ts', find: 'statement_timeout: 4000,', replace: '' },
      { file: 'src/http/requests.ts', find: 'const answerWithinMs = 5000;', replace: 'const answerWithinMs = 1e8;' },
    ],
  },
  async run(t, { altered }) {
    const fleet = await startFleet(t, { altered, capacities: { stalls: 400, balcony: 400 } });
    const load = await startLoad(t, { replicas: () => fleet.replicas, itemIds: fleet.itemIds, creations: 2000 });
    await until('the load is at work', 20_000, async () => load.acknowledged() > 50);
    const [fromMs, toMs] = await fleet.postgres.asAdministrator(async (stuck) => {
      await stuck.query('BEGIN');
      await stuck.query(`UPDATE stock SET held = held WHERE stock_id = 'item:stalls'`);
      const startedMs = nowMs();
      await delay(stuckMs);
      const endedMs = nowMs();
      await stuck.query('ROLLBACK');
      return [startedMs, endedMs];
    });
    const after = load.acknowledged();
    await until('it goes on', 20_000, async () => load.acknowledged() > after + 20);
    await load.stop();
    const outcome = await judge(fleet.pool, load, fleet.stock);
    if ((await deadlocks(fleet.pool)) > 0) outcome.violations.push('there was a deadlock');
    const meanwhile = load.history.calls.filter(
      ({ outcome, invokedMs, endedMs }) => outcome === 'ok' && invokedMs > fromMs && endedMs < toMs,
    );
    return { ...outcome, note: `${meanwhile.length} calls on the other row served meanwhile` };
  },
});

fault({
  id: 'F20',
  fault: 'baskets take the same stock in opposite orders',
  how: 'baskets of A and B beside baskets of B and A, created, completed and cancelled by 32 clients on two replicas',
  control: {
    what: 'stock rows are locked in any order',
    altered: [
      {
        file: 'src/holds/stock.ts',
        find: 'ORDER BY shop_id COLLATE "C", stock_id COLLATE "C"',
        replace: 'ORDER BY random()',
      },
    ],
  },
  async run(t, { altered, protection }) {
    const fleet = await startFleet(t, { altered, replicas: 2, capacities: { stalls: 400, balcony: 400, box: 400 } });
    const load = await startLoad(t, {
      replicas: () => fleet.replicas,
      itemIds: fleet.itemIds,
      clients: 32,
      // Each deadlock takes a second.
      creations: protection === 'on' ? 300 : 60,
      pairs: 1,
    });
    await load.done;
    await load.stop();
    const outcome = await judge(fleet.pool, load, fleet.stock);
    // What its processes have not reported yet, they report when they end.
    await Promise.all(fleet.replicas.map((replica) => replica.stop()));
    const ended = await deadlocks(fleet.pool);
    if (ended > 0) outcome.violations.push(`${ended} deadlocks`);
    return { ...outcome, note: `${ended} deadlocks` };
  },
});
