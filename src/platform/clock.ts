import type pg from 'pg';

/** Postgres' time as this process knows it. */
export type DatabaseClock = { now(): Promise<Date> };

const maxAgeMs = 30_000;

/**
 * A clock that shows Postgres' time: the offset is measured by a query and carried forward by the process's monotonic
 * timer, so a jump of the machine's wall clock changes nothing. A measurement older than 30 s is taken anew.
 * `now` rejects when Postgres must be asked and does not answer.
 */
export function openDatabaseClock(pool: pg.Pool): DatabaseClock {
  let measured: { databaseMs: number; monotonicMs: number } | undefined;
  let measuring: Promise<void> | undefined;

  async function measure() {
    const before = performance.now();
    const { rows } = await pool.query<{ ms: number }>(
      'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms',
    );
    const after = performance.now();
    const databaseMs = rows[0]?.ms;
    if (databaseMs === undefined) throw new Error('Postgres gave no time');
    measured = { databaseMs, monotonicMs: (before + after) / 2 };
  }

  return {
    async now() {
      if (measured === undefined || performance.now() - measured.monotonicMs > maxAgeMs) {
        measuring ??= measure().finally(() => {
          measuring = undefined;
        });
        await measuring;
      }
      if (measured === undefined) throw new Error('the clock was never measured');
      return new Date(measured.databaseMs + performance.now() - measured.monotonicMs);
    },
  };
}
