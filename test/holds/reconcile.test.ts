import t, { type Test } from 'tap';
import { checkEpoch, reconcile } from '../../src/holds/index.ts';
import { doubtRedis } from '../../src/holds/store.ts';
import type { RedisConnection } from '../../src/platform/redis.ts';
import { createBasket } from '../support/journey.ts';
import { closedRedisUrl, countedRow, holdsIn, inspectRedis, linkUntil, partitionKeys } from '../support/redis.ts';
import { api, mintToken, startTestService } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { openStoppedShop } from '../support/stopped-shop.ts';
import { until } from '../support/until.ts';

const holdOf = (id: string) => `roxy/${id}`;

t.test('counts that are wrong are corrected by as much as they are wrong, and the drift is measured', async (t) => {
  const { keys, replica } = await openStoppedShop(t);
  const mine = await replica();
  await checkEpoch(mine);
  await keys.hset(partitionKeys.stock, 'roxy/item:stalls', '90 7 0 4');
  t.same(await reconcile(mine, 'all'), { driftUnits: 5 + 4 });
  t.equal(await countedRow(keys, 'item:stalls'), '100 2 0 0');
  t.match((await mine.metrics.drift.get()).values, [{ value: 9 }]);
  t.same(await reconcile(mine, 'all'), { driftUnits: 0 });
  t.match((await mine.metrics.drift.get()).values, [{ value: 0 }]);
});

t.test('a row that goes on being changed is corrected exactly', async (t) => {
  const { keys, pool, replica } = await openStoppedShop(t);
  const mine = await replica();
  await checkEpoch(mine);
  await keys.hset(partitionKeys.stock, 'roxy/item:stalls', '100 12 0 0');
  let going = true;
  let last = 2;
  // As creations do: Postgres first, then Redis, each hold told of a moment later.
  const traffic = (async () => {
    for (; going && last < 90; last += 1) {
      const basketId = `bkt_traffic${last}`;
      await pool.query(`UPDATE stock SET held = held + 1 WHERE stock_id = 'item:stalls'`);
      const takes = [{ stockId: 'item:stalls', quantity: 1 }];
      await mine.admission.settle([
        { shopId: 'roxy', basketId, takes, version: 1, link: linkUntil(new Date(Date.now() + 60_000)) },
      ]);
    }
  })();
  await reconcile(mine, [{ shopId: 'roxy', stockId: 'item:stalls' }]);
  going = false;
  await traffic;
  await reconcile(mine, [{ shopId: 'roxy', stockId: 'item:stalls' }]);
  const { rows } = await pool.query<{ held: number }>(`SELECT held FROM stock WHERE stock_id = 'item:stalls'`);
  t.equal(await countedRow(keys, 'item:stalls'), `100 ${rows[0]?.held} 0 0`);
});

t.test('holds are repaired basket by basket to what Postgres says of each', async (t) => {
  const { keys, pool, replica, baskets } = await openStoppedShop(t, { baskets: 5 });
  const mine = await replica();
  await checkEpoch(mine);
  const [lost, changed, completed, cancelled, sound] = baskets.map(({ id }) => id);
  if (!lost || !changed || !completed || !cancelled || !sound) throw new Error('five baskets were to be created');
  await keys.hdel(partitionKeys.holds, holdOf(lost));
  await pool.query(`UPDATE baskets SET version = 3, hold_quantities = '{4}' WHERE basket_id = $1`, [changed]);
  await pool.query(`UPDATE baskets SET status = 'completed', order_id = 'o' WHERE basket_id = $1`, [completed]);
  await pool.query(`UPDATE baskets SET status = 'cancelled' WHERE basket_id = $1`, [cancelled]);
  await pool.query(`UPDATE stock SET held = 6, sold = 1 WHERE stock_id = 'item:stalls'`);
  await keys.hset(partitionKeys.holds, holdOf('bkt_unknown'), 'held 1 item:stalls=2');
  await keys.hset(partitionKeys.holds, holdOf('bkt_under_way'), 'admitted 0 item:stalls=2');
  await keys.hset(partitionKeys.stock, 'roxy/item:stalls', '100 6 2 0');

  // Where the machine is too busy for Redis to answer in time, it is tried again, as the keeper does.
  await until('Redis is compared', 20_000, () => reconcile(mine, 'all'));
  t.same(await holdsIn(keys), {
    [holdOf(lost)]: 'held 1 item:stalls=1',
    [holdOf(changed)]: 'held 3 item:stalls=4',
    [holdOf(sound)]: 'held 1 item:stalls=1',
    [holdOf('bkt_under_way')]: 'admitted 0 item:stalls=2',
  });
  t.equal(await countedRow(keys, 'item:stalls'), '100 6 2 1');
});

t.test('holds that differ while the counts agree are repaired after a doubt', async (t) => {
  const { keys, pool, replica, baskets } = await openStoppedShop(t, { baskets: 2 });
  const mine = await replica();
  await checkEpoch(mine);
  const [missed, sound] = baskets.map(({ id }) => id);
  if (!missed || !sound) throw new Error('two baskets were to be created');
  await reconcile(mine, 'all');
  await keys.hdel(partitionKeys.holds, holdOf(missed));
  await keys.hset(partitionKeys.holds, holdOf('bkt_ended'), 'held 1 item:stalls=1');

  await doubtRedis(pool);
  t.same(await reconcile(mine, 'all'), { driftUnits: 0 });
  t.same(await holdsIn(keys), { [holdOf(missed)]: 'held 1 item:stalls=1', [holdOf(sound)]: 'held 1 item:stalls=1' });
  t.equal(await countedRow(keys, 'item:stalls'), '100 2 0 0');
});

/** Has the next answer to a script come too late: Redis has run it, and nobody knows. */
function loseNextAnswer(t: Test, redis: RedisConnection, scriptName: string): { lost(): boolean } {
  const run = redis.run.bind(redis);
  let lost = false;
  t.intercept(redis, 'run', {
    value: async (...request: Parameters<RedisConnection['run']>) => {
      const reply = await run(...request);
      if (lost || request[0].name !== scriptName) return reply;
      lost = true;
      return { known: false };
    },
  });
  return { lost: () => lost };
}

for (const scriptName of ['scan', 'holds', 'settle']) {
  t.test(`all holds are compared and repaired although one answer to ${scriptName} comes too late`, async (t) => {
    const { keys, pool, replica, baskets } = await openStoppedShop(t, { baskets: 2 });
    const mine = await replica();
    await checkEpoch(mine);
    await keys.hdel(partitionKeys.holds, holdOf(baskets[0]?.id ?? ''));
    await doubtRedis(pool);
    const answer = loseNextAnswer(t, mine.redis, scriptName);
    t.ok(await reconcile(mine, 'all'));
    t.ok(answer.lost());
    t.same(await holdsIn(keys), Object.fromEntries(baskets.map(({ id }) => [holdOf(id), 'held 1 item:stalls=1'])));
  });
}

for (const scriptName of ['load', 'fill']) {
  t.test(`Redis is built anew although one answer to ${scriptName} comes too late`, async (t) => {
    const { keys, replica, baskets } = await openStoppedShop(t, { baskets: 2 });
    const mine = await replica();
    await keys.del(partitionKeys.holds);
    const answer = loseNextAnswer(t, mine.redis, scriptName);
    t.equal(await checkEpoch(mine), 'rebuilt');
    t.ok(answer.lost());
    t.same(await holdsIn(keys), Object.fromEntries(baskets.map(({ id }) => [holdOf(id), 'held 1 item:stalls=1'])));
    t.equal(await countedRow(keys, 'item:stalls'), '100 2 0 0');
  });
}

t.test('who insists on an answer gives up when Redis is of another epoch by now', async (t) => {
  const { pool, replica } = await openStoppedShop(t);
  const [mine, other] = [await replica(), await replica()];
  await checkEpoch(mine);
  await doubtRedis(pool);
  const run = mine.redis.run.bind(mine.redis);
  t.intercept(mine.redis, 'run', {
    value: async (...request: Parameters<RedisConnection['run']>) => {
      if (request[0].name !== 'scan') return run(...request);
      t.intercept(mine.redis, 'run', { value: run });
      // As when the lock of the one has run out, and another has begun.
      await other.admission.reset(99);
      await pool.query('UPDATE service_state SET redis_epoch = 99');
      return { known: false };
    },
  });
  t.equal(await reconcile(mine, 'all'), null);
  t.equal(mine.admission.epoch(), 99, 'which it has adopted');
});

t.test(
  'what a replica did without Redis is found out by another within 15 seconds, though the counts agree',
  async (t) => {
    const shop = await openShop(t);
    const { databaseUrl } = shop.service.config;
    const keys = inspectRedis(t, shop.service.redisKeyPrefix);
    const apart = await startTestService(t, { databaseUrl, redisUrl: closedRedisUrl });
    const backEnd = api(apart.url, await mintToken({ shop: 'roxy', scope: 'baskets:write' }));
    const { id: ended } = await createBasket(shop);
    await until('Redis has its hold', 5000, () => keys.hget(partitionKeys.holds, holdOf(ended)));
    // Another replica ends it and makes one of the same size: what Redis counts is right all the time.
    const made = await createBasket(shop, {}, backEnd);
    await backEnd.request('POST', `/v1/baskets/${ended}/cancel`);
    const agreed = await until('Redis has what Postgres has', 15_000, async () => {
      const [gone, there] = await keys.hmget(partitionKeys.holds, holdOf(ended), holdOf(made.id));
      const row = await countedRow(keys, 'item:stalls');
      return gone === null && there !== null && row === '100 1 0 0';
    });
    t.ok(agreed);
  },
);

t.test('a row that Redis does not know is made known', async (t) => {
  const { keys, replica } = await openStoppedShop(t);
  const mine = await replica();
  await checkEpoch(mine);
  await keys.hdel(partitionKeys.stock, 'roxy/item:stalls');
  t.ok(await reconcile(mine, 'all'));
  t.equal(await countedRow(keys, 'item:stalls'), '100 2 0 0');
});

t.test('one replica repairs at a time', async (t) => {
  const { keys, replica } = await openStoppedShop(t);
  const [mine, other] = [await replica(), await replica()];
  await checkEpoch(mine);
  await checkEpoch(other);
  await keys.hset(partitionKeys.stock, 'roxy/item:stalls', '100 7 0 0');
  const both = await Promise.all([reconcile(mine, 'all'), reconcile(other, 'all')]);
  t.equal(both.filter((outcome) => outcome === null).length, 1);
  t.equal(await countedRow(keys, 'item:stalls'), '100 2 0 0', 'and nothing is corrected twice');
});
