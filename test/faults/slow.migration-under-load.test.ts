import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { fault } from '../support/fault.ts';
import type { Created, ShownProblem } from '../support/journey.ts';
import { type Alteration, migrateAltered } from '../support/replica.ts';
import { asTester } from '../support/service.ts';
import { accountFor, openShopOnReplicas } from '../support/shop-on-replicas.ts';
import { until } from '../support/until.ts';

const items = [{ itemId: 'stalls', quantity: 1 }];
/** For how long nobody may wait for a lock. */
const longestWaitMs = 1000;
const reportMs = 3000;

/** The next build: a column with a default, and an index on it. */
const nextBuild: Alteration = {
  file: 'migrations/9000_favourite-colour.sql',
  find: '',
  replace: `ALTER TABLE baskets ADD COLUMN favourite_colour text NOT NULL DEFAULT 'red';
CREATE INDEX baskets_by_colour ON baskets (shop_id, favourite_colour);
`,
};

fault({
  id: 'F23',
  fault: 'a migration under load',
  how: 'a column and an index are added while four clients buy, old and new replicas serve and a report keeps the baskets for 3 s',
  control: {
    what: 'the migration waits for the table as long as it takes',
    altered: [{ file: 'src/platform/migrations.ts', find: ', lock_timeout: lockTimeoutMs', replace: '' }],
  },
  async run(t, { altered }) {
    const shop = await openShopOnReplicas(t);
    const { pool } = shop.service;
    const urls = shop.replicas.map(({ url }) => url);
    const created: string[] = [];
    const violations: string[] = [];
    let working = true;

    async function buy(): Promise<void> {
      for (let at = 0; working; at += 1) {
        const client = await shop.at(urls[at % urls.length] ?? '', 'baskets:write');
        const answer = await client.request<Created & ShownProblem>('POST', '/v1/baskets', { items });
        if (answer.status === 201) created.push(answer.body.id);
        if (answer.status >= 500) violations.push(`a creation was answered ${answer.text}`);
        if (answer.status !== 201) continue;
        const cancelled = await client.request('POST', `/v1/baskets/${answer.body.id}/cancel`);
        if (cancelled.status !== 200) violations.push(`a cancellation was answered ${cancelled.text}`);
      }
    }
    async function watchLocks(): Promise<void> {
      while (working) {
        const { rows } = await pool.query<{ query: string; ms: number }>(
          `SELECT query, (extract(epoch FROM clock_timestamp() - query_start) * 1000)::float8 AS ms
           FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        const late = rows.find(({ ms }) => ms > longestWaitMs);
        if (late) violations.push(`${late.query.slice(0, 60)} waited ${late.ms} ms for a lock`);
        await delay(50);
      }
    }
    const clients = Promise.all([buy(), buy(), buy(), buy(), watchLocks()]);
    await until('baskets are bought', 10_000, async () => created.length > 20);

    const report = new pg.Client({ connectionString: asTester(shop.databaseUrl) });
    await report.connect();
    await report.query('BEGIN');
    await report.query('SELECT count(*) FROM baskets');
    const migrating = migrateAltered(t, shop.databaseUrl, [nextBuild, ...altered]);
    await until('the migration waits for the report', 30_000, async () => {
      const { rowCount } = await pool.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
         AND query LIKE '%ADD COLUMN favourite_colour%'`,
      );
      return rowCount === 1;
    });
    await delay(reportMs);
    await report.query('COMMIT');
    await report.end();
    await migrating;
    urls.push((await shop.start({ altered: [nextBuild] })).url);
    const before = created.length;
    await until('both builds serve', 10_000, async () => created.length > before + 100);
    working = false;
    await clients;
    return accountFor(pool, created, violations);
  },
});
