import t, { type Test } from 'tap';
import { signId } from '../../bench/floors/signature.ts';
import { startFloor } from '../../bench/processes.ts';
import { itemIds, linkedIds, soldOutIds } from '../../bench/scenarios/catalogue.ts';
import type { FloorName } from '../../bench/scenarios/scenario.ts';
import { asPostgres, asRedis } from '../../bench/servers.ts';
import { startRedisServer } from '../support/servers.ts';
import { asTester, createDatabase, fromRunner } from '../support/service.ts';

const requests = 20;
const numbers = Array.from({ length: requests }, (_, at) => at);
const lines = (ids: readonly (string | undefined)[]) => ({ items: ids.map((itemId) => ({ itemId, quantity: 2 })) });

/** A Postgres that is not the tests' own does not count what is executed. */
const skip = process.env.TEST_DATABASE_URL === undefined ? false : 'only the embedded Postgres counts statements';

t.test('a floor does for each request what its name says, and no more', { skip }, async (t) => {
  await Promise.all([
    t.test('script: one script, which takes all lines or none', async (t) => {
      const floor = await openFloor(t, 'script');
      const wanted = lines(itemIds.slice(0, 3));
      for (const _ of numbers) t.equal(await floor.call('POST', '/v1/baskets', wanted), 201);
      for (const _ of numbers) {
        t.equal(await floor.call('POST', '/v1/baskets', lines([itemIds[0], soldOutIds[0]])), 409);
      }
      t.equal(await floor.scripts(), 2 * requests);
      const left = await asRedis(floor.redisUrl, (redis) => redis.hmget('floor:stock', ...itemIds.slice(0, 3)));
      t.strictSame(left, Array(3).fill(String(1_000_000_000 - 2 * requests)));
      t.strictSame(await floor.statements('INSERT', 'BEGIN'), { INSERT: 0, BEGIN: 0 });
    }),
    t.test('script-and-insert: one script, and one row in a transaction of its own', async (t) => {
      const floor = await openFloor(t, 'script-and-insert');
      for (const at of numbers) t.equal(await floor.call('POST', '/v1/baskets', lines([itemIds[at]])), 201);
      t.equal(await floor.scripts(), requests);
      t.strictSame(await floor.statements('INSERT', 'BEGIN'), { INSERT: requests, BEGIN: 0 });
      t.equal(await floor.count('floor_baskets'), requests);
    }),
    t.test('transaction: two statements between BEGIN and COMMIT', async (t) => {
      const floor = await openFloor(t, 'transaction');
      await asPostgres(floor.databaseUrl, (client) =>
        client.query(`WITH made AS (SELECT generate_series(0, ${requests - 1})::text AS id)
          INSERT INTO floor_baskets SELECT id, 'activated' FROM made`),
      );
      for (const at of numbers) {
        t.equal(await floor.call('POST', `/v1/baskets/${at}/complete`, { orderId: `order-${at}` }), 200);
      }
      t.equal(await floor.call('POST', '/v1/baskets/0/complete', { orderId: 'another' }), 409, 'only once');
      t.equal(await floor.scripts(), 0);
      t.strictSame(await floor.statements('BEGIN', 'UPDATE', 'INSERT', 'COMMIT'), {
        ...{ BEGIN: requests + 1, UPDATE: requests + 1 },
        ...{ INSERT: requests, COMMIT: requests },
      });
      t.equal(await floor.count('floor_orders'), requests);
    }),
    t.test('signature-and-script: one script, for a token whose signature is right', async (t) => {
      const floor = await openFloor(t, 'signature-and-script');
      for (const at of numbers) t.equal(await floor.call('GET', `/b/${signId(linkedIds[at] ?? '')}`), 302);
      t.equal(await floor.call('GET', `/b/${linkedIds[0]}.${signId('another').split('.')[1]}`), 410, 'not of another');
      t.equal(await floor.scripts(), requests, 'and none for another token');
    }),
  ]);
});

/** Starts a floor and gives how to call it, and what it has asked of Redis and Postgres since it was started. */
async function openFloor(t: Test, name: FloorName) {
  const databaseUrl = asTester(await createDatabase(t));
  const { url: redisUrl } = await startRedisServer(t);
  const { signal } = new AbortController();
  const around = { databaseUrl, redisUrl, directory: fromRunner('TEST_DIRECTORY'), signal };
  const floor = await startFloor(name, around);
  t.teardown(floor.stop);
  await asRedis(redisUrl, (redis) => redis.config('RESETSTAT'));
  await asPostgres(databaseUrl, (client) => client.query('CREATE EXTENSION pg_stat_statements'));
  return {
    databaseUrl,
    redisUrl,
    async call(method: string, path: string, body?: object): Promise<number> {
      const content = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
      return (await fetch(floor.url + path, { method, redirect: 'manual', ...content })).status;
    },
    /** How many scripts have run: one that Redis does not know by its hash is sent once more, as a whole. */
    async scripts(): Promise<number> {
      const stats = await asRedis(redisUrl, (redis) => redis.info('commandstats'));
      const count = (pattern: RegExp) => Number(pattern.exec(stats)?.[1] ?? 0);
      const unknown = count(/^cmdstat_evalsha:.*failed_calls=(\d+)/m);
      return count(/^cmdstat_evalsha:calls=(\d+)/m) + count(/^cmdstat_eval:calls=(\d+)/m) - unknown;
    },
    /** How often statements were executed on its database, by their first word. */
    statements: (...words: string[]) =>
      asPostgres(databaseUrl, async (client) => {
        const { rows } = await client.query<{ word: string; calls: number }>(
          `SELECT split_part(query, ' ', 1) AS word, sum(calls)::int AS calls FROM pg_stat_statements
           WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) GROUP BY word`,
        );
        return Object.fromEntries(words.map((word) => [word, rows.find((row) => row.word === word)?.calls ?? 0]));
      }),
    count: (table: string) =>
      asPostgres(databaseUrl, async (client) => {
        const { rows } = await client.query<{ rows: number }>(`SELECT count(*)::int AS rows FROM ${table}`);
        return rows[0]?.rows;
      }),
  };
}
