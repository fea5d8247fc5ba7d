import { mock } from 'node:test';
import type pg from 'pg';
import t from 'tap';
import { openDatabaseClock } from '../../src/platform/clock.ts';
import { openPostgres } from '../../src/platform/postgres.ts';
import { createDatabase } from '../support/service.ts';

const hourMs = 60 * 60 * 1000;
const pool = openPostgres(await createDatabase(t), () => {});
t.teardown(() => pool.end());

async function offByMs(now: () => Promise<Date>, database: pg.Pool): Promise<number> {
  const { rows } = await database.query<{ ms: number }>(
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms',
  );
  return Math.abs((await now()).getTime() - (rows[0]?.ms ?? 0));
}

t.test('a jump of the machine’s wall clock does not move the clock', async (t) => {
  t.teardown(() => mock.timers.reset());
  const clock = openDatabaseClock(pool);
  t.ok((await offByMs(clock.now, pool)) < 1000, 'right before the jump');
  const realMs = Date.now();
  for (const jumpMs of [hourMs, -hourMs]) {
    mock.timers.enable({ apis: ['Date'], now: realMs + jumpMs });
    t.ok(Math.abs(Date.now() - realMs) >= hourMs, 'the process believes the jump');
    t.ok((await offByMs(clock.now, pool)) < 1000, `right after a jump by ${jumpMs} ms`);
    t.ok((await offByMs(openDatabaseClock(pool).now, pool)) < 1000, 'and when it is opened after the jump');
    mock.timers.reset();
  }
});

t.test('Postgres is asked for the time again only after 30 seconds, and by one of many callers', async (t) => {
  let asked = 0;
  const count = () => {
    asked += 1;
  };
  pool.on('acquire', count);
  t.teardown(() => pool.off('acquire', count));
  let laterMs = 0;
  const monotonicMs = performance.now.bind(performance);
  t.intercept(performance, 'now', { value: () => monotonicMs() + laterMs });

  const clock = openDatabaseClock(pool);
  await Promise.all(Array.from({ length: 10 }, () => clock.now()));
  t.equal(asked, 1);
  laterMs = 29_000;
  const before = await clock.now();
  t.equal(asked, 1, 'the measurement is carried forward');
  laterMs = 31_000;
  const after = await clock.now();
  t.equal(asked, 2, 'and taken anew when it is old');
  t.ok(before.getTime() - after.getTime() > 20_000, 'which corrects a process whose timer ran ahead');
});

t.test('a clock that cannot ask Postgres says so', async (t) => {
  const gone = openPostgres('postgres://127.0.0.1:1/none', () => {});
  t.teardown(() => gone.end());
  await t.rejects(openDatabaseClock(gone).now());
});
