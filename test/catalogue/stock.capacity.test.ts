import t from 'tap';
import { audit } from '../support/audit.ts';
import { activate, createBasket } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const { owner } = shop;
const put = async (path: string, body: object) => {
  const answer = await owner.request<{ availability: object }>('PUT', path, body);
  t.equal(answer.status, 200, answer.text);
  return answer.body;
};
const cancel = (id: string) => shop.backEnd.request('POST', `/v1/baskets/${id}/cancel`);
const sell = async (items: object[]) => {
  const basket = await createBasket(shop, { items });
  await activate(shop, basket.startBasketUrl);
  const done = await shop.payments.request('POST', `/v1/baskets/${basket.id}/complete`, { orderId: `o-${basket.id}` });
  t.equal(done.status, 200, done.text);
};

t.test('availability says what is held by live baskets, what is sold, and what is left', async (t) => {
  await put('/v1/items/seat', { name: 'Seat', price: 1, capacity: 10 });
  const { id } = await createBasket(shop, { items: [{ itemId: 'seat', quantity: 3 }] });
  await sell([{ itemId: 'seat', quantity: 2 }]);
  t.same(await shop.availability('seat'), { capacity: 10, held: 3, sold: 2, available: 5 });
  await cancel(id);
  t.same(await shop.availability('seat'), { capacity: 10, held: 0, sold: 2, available: 8 });
  await put('/v1/items/boundless', { name: 'Boundless', price: 1 });
  await createBasket(shop, { items: [{ itemId: 'boundless', quantity: 10_000 }] });
  t.same(await shop.availability('boundless'), { capacity: null, held: 10_000, sold: 0, available: null });
});

t.test('a capacity goes no lower than what is held and sold of it, and that far it goes', async (t) => {
  await put('/v1/items/seat', { name: 'Seat', price: 1, capacity: 10 });
  await put('/v1/pools/hall', { name: 'Hall', capacity: 10 });
  await put('/v1/items/adult', { name: 'Adult', price: 2, poolId: 'hall' });
  await createBasket(shop, {
    items: [
      { itemId: 'seat', quantity: 3 },
      { itemId: 'adult', quantity: 3 },
    ],
  });
  await sell([{ itemId: 'adult', quantity: 2 }]);
  const cases = [
    {
      send: () => owner.request('PUT', '/v1/items/seat', { name: 'Seat', price: 1, capacity: 4 }),
      error: { itemId: 'seat', requested: 4, held: 3, sold: 2 },
    },
    {
      send: () => owner.request('PATCH', '/v1/items/seat', { capacity: 0 }),
      error: { itemId: 'seat', requested: 0, held: 3, sold: 2 },
    },
    {
      send: () => owner.request('PUT', '/v1/pools/hall', { name: 'Hall', capacity: 4 }),
      error: { poolId: 'hall', requested: 4, held: 3, sold: 2 },
    },
  ];
  for (const { send, error } of cases) {
    const expected = { status: 422, code: 'capacity_below_committed' } as const;
    const answer = await assertRefused(t, shop, JSON.stringify(error), expected, send);
    t.same((answer.body as { errors: unknown }).errors, [error]);
  }
  t.match(await put('/v1/items/seat', { name: 'Seat', price: 1, capacity: 5 }), { availability: { available: 0 } });
  t.match(await put('/v1/pools/hall', { name: 'Hall', capacity: 5 }), { availability: { available: 0 } });
  t.match(await put('/v1/pools/hall', { name: 'Hall', capacity: null }), { availability: { available: null } });
  await audit(shop.service.pool);
});

t.test('items of a pool draw on one stock, and each shows what is left of it', async (t) => {
  await put('/v1/pools/circle', { name: 'Circle', capacity: 5 });
  for (const itemId of ['grown-up', 'child'])
    await put(`/v1/items/${itemId}`, { name: itemId, price: 1, poolId: 'circle' });
  const lines = (grownUps: number, children: number) => [
    { itemId: 'grown-up', quantity: grownUps },
    { itemId: 'child', quantity: children },
  ];
  const tooMany = await assertRefused(t, shop, 'six of five', { status: 409, code: 'insufficient_stock' }, () =>
    shop.backEnd.request('POST', '/v1/baskets', { items: lines(4, 2) }),
  );
  t.same((tooMany.body as { errors: unknown }).errors, [
    { itemId: 'grown-up', requested: 6, available: 5 },
    { itemId: 'child', requested: 6, available: 5 },
  ]);
  await createBasket(shop, { items: lines(3, 1) });
  const shared = { capacity: 5, held: 4, sold: 0, available: 1 };
  for (const itemId of ['grown-up', 'child']) {
    const { body } = await owner.request('GET', `/v1/items/${itemId}`);
    t.match(body, { capacity: null, poolId: 'circle', availability: shared }, itemId);
  }
  t.match((await owner.request('GET', '/v1/pools/circle')).body, {
    poolId: 'circle',
    capacity: 5,
    availability: shared,
  });
  await createBasket(shop, { items: [{ itemId: 'child', quantity: 1 }] });
  await assertRefused(t, shop, 'the sixth', { status: 409, code: 'insufficient_stock' }, () =>
    shop.backEnd.request('POST', '/v1/baskets', { items: [{ itemId: 'grown-up', quantity: 1 }] }),
  );
  await assertRefused(t, shop, 'a capacity beside the pool’s', { status: 400, code: 'invalid_request' }, () =>
    owner.request('PATCH', '/v1/items/child', { capacity: 3 }),
  );
});

t.test('an item changes its pool only while nothing of its stock is held or sold', async (t) => {
  await put('/v1/pools/left', { name: 'Left', capacity: 5 });
  await put('/v1/pools/right', { name: 'Right', capacity: 5 });
  await put('/v1/items/mover', { name: 'Mover', price: 1, capacity: 5 });
  const moveTo = (poolId: string | null, capacity: number | null = null) =>
    owner.request('PATCH', '/v1/items/mover', { poolId, capacity });
  const { id } = await createBasket(shop, { items: [{ itemId: 'mover', quantity: 1 }] });
  await assertRefused(t, shop, 'held', { status: 422, code: 'pool_in_use' }, () => moveTo('left'));
  await cancel(id);
  t.equal((await moveTo('left')).status, 200);
  await sell([{ itemId: 'mover', quantity: 1 }]);
  for (const poolId of ['right', null]) {
    await assertRefused(t, shop, 'sold', { status: 422, code: 'pool_in_use' }, () => moveTo(poolId));
    await assertRefused(t, shop, 'sold, in bulk', { status: 422, code: 'pool_in_use' }, () =>
      owner.request('PUT', '/v1/items', { items: [{ itemId: 'mover', name: 'Mover', price: 1, poolId }] }),
    );
  }
  t.equal((await owner.request('PATCH', '/v1/items/mover', { price: 2 })).status, 200, 'other changes are free');
  await audit(shop.service.pool);
});

t.test('a pool needs a name and a capacity', async (t) => {
  for (const body of [
    {},
    { name: 'x' },
    { capacity: 1 },
    { name: 'x', capacity: -1 },
    { name: 'x', capacity: 1, evil: 1 },
  ]) {
    await assertRefused(t, shop, JSON.stringify(body), { status: 400, code: 'invalid_request' }, () =>
      owner.request('PUT', '/v1/pools/new', body),
    );
  }
  await assertRefused(t, shop, 'no pool', { status: 404, code: 'not_found' }, () =>
    owner.request('GET', '/v1/pools/new'),
  );
});

t.test('a new capacity counts at once, for more and for fewer', async (t) => {
  const create = () => shop.backEnd.request('POST', '/v1/baskets', { items: [{ itemId: 'growing', quantity: 2 }] });
  await put('/v1/items/growing', { name: 'Growing', price: 1, capacity: 1 });
  t.equal((await create()).status, 409);
  await put('/v1/items/growing', { name: 'Growing', price: 1, capacity: 4 });
  t.equal((await create()).status, 201);
  await put('/v1/items/growing', { name: 'Growing', price: 1, capacity: 3 });
  t.equal((await create()).status, 409);
});
