import { setTimeout as delay } from 'node:timers/promises';
import { fault, judge } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { nowMs } from '../support/history.ts';
import { startLoad } from '../support/load.ts';
import { until } from '../support/until.ts';

fault({
  id: 'F16',
  fault: 'Postgres is killed under load',
  how: 'SIGKILL of all its processes, twice, each time back after a second',
  control: { what: 'Postgres confirms commits that it has not written (synchronous_commit off)' },
  async run(t, { protection }) {
    const forgetful = { synchronous_commit: 'off', wal_writer_delay: '10s', wal_writer_flush_after: '1GB' };
    const fleet = await startFleet(t, {
      replicas: 2,
      capacities: { stalls: 500, balcony: 200 },
      settings: protection === 'on' ? {} : forgetful,
    });
    // The shop itself is not to be lost.
    await fleet.pool.query('CHECKPOINT');
    const load = await startLoad(t, { replicas: () => fleet.replicas, itemIds: fleet.itemIds, creations: 4000 });
    const recoveredMs: number[] = [];
    for (const _ of ['once', 'again']) {
      const before = load.acknowledged();
      await until('the load is at work', 20_000, async () => load.acknowledged() > before + 150);
      await fleet.postgres.kill();
      await delay(1000);
      await fleet.postgres.restart();
      const backMs = nowMs();
      const sinceBack = () =>
        load.history.calls.some(({ outcome, invokedMs }) => outcome === 'ok' && invokedMs > backMs);
      await until('calls are acknowledged again', 20_000, async () => sinceBack());
      recoveredMs.push(nowMs() - backMs);
    }
    await load.stop();
    const outcome = await judge(fleet.pool, load, fleet.stock);
    return protection === 'on'
      ? { ...outcome, note: `served again ${Math.ceil(Math.max(...recoveredMs) / 1000)} s after it was back` }
      : outcome;
  },
});
