import { readdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import t from 'tap';
import { migrate } from '../../src/platform/migrations.ts';
import { asTester, createDatabase, startTestService } from '../support/service.ts';
import { until } from '../support/until.ts';

const files = (await readdir(new URL('../../migrations', import.meta.url))).filter((name) => name.endsWith('.sql'));
const names = files.map((name) => name.replace(/\.sql$/, '')).sort();
const latest = Math.max(...names.map((name) => Number.parseInt(name, 10)));

t.test('twenty replicas that migrate one empty database at once all succeed and run each migration once', async (t) => {
  const url = await createDatabase(t);
  await query(url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  const runs = await Promise.all(Array.from({ length: 20 }, () => migrate(url)));
  t.same(runs.flat().sort(), names, 'each was run by one of them');
  const applied = await query(url, 'SELECT name FROM migrations ORDER BY name');
  t.same(
    applied.map(({ name }) => name),
    names,
  );
});

t.test('an index that is built concurrently is whole, also when an earlier try was interrupted', async (t) => {
  const url = await createDatabase(t);
  // Migrations run in their order: those after it are undone, too.
  const undone = names.filter((name) => name >= '0017');
  await query(
    url,
    `DELETE FROM migrations WHERE name >= '0017'; DROP TABLE tebex_dynamic_packages;
     ALTER TABLE service_state DROP COLUMN redis_told; ALTER TABLE outbox DROP COLUMN traceparent`,
  );
  // What Postgres leaves of a try that was interrupted.
  await query(url, `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'outbox_by_transaction'::regclass`);
  // Whoever has the table meanwhile goes on, and it waits for them as long as they take.
  const reader = new pg.Client({ connectionString: asTester(url) });
  await reader.connect();
  await reader.query('BEGIN');
  await reader.query('LOCK TABLE outbox IN ROW EXCLUSIVE MODE');
  const migrating = migrate(url);
  await until('it waits', 10_000, async () => {
    const waiting = await query(
      url,
      `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%CONCURRENTLY%'`,
    );
    return waiting.length > 0;
  });
  await delay(1000);
  const written = await reader.query('UPDATE outbox SET sequence = sequence');
  t.equal(written.rowCount, 0, 'others write without waiting');
  await reader.query('COMMIT');
  await reader.end();
  t.same(await migrating, undone);
  const [index] = await query(
    url,
    `SELECT indisvalid FROM pg_index WHERE indexrelid = 'outbox_by_transaction'::regclass`,
  );
  t.same(index, { indisvalid: true });
});

t.test('a build that is too old for the schema neither migrates nor serves', async (t) => {
  const databaseUrl = await createDatabase(t);
  await query(databaseUrl, `UPDATE service_state SET oldest_usable_build = ${latest + 1}`);
  await t.rejects(migrate(databaseUrl), { message: new RegExp(`migration ${latest + 1} or later`) });
  await t.rejects(startTestService(t, { databaseUrl }), { message: new RegExp(`migration ${latest + 1} or later`) });
});

t.test('a newer database that names an older build as the oldest usable one is served', async (t) => {
  const databaseUrl = await createDatabase(t);
  await query(databaseUrl, `INSERT INTO migrations (name, run_on) VALUES ('${latest + 1}_from-the-future', now())`);
  const { url } = await startTestService(t, { databaseUrl });
  t.equal((await fetch(`${url}/health/ready`)).status, 200);
});

t.test('a database that lacks migrations is not served', async (t) => {
  const databaseUrl = await createDatabase(t);
  await query(databaseUrl, `DELETE FROM migrations WHERE name = '${names.at(-1)}'`);
  await t.rejects(startTestService(t, { databaseUrl }), { message: /npm run migrate/ }, 'one is missing');
  await query(databaseUrl, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  await t.rejects(startTestService(t, { databaseUrl }), { message: /npm run migrate/ }, 'all are missing');
});

async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: asTester(url) });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}
