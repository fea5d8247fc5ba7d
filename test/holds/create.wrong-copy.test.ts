import t from 'tap';
import { audit } from '../support/audit.ts';
import type { Created, ShownProblem } from '../support/journey.ts';
import { contentsOfRedis, countedRow, inspectRedis, partitionKeys, redisUrl } from '../support/redis.ts';
import { openShop } from '../support/shop.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

// A proxy stands before one server, whereas the nodes of a cluster name each other.
const isCluster = redisUrl().includes(',');
const proxy = isCluster ? null : await startTcpProxy(t, redisUrl());
const shop = await openShop(t, { config: { redisUrl: proxy?.url ?? redisUrl() } });
const keys = inspectRedis(t, shop.service.redisKeyPrefix);

async function putItem(itemId: string, capacity: number): Promise<void> {
  await shop.owner.request('PUT', `/v1/items/${itemId}`, { name: itemId, price: 100, capacity });
}
const create = (itemId: string) =>
  shop.backEnd.request<Created & ShownProblem>('POST', '/v1/baskets', { items: [{ itemId, quantity: 1 }] });
const counted = (itemId: string) => countedRow(keys, `item:${itemId}`);
const count = (itemId: string, row: string) => keys.hset(partitionKeys.stock, `roxy/item:${itemId}`, row);

t.test('keys that Redis loses while baskets are created oversell nothing', async (t) => {
  await putItem('flushed', 40);
  const flush = async () => {
    const names = Object.keys(await contentsOfRedis(keys));
    // One by one, since those of a cluster lie on several nodes.
    for (const name of names) await keys.del(name);
  };
  const creations = Array.from({ length: 64 }, async (_, at) => {
    if (at % 16 === 8) await flush();
    return (await create('flushed')).status;
  });
  const statuses = await Promise.all(creations);
  t.equal(statuses.filter((status) => status === 201).length, 40);
  t.equal(statuses.filter((status) => status === 409).length, 24);
  await audit(shop.service.pool);
});

t.test('where Redis believes too much to be free Postgres refuses, and Redis is corrected', async (t) => {
  await putItem('too-low', 2);
  t.same([(await create('too-low')).status, (await create('too-low')).status], [201, 201]);
  await until('the creations are settled', 15_000, async () => (await counted('too-low')) === '2 2 0 0');
  await count('too-low', '2 0 0 0');
  const refused = await create('too-low');
  t.match(refused.body, { code: 'insufficient_stock', errors: [{ itemId: 'too-low', requested: 1, available: 0 }] });
  await until('Redis is corrected', 15_000, async () => (await counted('too-low')) === '2 2 0 0');
  await audit(shop.service.pool);
});

t.test('what Redis wrongly calls sold out is sold within seconds, and Redis is corrected', async (t) => {
  await putItem('too-high', 2);
  await count('too-high', '2 2 0 0');
  await until('a basket is created', 3000, async () => (await create('too-high')).status === 201);
  await until('Redis is corrected', 15_000, async () => (await counted('too-high')) === '2 1 0 0');
  t.same(await shop.availability('too-high'), { capacity: 2, held: 1, sold: 0, available: 1 });
  await audit(shop.service.pool);
});

t.test('a Redis that hangs fails no creation', { skip: isCluster && 'no node of a cluster is paused' }, async (t) => {
  await putItem('hung', 100);
  proxy?.setReplies('hang');
  t.teardown(() => proxy?.setReplies('pass'));
  const startedMs = performance.now();
  const answers = await Promise.all(Array.from({ length: 32 }, () => create('hung')));
  const tookMs = performance.now() - startedMs;
  t.same(new Set(answers.map(({ status }) => status)), new Set([201]));
  // Each for itself would wait for as long as Redis has to answer.
  t.ok(tookMs < 15_000, `32 at once took ${tookMs} ms`);
  await audit(shop.service.pool);
});
