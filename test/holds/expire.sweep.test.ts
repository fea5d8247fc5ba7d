import { Registry } from 'prom-client';
import t from 'tap';
import { holdMetrics, openAdmission, startSweeper } from '../../src/holds/index.ts';
import { openLogger } from '../../src/platform/logger.ts';
import { audit } from '../support/audit.ts';
import {
  createBasket,
  letBeSwept,
  letExpire,
  type ShownBasket,
  statusInRow,
  type TestShop,
} from '../support/journey.ts';
import { closedRedisUrl, countedRow, inspectRedis, openTestRedis, partitionKeys } from '../support/redis.ts';
import { startTestService } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

const { deadlines: deadlinesKey, holds: holdsKey } = partitionKeys;
const shop = await openShop(t);
const keys = inspectRedis(t, shop.service.redisKeyPrefix);
const counted = (itemId: string) => countedRow(keys, `item:${itemId}`);
const one = (itemId: string) => ({ items: [{ itemId, quantity: 1 }] });

/** Puts an item of which there is one. */
async function putLast(shop: TestShop, itemId: string): Promise<void> {
  await shop.owner.request('PUT', `/v1/items/${itemId}`, { name: itemId, price: 100, capacity: 1 });
}

/** Waits until Redis has heard of a creation, which it is told after the answer has left. */
async function settled({ id, expiresAt }: ShownBasket): Promise<void> {
  const deadline = String(Date.parse(expiresAt));
  await until(
    'the creation is settled',
    15_000,
    async () => (await keys.zscore(deadlinesKey, `roxy/${id}`)) === deadline,
  );
}

const setDeadline = { name: 'setDeadline', source: `return redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])` };

/** Lets a basket end this far from now, in Postgres and in Redis. */
async function endIn(shop: TestShop, basketId: string, ms: number): Promise<void> {
  const { admission } = shop.service;
  if (admission.epoch() !== null) {
    // Before it is due: its end would take the hold away.
    await until('the hold is known', 15_000, async () => {
      const holds = await admission.holdsBeside(shop.shopId);
      return holds?.some((hold) => hold.basketId === basketId && hold.state === 'held') ?? false;
    });
  }
  const { rows } = await shop.service.pool.query<{ expires_at: Date }>(
    `UPDATE baskets SET expires_at = now() + $2 * interval '1 millisecond' WHERE basket_id = $1 RETURNING expires_at`,
    [basketId, ms],
  );
  const deadline = rows[0]?.expires_at;
  if (deadline === undefined) throw new Error('there is no such basket');
  await shop.service.redis.run(setDeadline, [deadlinesKey], [deadline.getTime(), `roxy/${basketId}`]);
}

type Seen = { ended: boolean; late_ms: number };
async function see(shop: TestShop, basketId: string): Promise<Seen> {
  const { rows } = await shop.service.pool.query<Seen>(
    `SELECT status = 'expired' AS ended, (extract(epoch FROM clock_timestamp() - expires_at) * 1000)::float8 AS late_ms
     FROM baskets WHERE basket_id = $1`,
    [basketId],
  );
  return rows[0] ?? { ended: false, late_ms: 0 };
}

t.test('a basket ends never before its time by Postgres, and within two seconds after it', async (t) => {
  await putLast(shop, 'on-time');
  // One after the other: the sweep that asks Postgres alone comes every ten seconds and could not end all of them in time.
  for (const round of [1, 2, 3]) {
    const { id } = await createBasket(shop, one('on-time'));
    await endIn(shop, id, 400);
    const early: Seen[] = [];
    const ended = await until('the basket ends', 5000, async () => {
      const seen = await see(shop, id);
      if (seen.ended && seen.late_ms < 0) early.push(seen);
      return seen.ended && seen;
    });
    t.same(early, []);
    t.ok(ended.late_ms <= 2000, `round ${round}: ${ended.late_ms} ms late`);
  }
  t.same(await shop.availability('on-time'), { capacity: 1, held: 0, sold: 0, available: 1 });
  await audit(shop.service.pool);
});

t.test('a deadline in Redis that is too early ends nothing and is corrected to Postgres’ time', async (t) => {
  const basket = await createBasket(shop);
  const { id, expiresAt } = basket;
  await settled(basket);
  await keys.zadd(deadlinesKey, 1, `roxy/${id}`);
  await until('the deadline is Postgres’ time again', 15_000, async () => {
    return Number(await keys.zscore(deadlinesKey, `roxy/${id}`)) === Date.parse(expiresAt);
  });
  t.equal(await statusInRow(shop, id), 'open');
  await audit(shop.service.pool);
});

t.test('stock that was swept can be bought again, in Postgres and in Redis', async (t) => {
  await putLast(shop, 'again');
  const first = await createBasket(shop, one('again'));
  await letBeSwept(shop, first.id);
  await until('Redis has heard', 15_000, async () => (await counted('again')) === '1 0 0 0');
  t.equal(await keys.hexists(holdsKey, `roxy/${first.id}`), 0, 'its hold is forgotten');
  const next = await createBasket(shop, one('again'));
  t.equal(next.status, 'open');
  await audit(shop.service.pool);
});

t.test('a basket whose deadline Redis lost is ended all the same, and Redis hears of it', async (t) => {
  await putLast(shop, 'lost');
  const basket = await createBasket(shop, one('lost'));
  const { id } = basket;
  await settled(basket);
  await keys.zrem(deadlinesKey, `roxy/${id}`);
  await letExpire(shop, id);
  // A replica asks Postgres as soon as it starts, and every ten seconds from then on.
  await startTestService(t, { databaseUrl: shop.service.config.databaseUrl }, shop.service.redisKeyPrefix);
  await until('the basket is swept', 15_000, async () => (await statusInRow(shop, id)) === 'expired');
  await until('Redis has heard', 15_000, async () => (await counted('lost')) === '1 0 0 0');
  t.equal((await createBasket(shop, one('lost'))).status, 'open');
  await audit(shop.service.pool);
});

t.test('without Redis baskets end as well and their stock can be bought again', async (t) => {
  const shop = await openShop(t, { config: { redisUrl: closedRedisUrl } });
  await putLast(shop, 'alone');
  const { id } = await createBasket(shop, one('alone'));
  await letExpire(shop, id);
  await startTestService(t, { databaseUrl: shop.service.config.databaseUrl, redisUrl: closedRedisUrl });
  await until('the basket is swept', 15_000, async () => (await statusInRow(shop, id)) === 'expired');
  t.same(await shop.availability('alone'), { capacity: 1, held: 0, sold: 0, available: 1 });
  t.equal((await createBasket(shop, one('alone'))).status, 'open');
  await audit(shop.service.pool);
});

t.test('an admission whose commit never came is given back after its provisional time', async (t) => {
  await putLast(shop, 'orphan');
  const { admission } = shop.service;
  const orphan = { shopId: 'roxy', basketId: 'bkt_orphan', takes: [{ stockId: 'item:orphan', quantity: 1 }] };
  // Redis may be late on a busy machine; who is admitted twice is counted once.
  await until('it is admitted', 5000, async () => (await admission.admit(orphan)).outcome === 'admitted');
  t.equal(await counted('orphan'), '1 0 1 0');
  await keys.zadd(deadlinesKey, 1, 'roxy/bkt_orphan');
  await until('it is given back', 15_000, async () => (await counted('orphan')) === '1 0 0 0');
  t.equal(await keys.hexists(holdsKey, 'roxy/bkt_orphan'), 0);
  t.equal(await keys.zscore(deadlinesKey, 'roxy/bkt_orphan'), null);
});

t.test('a completed basket of which Redis never heard the sale keeps its stock taken there', async (t) => {
  await putLast(shop, 'sold');
  const basket = await createBasket(shop, one('sold'));
  const { id } = basket;
  await settled(basket);
  await shop.service.pool.query(
    `WITH b AS (UPDATE baskets SET status = 'completed', order_id = 'order-1', sequence = 2, version = 2 WHERE basket_id = $1)
     UPDATE stock SET held = 0, sold = 1 WHERE stock_id = 'item:sold'`,
    [id],
  );
  await keys.zadd(deadlinesKey, 1, `roxy/${id}`);
  await until(
    'its deadline is forgotten',
    15_000,
    async () => (await keys.zscore(deadlinesKey, `roxy/${id}`)) === null,
  );
  t.equal(await counted('sold'), '1 0 0 1');
});

t.test('a basket that cannot be ended does not keep the others from being ended', async (t) => {
  for (const redis of [{}, { redisUrl: closedRedisUrl }]) {
    const shop = await openShop(t, { config: redis });
    await putLast(shop, 'last');
    const sound = [await createBasket(shop)];
    const broken = await createBasket(shop, one('last'));
    sound.push(await createBasket(shop));
    // Its row says more than its stock row does, so that giving it back is refused by the database.
    await shop.service.pool.query(`UPDATE stock SET held = 0 WHERE stock_id = 'item:last'`);
    for (const { id } of [...sound, broken]) await endIn(shop, id, -1);
    await startTestService(t, { databaseUrl: shop.service.config.databaseUrl, ...redis }, shop.service.redisKeyPrefix);
    for (const { id } of sound) {
      await until('the basket is swept', 15_000, async () => (await statusInRow(shop, id)) === 'expired');
    }
    t.equal(await statusInRow(shop, broken.id), 'open');
    t.same(await shop.availability('stalls'), { capacity: 100, held: 0, sold: 0, available: 100 });
  }
});

t.test('whoever sends changes on is woken when a basket expires, named by Redis or by Postgres', async (t) => {
  for (const from of ['Redis', 'Postgres']) {
    const shop = await openShop(t);
    const { pool, redisKeyPrefix } = shop.service;
    const epoch = shop.service.admission.epoch();
    const { id } = await createBasket(shop);
    await shop.service.stop();
    await pool.query(`UPDATE baskets SET expires_at = now() - interval '1 second' WHERE basket_id = $1`, [id]);
    const { connection } = openTestRedis(t, { keyPrefix: redisKeyPrefix });
    await until('Redis answers', 5000, connection.ping);
    const admission = openAdmission(connection);
    if (from === 'Redis') {
      admission.adopt(epoch);
      await admission.remind([{ shopId: shop.shopId, basketId: id, deadline: new Date(0) }]);
    }
    await new Promise<void>((woken) => {
      const deps = { pool, admission, logger: openLogger('silent'), metrics: holdMetrics(new Registry()) };
      const sweeper = startSweeper({ ...deps, onExpired: woken }, async () => {});
      t.teardown(sweeper.stop);
    });
    t.equal(await statusInRow(shop, id), 'expired', `named by ${from}`);
  }
});
