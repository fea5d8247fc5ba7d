import pg from 'pg';
import t from 'tap';
import { runPrune } from '../../src/cli/prune.ts';
import { audit } from '../support/audit.ts';
import { addCrowd } from '../support/crowd.ts';
import { complete, createBasket, letBeSwept, openBasket, pressLink, redeem } from '../support/journey.ts';
import { cancel } from '../support/races.ts';
import { asTester } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';
import { until } from '../support/until.ts';

const shop = await openShop(t, { settings: { basket: { maxLiveBasketsPerCustomer: null } } });
const { pool, config } = shop.service;
const olderThanDays = 40;

async function prune(options: { dryRun?: boolean } = {}): Promise<string | undefined> {
  const lines: string[] = [];
  const wanted = { olderThanDays: String(olderThanDays), dryRun: false, ...options };
  await runPrune({ DATABASE_URL: config.databaseUrl }, wanted, (line) => lines.push(line));
  return lines.at(-1);
}

const removed = (baskets: number, keys = 0, tokens = 0) =>
  `Removed: ${baskets} baskets, ${keys} idempotency keys, ${tokens} spent confirmation tokens.`;

/** Lets what has happened to baskets have happened so many days before. */
async function age(basketIds: string[], days: number): Promise<void> {
  const by = [basketIds, days];
  await pool.query(
    `UPDATE baskets SET created_at = created_at - $2 * interval '1 day', updated_at = updated_at - $2 * interval '1 day',
       ended_at = ended_at - $2 * interval '1 day' WHERE basket_id = ANY($1)`,
    by,
  );
  await pool.query(`UPDATE outbox SET created_at = created_at - $2 * interval '1 day' WHERE subject_id = ANY($1)`, by);
}

/** A basket that was cancelled so many days ago. */
async function cancelled(days: number, body: object = {}): Promise<string> {
  const { id } = await createBasket(shop, body);
  const { status, text } = await cancel(shop, id);
  if (status !== 200) throw new Error(text);
  await age([id], days);
  return id;
}

/** How many rows of each table tell of a basket. */
async function rowsOf(basketId: string): Promise<Record<string, number>> {
  const { rows } = await pool.query<{ name: string; count: number }>(
    `SELECT 'baskets' AS name, count(*) FROM baskets WHERE basket_id = $1
     UNION ALL SELECT 'outbox', count(*) FROM outbox WHERE subject_id = $1
     UNION ALL SELECT 'openings', count(*) FROM link_openings WHERE basket_id = $1
     UNION ALL SELECT 'packages', count(*) FROM tebex_dynamic_packages WHERE basket_id = $1`,
    [basketId],
  );
  return Object.fromEntries(rows.map(({ name, count }) => [name, count]));
}

const isThere = async (basketId: string) => (await rowsOf(basketId)).baskets === 1;
const gone = { baskets: 0, outbox: 0, openings: 0, packages: 0 };

t.afterEach(() => audit(pool));

t.test(
  'baskets that came to nothing go with all that is kept of them alone, and a dry run leaves all of it',
  async (t) => {
    const { id: expired, startBasketUrl } = await createBasket(shop);
    await letBeSwept(shop, expired);
    await age([expired], olderThanDays + 1);
    const old = [expired, await cancelled(olderThanDays + 1)];
    await pool.query(
      `INSERT INTO link_openings SELECT shop_id, basket_id, 'person', 2, now(), now() FROM baskets WHERE basket_id = ANY($1)`,
      [old],
    );
    await pool.query(
      `INSERT INTO tebex_dynamic_packages SELECT shop_id, basket_id, 'own', 'dynamic-1', 'none', 0, '{}' FROM baskets
     WHERE basket_id = ANY($1)`,
      [old],
    );
    t.equal(await prune({ dryRun: true }), removed(2).replace('Removed', 'To be removed'));
    for (const id of old) t.same(await rowsOf(id), { baskets: 1, outbox: 2, openings: 1, packages: 1 });
    t.equal(await prune(), removed(2));
    for (const id of old) t.same(await rowsOf(id), gone);
    t.equal((await shop.backEnd.request('GET', `/v1/baskets/${expired}`)).status, 404);
    const link = await fetch(startBasketUrl, { headers: { accept: 'application/json' } });
    t.match(
      await link.json(),
      { status: 410, code: 'basket_expired' },
      'whoever still has its link is told that it is over',
    );
  },
);

t.test('what is in use, younger, or was paid for stays as it is', async (t) => {
  const { id: live } = await createBasket(shop);
  const younger = await cancelled(olderThanDays - 1);
  const { id: completed } = await openBasket(shop);
  t.equal((await complete(shop, completed, { orderId: 'order-1' })).status, 200);
  await age([live, completed], olderThanDays + 1);
  const { id: refused } = await openBasket(shop);
  await cancel(shop, refused);
  t.equal((await complete(shop, refused, { orderId: 'order-2' })).body.code, 'basket_cancelled');
  await age([refused], olderThanDays + 1);
  const stay = [live, younger, completed, refused];
  t.equal(await prune(), removed(0));
  for (const id of stay) t.ok(await isThere(id));
  const again = await complete(shop, completed, { orderId: 'order-1' });
  t.equal(again.status, 200, 'the same order is answered again');
  t.equal((await complete(shop, refused, { orderId: 'order-2' })).body.code, 'basket_cancelled');
});

t.test('one whose link could still be opened, or that somebody works on, stays until that is over', async (t) => {
  const linked = await cancelled(olderThanDays + 1, { reserve: 'activation' });
  const locked = await cancelled(olderThanDays + 1);
  const other = new pg.Client({ connectionString: asTester(config.databaseUrl) });
  await other.connect();
  await other.query('BEGIN');
  await other.query('SELECT FROM baskets WHERE basket_id = $1 FOR UPDATE', [locked]);
  t.equal(await prune(), removed(0));
  await other.query('COMMIT');
  await other.end();
  t.equal(await prune(), removed(1), 'it is let go');
  t.ok(await isThere(linked));
  await pool.query(`UPDATE baskets SET link_expires_at = link_expires_at - interval '60 days' WHERE basket_id = $1`, [
    linked,
  ]);
  t.equal(await prune(), removed(1), 'its link has ended');
});

t.test('a basket that a webhook is still to be told of stays', async (t) => {
  const webhook = async (basketId: string) => {
    const { rows } = await pool.query<{ number: number }>(
      `INSERT INTO webhooks (shop_id, webhook_id, url, types, format, sealed_secret, seen, disabled_at, disabled_reason)
       SELECT shop_id, basket_id, 'https://receiver.example/', '{basket.refunded}', 'standard', '', '3:3:', now(), 'gone'
       FROM baskets WHERE basket_id = $1 RETURNING webhook_number AS number`,
      [basketId],
    );
    return rows[0]?.number;
  };
  const set = (number: number | undefined, change: string) =>
    pool.query(`UPDATE webhooks SET ${change} WHERE webhook_number = $1`, [number]);
  const failed = await cancelled(olderThanDays + 1);
  const ofFailed = await webhook(failed);
  await pool.query(
    `INSERT INTO deliveries (shop_id, webhook_number, delivery_id, subject_id, sequence, type, change_number, status)
     SELECT shop_id, $2, 'dlv_' || subject_id, subject_id, sequence, type, change_number, 'failed' FROM outbox
     WHERE subject_id = $1 AND sequence = 2`,
    [failed, ofFailed],
  );
  t.equal(await prune(), removed(0), 'a delivery that failed can be asked for again');
  await pool.query('DELETE FROM deliveries WHERE subject_id = $1', [failed]);
  // Held by its lock, the relay of the service does not give it what it has not seen.
  const relay = new pg.Client({ connectionString: asTester(config.databaseUrl) });
  await relay.connect();
  await relay.query('BEGIN');
  await relay.query('LOCK TABLE deliveries IN EXCLUSIVE MODE');
  await set(ofFailed, 'disabled_at = NULL, disabled_reason = NULL');
  t.equal(await prune(), removed(0), 'it has not seen the changes');
  await set(ofFailed, 'seen = pg_current_snapshot()');
  t.equal(await prune(), removed(1), 'it has');
  await relay.query('COMMIT');
  await relay.end();
});

t.test('keys of idempotency go after seven days, spent confirmation tokens with the baskets', async (t) => {
  const body = { items: [{ itemId: 'stalls', quantity: 1 }] };
  const create = (key: string) => shop.backEnd.request('POST', '/v1/baskets', body, { 'idempotency-key': key });
  await create('old');
  await pool.query(`UPDATE idempotency_keys SET created_at = now() - interval '169 hours'`);
  await create('young');
  await pool.query(`UPDATE idempotency_keys SET created_at = created_at - interval '167 hours'
    WHERE created_at > now() - interval '1 hour'`);
  await pool.query(
    `INSERT INTO spent_confirmations SELECT 'roxy', decode(md5(n::text), 'hex'), now() - n * interval '1 day'
     FROM generate_series(1, 2500) n`,
  );
  t.equal(await prune(), removed(0, 1, 2500 - olderThanDays + 1));
  const { rows } = await pool.query(
    `SELECT (SELECT count(*) FROM idempotency_keys) AS keys, min(spent_at) > now() - interval '40 days' AS young
     FROM spent_confirmations`,
  );
  t.same(rows, [{ keys: 1, young: true }]);
  t.equal((await create('young')).headers.get('idempotent-replayed'), 'true');
});

t.test('several prunes beside a service at work remove every basket once, of every shop', async (t) => {
  const platform = await shop.withScope('platform');
  await platform.request('PUT', '/v1/shops/other', shopSettings);
  const template = await cancelled(olderThanDays + 1);
  await addCrowd(pool, template, 450, new Date());
  await pool.query(`UPDATE stock SET held = 0 WHERE stock_id LIKE 'item:crowd-%'`);
  await age([template], 0);
  await pool.query(`UPDATE outbox SET created_at = now() - interval '90 days' WHERE subject_id LIKE 'bkt_crowd%'`);
  await pool.query(`UPDATE outbox SET shop_id = 'other' WHERE subject_id ~ '^bkt_crowd.*7$'`);
  await pool.query(`UPDATE baskets SET shop_id = 'other' WHERE basket_id ~ '^bkt_crowd.*7$'`);
  const working = (async () => {
    for (let at = 0; at < 20; at += 1) await cancel(shop, (await createBasket(shop)).id);
  })();
  const said = await Promise.all([prune(), prune(), prune()]);
  await working;
  const counts = said.map((line) => Number(/^Removed: (\d+) /.exec(line ?? '')?.[1]));
  t.equal(
    counts.reduce((sum, count) => sum + count, 0),
    451,
  );
  const { rows } = await pool.query(`SELECT FROM outbox WHERE subject_id LIKE 'bkt_crowd%'`);
  t.equal(rows.length, 0);
});

t.test('a redemption of a basket that is removed meanwhile says that it is over', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop, { customer: { id: 'cus-7' } });
  const token = await pressLink(startBasketUrl);
  await cancel(shop, id);
  await age([id], olderThanDays + 1);
  const other = new pg.Client({ connectionString: asTester(config.databaseUrl) });
  await other.connect();
  await other.query('BEGIN');
  await other.query(`SELECT pg_advisory_xact_lock(hashtextextended('roxy/cus-7', 0))`);
  const redeeming = redeem(shop, token);
  await until('it has read the basket, and waits for the customer', 5000, async () => {
    const { rowCount } = await pool.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'`,
    );
    return rowCount === 1;
  });
  t.equal(await prune(), removed(1));
  await other.query('COMMIT');
  await other.end();
  t.match(await redeeming, { status: 410, body: { code: 'basket_expired' } });
});

t.test('what is no number of days, or too few, is refused with the reason', async (t) => {
  for (const olderThanDays of [undefined, '30', '', '4e1', '-50', '99999999']) {
    const wanted = { olderThanDays, dryRun: false };
    const pruned = runPrune({ DATABASE_URL: config.databaseUrl }, wanted, () => {});
    await t.rejects(pruned, { message: /--older-than-days is not a number from 31 to/ }, olderThanDays ?? 'none');
  }
});
