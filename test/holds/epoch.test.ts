import t from 'tap';
import { checkEpoch } from '../../src/holds/index.ts';
import { contentsOfRedis, countedRow, partitionKeys } from '../support/redis.ts';
import { redisEpoch } from '../support/redis-copy.ts';
import { openStoppedShop } from '../support/stopped-shop.ts';
import { until } from '../support/until.ts';

const allKeys = Object.values(partitionKeys);

t.test('a Redis that is what Postgres knows of it is used as it is', async (t) => {
  const { keys, pool, replica } = await openStoppedShop(t);
  const before = { redis: await contentsOfRedis(keys), epoch: await redisEpoch(pool) };
  const mine = await replica();
  t.equal(await checkEpoch(mine), 'current');
  t.equal(mine.admission.epoch(), before.epoch);
  t.same({ redis: await contentsOfRedis(keys), epoch: await redisEpoch(pool) }, before);
});

for (const lost of allKeys) {
  t.test(`a partition that has lost its ${lost} is built anew, in a higher epoch`, async (t) => {
    const { keys, pool, replica, baskets } = await openStoppedShop(t);
    const [epoch, before] = [await redisEpoch(pool), await keys.hgetall(partitionKeys.holds)];
    await keys.del(lost);
    const mine = await replica();
    t.equal(await checkEpoch(mine), 'rebuilt');
    t.equal(await redisEpoch(pool), epoch + 1);
    t.equal(mine.admission.epoch(), epoch + 1);
    t.same(await keys.hgetall(partitionKeys.holds), { ...before, '@epoch': String(epoch + 1) });
    t.equal(await countedRow(keys, 'item:stalls'), '100 2 0 0');
    for (const { id, expiresAt } of baskets) {
      t.equal(await keys.zscore(partitionKeys.deadlines, `roxy/${id}`), String(Date.parse(expiresAt)));
    }
    t.equal(await checkEpoch(mine), 'current');
  });
}

t.test('of many replicas that find Redis lost, one builds it anew, and all use it then', async (t) => {
  const { keys, pool, replica } = await openStoppedShop(t);
  const epoch = await redisEpoch(pool);
  const replicas = await Promise.all([replica(), replica(), replica(), replica()]);
  await keys.del(...allKeys);
  const found = await Promise.all(replicas.map(checkEpoch));
  t.equal(found.filter((outcome) => outcome === 'rebuilt').length, 1);
  for (const each of replicas) {
    await until('it is used', 5000, async () => (await checkEpoch(each)) === 'current');
    t.equal(each.admission.epoch(), epoch + 1);
  }
  t.equal(await redisEpoch(pool), epoch + 1);
});

t.test('a copy that was left half built is built by the next, and admits nobody before', async (t) => {
  const { keys, replica } = await openStoppedShop(t);
  const mine = await replica();
  t.equal(await checkEpoch(mine), 'current');
  await keys.hdel(partitionKeys.stock, '@ready');
  const hold = { shopId: 'roxy', basketId: 'bkt_new', takes: [{ stockId: 'item:stalls', quantity: 1 }] };
  t.same(await mine.admission.admit(hold), { outcome: 'unreachable' });
  t.equal(await checkEpoch(mine), 'rebuilt');
  t.same(await mine.admission.admit(hold), { outcome: 'admitted' });
});

t.test('a server that was left for another is not used while that one is, and is used when it is not', async (t) => {
  const { pool, replica } = await openStoppedShop(t);
  await pool.query(`UPDATE service_state SET redis_former = redis_servers, redis_servers = array_fill('another'::text, '{16}'),
    redis_epoch = redis_epoch + 1, redis_ticked_at = now()`);
  const [mine, epoch] = [await replica(), await redisEpoch(pool)];
  t.equal(await checkEpoch(mine), 'elsewhere');
  t.equal(mine.admission.epoch(), null);
  t.equal(await redisEpoch(pool), epoch);
  await pool.query(`UPDATE service_state SET redis_ticked_at = now() - interval '31 seconds'`);
  t.equal(await checkEpoch(mine), 'rebuilt');
});

t.test('a Redis that is newer than Postgres is not trusted: Postgres has come back from a backup', async (t) => {
  const { keys, pool, replica } = await openStoppedShop(t);
  const epoch = await redisEpoch(pool);
  await keys.hset(partitionKeys.stock, '@tick', '1000000');
  await keys.hset(partitionKeys.holds, 'roxy/bkt_newer', 'held 7 item:stalls=3');
  t.equal(await checkEpoch(await replica()), 'rebuilt');
  t.equal(await keys.hexists(partitionKeys.holds, 'roxy/bkt_newer'), 0);
  for (const key of [partitionKeys.holds, partitionKeys.stock]) await keys.hset(key, '@epoch', String(epoch + 50));
  t.equal(await checkEpoch(await replica()), 'rebuilt');
  t.equal(await redisEpoch(pool), epoch + 51, 'above what Redis was at');
});

t.test('without Redis nothing is adopted and nothing raised', async (t) => {
  const { pool, replica } = await openStoppedShop(t);
  const [mine, epoch] = [await replica(), await redisEpoch(pool)];
  t.equal(await checkEpoch(mine), 'current');
  await mine.redis.close();
  t.equal(await checkEpoch(mine), 'unreachable');
  t.equal(mine.admission.epoch(), null);
  t.equal(await redisEpoch(pool), epoch);
});
