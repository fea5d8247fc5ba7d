import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { type Admission, openAdmission } from '../../src/holds/index.ts';
import { closedRedisUrl, contentsOfRedis, inspectRedis, openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const shopId = 'roxy';
const tag = '{bl:1}';
const stockKey = (stockId: string) => `${tag}:stock:${shopId}/${stockId}`;
const holdKey = (basketId: string) => `${tag}:hold:${shopId}/${basketId}`;
const deadlinesKey = `${tag}:deadlines`;
const inAMinute = () => new Date(Date.now() + 60_000);

function hold(basketId: string, takes: Record<string, number>) {
  return {
    shopId,
    basketId,
    takes: Object.entries(takes).map(([stockId, quantity]) => ({ stockId, quantity })),
  };
}

/** An admission with a row of two and a row of one unit, on keys of its own. */
async function open(t: Test) {
  const { connection, keyPrefix, errors } = openTestRedis(t);
  const keys = inspectRedis(t, keyPrefix);
  await until('Redis answers', 5000, () => connection.ping());
  const admission = openAdmission(connection);
  await admission.load(shopId, 'item:a', 2, 0);
  await admission.load(shopId, 'item:b', 1, 0);
  return { admission, keys, errors };
}

async function taken(keys: Redis): Promise<Record<string, number>> {
  const read = async (stockId: string) => Number(await keys.hget(stockKey(stockId), 'taken'));
  return { a: await read('item:a'), b: await read('item:b') };
}

async function deadlineMs(keys: Redis, basketId: string): Promise<number | null> {
  const score = await keys.zscore(deadlinesKey, `${shopId}/${basketId}`);
  return score === null ? null : Number(score);
}

async function redisNowMs(keys: Redis): Promise<number> {
  const [seconds, microseconds] = (await keys.time()) as [string | number, string | number];
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
}

t.test('an admission takes all of its lines, for 30 seconds until it is settled', async (t) => {
  const { admission, keys } = await open(t);
  t.same(await admission.admit(hold('bkt_1', { 'item:a': 2, 'item:b': 1 })), { outcome: 'admitted' });
  t.same(await taken(keys), { a: 2, b: 1 });
  const provisional = (await deadlineMs(keys, 'bkt_1')) ?? 0;
  const left = provisional - (await redisNowMs(keys));
  t.ok(left > 25_000 && left <= 30_000, `${left} ms are left`);
  t.same(await admission.takesOf(shopId, 'bkt_1'), hold('bkt_1', { 'item:a': 2, 'item:b': 1 }).takes);
});

t.test('an admission of which one line is short takes none of them', async (t) => {
  const { admission, keys } = await open(t);
  await admission.admit(hold('bkt_1', { 'item:b': 1 }));
  const before = await contentsOfRedis(keys);
  await admission.admit(hold('bkt_2', { 'item:a': 1, 'item:b': 1 }));
  t.same(await contentsOfRedis(keys), before);
});

t.test('a short row is called sold out only when Postgres has said so too', async (t) => {
  const { admission } = await open(t);
  await admission.admit(hold('bkt_1', { 'item:a': 1, 'item:b': 1 }));
  const next = hold('bkt_2', { 'item:a': 2, 'item:b': 1 });
  t.same(await admission.admit(next), { outcome: 'doubtful' });
  admission.proveSoldOut('another-shop', new Map([['item:b', 0]]));
  admission.proveSoldOut(shopId, new Map([['item:a', 1]]));
  t.same(await admission.admit(next), { outcome: 'doubtful' }, 'of another shop, or not all sold');
  admission.proveSoldOut(shopId, new Map([['item:b', 0]]));
  t.same(await admission.admit(next), {
    outcome: 'sold_out',
    available: new Map([
      ['item:a', 1],
      ['item:b', 0],
    ]),
  });
});

t.test('a row that Redis does not know is left to Postgres and nothing is written', async (t) => {
  const { admission, keys } = await open(t);
  const before = await contentsOfRedis(keys);
  t.same(await admission.admit(hold('bkt_1', { 'item:a': 1, 'item:z': 1 })), { outcome: 'doubtful' });
  t.same(await contentsOfRedis(keys), before);
});

t.test('a row without a capacity admits everything', async (t) => {
  const { admission, keys } = await open(t);
  await admission.load(shopId, 'item:c', null, 0);
  t.same(await admission.admit(hold('bkt_1', { 'item:c': 1_000_000 })), { outcome: 'admitted' });
  t.equal(await keys.hget(stockKey('item:c'), 'taken'), '1000000');
});

t.test('a basket that is admitted twice is counted once', async (t) => {
  const { admission, keys } = await open(t);
  const basket = hold('bkt_1', { 'item:a': 1, 'item:b': 1 });
  await admission.admit(basket);
  t.same(await admission.admit(basket), { outcome: 'admitted' });
  t.same(await taken(keys), { a: 1, b: 1 });
});

t.test('of 64 admissions of the last unit at once one gets it', async (t) => {
  const { admission, keys } = await open(t);
  const outcomes = await Promise.all(
    Array.from({ length: 64 }, (_, at) => admission.admit(hold(`bkt_${at}`, { 'item:b': 1 }))),
  );
  t.equal(outcomes.filter(({ outcome }) => outcome === 'admitted').length, 1);
  t.same(await taken(keys), { a: 0, b: 1 });
});

t.test('settling an admitted basket counts nothing and sets its deadline', async (t) => {
  const { admission, keys } = await open(t);
  const basket = hold('bkt_1', { 'item:a': 2 });
  const deadline = inAMinute();
  await admission.admit(basket);
  await admission.settle(basket, deadline);
  t.same(await taken(keys), { a: 2, b: 0 });
  t.equal(await deadlineMs(keys, 'bkt_1'), deadline.getTime());
});

t.test('settling a basket that was never admitted counts it, once however often it is settled', async (t) => {
  const { admission, keys } = await open(t);
  const basket = hold('bkt_1', { 'item:a': 2, 'item:b': 1 });
  await admission.settle(basket, inAMinute());
  await admission.settle(basket, inAMinute());
  t.same(await taken(keys), { a: 2, b: 1 });
  t.same(await admission.takesOf(shopId, 'bkt_1'), basket.takes);
});

t.test('a release gives a hold back once, and one that is not there gives nothing', async (t) => {
  const { admission, keys } = await open(t);
  const basket = hold('bkt_1', { 'item:a': 2, 'item:b': 1 });
  const before = await contentsOfRedis(keys);
  await admission.release(basket);
  t.same(await contentsOfRedis(keys), before, 'never held');
  await admission.admit(basket);
  await admission.release(basket);
  await admission.release(basket);
  t.same(await contentsOfRedis(keys), before, 'held, and released twice');
});

t.test('a sale keeps the stock taken and forgets hold and deadline, so that no release gives it back', async (t) => {
  const { admission, keys } = await open(t);
  const basket = hold('bkt_1', { 'item:a': 2 });
  await admission.admit(basket);
  await admission.sell(basket);
  await admission.sell(basket);
  await admission.release(basket);
  t.same(await taken(keys), { a: 2, b: 0 });
  t.equal(await keys.exists(holdKey('bkt_1'), deadlinesKey), 0);
});

t.test('loading sets a row to what Postgres says of it', async (t) => {
  const { admission, keys } = await open(t);
  await admission.load(shopId, 'item:a', 7, 3);
  t.same(await keys.hgetall(stockKey('item:a')), { capacity: '7', taken: '3' });
});

t.test('holds on a row that was forgotten in between are neither counted nor given back there', async (t) => {
  const { admission, keys } = await open(t);
  await keys.del(stockKey('item:a'));
  const basket = hold('bkt_1', { 'item:a': 1, 'item:b': 1 });
  await admission.settle(basket, inAMinute());
  t.same(await keys.hgetall(stockKey('item:a')), {});
  t.equal(await keys.hget(stockKey('item:b'), 'taken'), '1');
  await admission.release(basket);
  t.same(await keys.hgetall(stockKey('item:a')), {});
  t.equal(await keys.hget(stockKey('item:b'), 'taken'), '0');
});

t.test('only baskets whose deadline has passed by Redis’ clock are due, and no more than asked for', async (t) => {
  const { admission } = await open(t);
  await admission.settle(hold('bkt_late', {}), new Date(1));
  await admission.settle(hold('bkt_later', {}), new Date(2));
  await admission.settle(hold('bkt_ahead', {}), inAMinute());
  const late = { shopId, basketId: 'bkt_late' };
  t.same(await admission.due(1, 10), [late, { shopId, basketId: 'bkt_later' }]);
  t.same(await admission.due(1, 1), [late]);
  t.same(await admission.due(2, 10), [], 'of another partition');
});

t.test(
  'a basket that was looked at too early is looked at again at its deadline, a second from now at the soonest',
  async (t) => {
    const { admission, keys } = await open(t);
    const deadline = inAMinute();
    await admission.remind(shopId, 'bkt_1', deadline);
    t.equal(await deadlineMs(keys, 'bkt_1'), deadline.getTime());
    const before = await redisNowMs(keys);
    await admission.remind(shopId, 'bkt_1', new Date(0));
    const again = (await deadlineMs(keys, 'bkt_1')) ?? 0;
    t.ok(again >= before + 1000 && again <= (await redisNowMs(keys)) + 1000, `${again - before} ms from now`);
  },
);

t.test('all keys of a shop share one slot of a cluster', async (t) => {
  const { admission, keys } = await open(t);
  await admission.admit(hold('bkt_1', { 'item:a': 1 }));
  const tags = Object.keys(await contentsOfRedis(keys)).map((key) => /^\{[^{}]+\}/.exec(key)?.[0]);
  t.same(new Set(tags), new Set([tag]));
});

t.test('a script that meets a key of another type writes nothing at all', async (t) => {
  const held = hold('bkt_held', { 'item:a': 1, 'item:b': 1 });
  const fresh = hold('bkt_new', { 'item:a': 1, 'item:b': 1 });
  const calls: Record<string, (admission: Admission) => Promise<unknown>> = {
    admit: (admission) => admission.admit(fresh),
    settle: (admission) => admission.settle(fresh, inAMinute()),
    release: (admission) => admission.release(held),
    sell: (admission) => admission.sell(held),
  };
  for (const [name, call] of Object.entries(calls)) {
    for (const wrong of [deadlinesKey, stockKey('item:b')]) {
      if (name === 'sell' && wrong !== deadlinesKey) continue;
      const { admission, keys, errors } = await open(t);
      await admission.admit(held);
      await admission.load(shopId, 'item:a', 5, 1);
      await admission.load(shopId, 'item:b', 5, 1);
      await keys.del(wrong);
      await keys.set(wrong, 'of another type');
      const before = await contentsOfRedis(keys);
      await call(admission);
      t.match(errors.at(-1)?.message, /WRONGTYPE/, `${name} reached ${wrong}`);
      t.same(await contentsOfRedis(keys), before, `${name} with ${wrong} of another type`);
    }
  }
});

t.test('without Redis nothing rejects, and a creation is left to Postgres', async (t) => {
  const admission = openAdmission(openTestRedis(t, { url: closedRedisUrl }).connection);
  const basket = hold('bkt_1', { 'item:a': 1 });
  t.same(await admission.admit(basket), { outcome: 'unreachable' });
  await admission.settle(basket, inAMinute());
  await admission.release(basket);
  await admission.sell(basket);
  await admission.load(shopId, 'item:a', 1, 0);
  await admission.remind(shopId, 'bkt_1', inAMinute());
  t.same(await admission.due(1, 10), []);
  t.same(await admission.takesOf(shopId, 'bkt_1'), []);
});
