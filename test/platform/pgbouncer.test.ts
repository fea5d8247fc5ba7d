import pg from 'pg';
import t from 'tap';
import { migrate } from '../../src/platform/migrations.ts';
import { openPostgres } from '../../src/platform/postgres.ts';
import { audit } from '../support/audit.ts';
import { type Created, checkout, complete, createBasket, openBasket, putItem } from '../support/journey.ts';
import { startPgBouncer } from '../support/pgbouncer.ts';
import { createDatabase, fromRunner } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

/** Fewer than the service opens, so that its connections take turns on them. */
const poolSize = 4;

const pgBouncer = await startPgBouncer(fromRunner('TEST_DIRECTORY'), fromRunner('TEST_POSTGRES_URL'), { poolSize });
const options = { skip: pgBouncer === null && 'pgbouncer is not installed' };
t.teardown(() => pgBouncer?.stop());

/** A database of its own for a test, as it is reached through PgBouncer. */
async function createDatabaseBehind(t: Parameters<typeof createDatabase>[0]): Promise<string> {
  const { pathname } = new URL(await createDatabase(t));
  return new URL(pathname, pgBouncer?.url).href;
}

t.test('behind PgBouncer in transaction mode a basket goes all the way, and time-outs hold', options, async (t) => {
  const databaseUrl = await createDatabaseBehind(t);
  const shop = await openShop(t, { config: { databaseUrl } });
  const { id } = await openBasket(shop, { customer: { id: 'cus-1' } });
  const { body } = await checkout(shop, id);
  const completed = await complete(shop, id, { orderId: 'order-1', leaseId: body.leaseId });
  t.match(completed, { status: 200, body: { basket: { status: 'completed' } } });
  await audit(shop.service.pool);

  const pool = openPostgres(databaseUrl, () => {});
  t.teardown(() => pool.end());
  const { rows } = await pool.query(`SELECT current_setting('lock_timeout') AS lock,
    current_setting('statement_timeout') AS statement, current_setting('idle_in_transaction_session_timeout') AS idle`);
  t.same(rows, [{ lock: '2s', statement: '4s', idle: '10s' }], 'the role has the settings that PgBouncer leaves out');
  await pool.query('SELECT $1::int', [1]);
  const prepared = await pool.query('SELECT name FROM pg_prepared_statements');
  t.same(prepared.rows, [], 'nothing is prepared in a connection that is shared');
});

t.test('behind PgBouncer of 64 who want the last unit at once one gets it', options, async (t) => {
  const databaseUrl = await createDatabaseBehind(t);
  const shop = await openShop(t, { config: { databaseUrl } });
  await putItem(shop, 'last', 1);
  const wanted = { items: [{ itemId: 'last', quantity: 1 }] };
  const answers = await Promise.all(
    Array.from({ length: 64 }, () => shop.backEnd.request<Created>('POST', '/v1/baskets', wanted)),
  );
  const statuses = answers.map(({ status }) => status).sort();
  t.same(statuses, [201, ...Array.from({ length: 63 }, () => 409)]);
  await audit(shop.service.pool);
});

t.test('behind PgBouncer more replicas than it has connections migrate one empty database', options, async (t) => {
  const databaseUrl = await createDatabaseBehind(t);
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  await client.end();
  const runs = await Promise.all(Array.from({ length: 3 * poolSize }, () => migrate(databaseUrl)));
  t.equal(runs.filter((names) => names.length > 0).length, 1, 'one of them ran the migrations');
});

t.test('a request that gets none of PgBouncer’s connections is answered 503 in time', options, async (t) => {
  const databaseUrl = await createDatabaseBehind(t);
  const shop = await openShop(t, { config: { databaseUrl } });
  await createBasket(shop);
  const holders = Array.from({ length: poolSize }, () => new pg.Client({ connectionString: databaseUrl }));
  for (const holder of holders) {
    await holder.connect();
    await holder.query('BEGIN');
  }
  const startedMs = performance.now();
  const items = [{ itemId: 'stalls', quantity: 1 }];
  const refused = await shop.backEnd.request('POST', '/v1/baskets', { items });
  t.match(refused, { status: 503, body: { code: 'unavailable' } });
  t.ok(refused.headers.has('retry-after'));
  t.ok(performance.now() - startedMs < 5000, 'within five seconds');
  for (const holder of holders) await holder.end();
  const created = await until('there are connections again', 5000, async () => {
    const { status } = await shop.backEnd.request('POST', '/v1/baskets', { items });
    return status === 201;
  });
  t.ok(created);
});
