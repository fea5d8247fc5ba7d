import t from 'tap';
import { audit } from '../support/audit.ts';
import { type Created, createBasket } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const create = (items: object[]) => shop.backEnd.request<Created>('POST', '/v1/baskets', { items });
const put = (itemId: string, capacity: number) =>
  shop.owner.request('PUT', `/v1/items/${itemId}`, { name: itemId, price: 1, capacity });
const sold = { status: 409, code: 'insufficient_stock' } as const;

t.test('lines over one stock count as their sum, and when that is too much nothing is held', async (t) => {
  await put('five', 5);
  const lines = (a: number, b: number) => [
    { itemId: 'five', quantity: a, custom: { row: 'A' } },
    { itemId: 'five', quantity: b, custom: { row: 'B' } },
  ];
  const answer = await assertRefused(t, shop, 'six of five in two lines', sold, () => create(lines(3, 3)));
  t.same((answer.body as { errors: unknown }).errors, [{ itemId: 'five', requested: 6, available: 5 }]);
  t.equal((await create(lines(3, 2))).status, 201, 'all five can be had: neither Postgres nor Redis held any');
  await assertRefused(t, shop, 'one more', sold, () => create([{ itemId: 'five', quantity: 1 }]));
});

t.test('of ten lines the last has no stock: none is held, and the answer names that one', async (t) => {
  for (let at = 0; at < 10; at += 1) await put(`line-${at}`, at === 9 ? 0 : 1);
  const ten = Array.from({ length: 10 }, (_, at) => ({ itemId: `line-${at}`, quantity: 1 }));
  const answer = await assertRefused(t, shop, 'ten lines', sold, () => create(ten));
  t.same((answer.body as { errors: unknown }).errors, [{ itemId: 'line-9', requested: 1, available: 0 }]);
  t.equal((await create(ten.slice(0, 9))).status, 201, 'the nine can be had');
  t.match(await shop.availability('line-9'), { held: 0 });
});

t.test('64 requests together for the last one: one gets it, and the others are told that there is none', async (t) => {
  await put('last', 1);
  const answers = await Promise.all(Array.from({ length: 64 }, () => create([{ itemId: 'last', quantity: 1 }])));
  const statuses = answers.map(({ status }) => status).sort();
  t.same(statuses, [201, ...Array.from({ length: 63 }, () => 409)]);
  t.same(await shop.availability('last'), { capacity: 1, held: 1, sold: 0, available: 0 });
  await audit(shop.service.pool);
});

t.test('a capacity of nothing sells nothing, and one that is not set sells without end', async (t) => {
  await put('none', 0);
  await assertRefused(t, shop, 'none', sold, () => create([{ itemId: 'none', quantity: 1 }]));
  await shop.owner.request('PUT', '/v1/items/endless', { name: 'Endless', price: 1 });
  for (const quantity of [10_000, 10_000]) await createBasket(shop, { items: [{ itemId: 'endless', quantity }] });
});
