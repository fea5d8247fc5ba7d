import t, { type Test } from 'tap';
import { audit } from '../support/audit.ts';
import type { Created, ShownProblem, TestShop } from '../support/journey.ts';
import { closedRedisUrl } from '../support/redis.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);

async function raceForTheLastUnit(t: Test, shop: TestShop): Promise<void> {
  await shop.owner.request('PUT', '/v1/items/last', { name: 'Last', price: 100, capacity: 1 });
  const items = [{ itemId: 'last', quantity: 1 }];
  const answers = await Promise.all(
    Array.from({ length: 64 }, () =>
      shop.backEnd.request<Created | ShownProblem>('POST', '/v1/baskets', { items, generateBasketUrl: false }),
    ),
  );
  const refused = answers.filter(({ status }) => status !== 201);
  t.equal(refused.length, 63, 'one got it');
  for (const { status, body, text } of refused) {
    const expected = { code: 'insufficient_stock', errors: [{ itemId: 'last', requested: 1, available: 0 }] };
    t.match({ status, body }, { status: 409, body: expected }, text);
  }
  t.same(await shop.availability('last'), { capacity: 1, held: 1, sold: 0, available: 0 });
  await audit(shop.service.pool);
}

t.test('of 64 creations of the last unit at once one gets it and 63 are told that none is left', async (t) => {
  await raceForTheLastUnit(t, shop);
});

t.test('without Redis too, creation goes on and the last unit is sold once', async (t) => {
  await raceForTheLastUnit(t, await openShop(t, { config: { redisUrl: closedRedisUrl } }));
});

t.test('a basket of which one line is short holds none of them', async (t) => {
  await shop.owner.request('PUT', '/v1/items/few', { name: 'Few', price: 100, capacity: 2 });
  const items = [
    { itemId: 'stalls', quantity: 2 },
    { itemId: 'few', quantity: 3 },
  ];
  const { status, body } = await shop.backEnd.request<ShownProblem>('POST', '/v1/baskets', { items });
  t.equal(status, 409);
  t.same(body.errors, [{ itemId: 'few', requested: 3, available: 2 }]);
  t.same(await shop.availability('stalls'), { capacity: 100, held: 0, sold: 0, available: 100 });
  await audit(shop.service.pool);
});

t.test('lines that draw on one stock count as their sum', async (t) => {
  await shop.owner.request('PUT', '/v1/pools/floor', { name: 'Floor', capacity: 3 });
  for (const itemId of ['adult', 'child']) {
    await shop.owner.request('PUT', `/v1/items/${itemId}`, { name: itemId, price: 100, poolId: 'floor' });
  }
  const create = (...items: object[]) => shop.backEnd.request<ShownProblem>('POST', '/v1/baskets', { items });
  const both = await create({ itemId: 'adult', quantity: 2 }, { itemId: 'child', quantity: 2 });
  t.equal(both.status, 409, both.text);
  t.equal(both.body.code, 'insufficient_stock');
  const twice = await create(
    { itemId: 'adult', quantity: 2, custom: { seat: 'A1' } },
    { itemId: 'adult', quantity: 2, custom: { seat: 'A2' } },
  );
  t.equal(twice.status, 409, twice.text);
  t.equal((await create({ itemId: 'adult', quantity: 2 }, { itemId: 'child', quantity: 1 })).status, 201);
  await audit(shop.service.pool);
});
