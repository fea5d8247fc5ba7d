import t from 'tap';
import { stockKeeper } from '../../src/holds/index.ts';
import { openPostgres } from '../../src/platform/postgres.ts';
import { audit } from '../support/audit.ts';
import { createBasket, openBasket, patiently, putItem, type ShownProblem } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { api, mintToken } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const { owner, backEnd } = shop;
const { pool } = shop.service;
const adjust = (path: string, delta: number, reason = 'more seats') =>
  owner.request<ShownProblem>('POST', `/v1/${path}/adjustments`, { delta, reason });
const take = (itemId: string) => backEnd.request('POST', '/v1/baskets', { items: [{ itemId, quantity: 1 }] });

t.test('an adjustment changes the capacity by so many units, and answers as a read does', async (t) => {
  await putItem(shop, 'seat', 10);
  t.equal((await owner.request('PUT', '/v1/pools/hall', { name: 'Hall', capacity: 10 })).status, 200);
  await createBasket(shop, { items: [{ itemId: 'seat', quantity: 3 }] });
  for (const [path, left] of [
    ['items/seat', 4],
    ['pools/hall', 7],
  ] as const) {
    const adjusted = await adjust(path, -3);
    t.equal(adjusted.status, 200, adjusted.text);
    t.match(adjusted.body, { capacity: 7, availability: { capacity: 7, available: left } });
    t.equal(adjusted.text, (await owner.request('GET', `/v1/${path}`)).text);
  }
  await audit(pool);
});

t.test('who adjusted a capacity, by how much, and why, is written down with it', async (t) => {
  await putItem(shop, 'written', 10);
  const subject = 'ada@roxy.example';
  const ada = api(shop.service.url, await mintToken({ shop: shop.shopId, scope: 'shop:write', sub: subject }));
  await ada.request('POST', '/v1/items/written/adjustments', { delta: 5, reason: 'the back row' });
  // What Postgres cannot keep of a subject must not break what it may do.
  const odd = api(shop.service.url, await mintToken({ shop: shop.shopId, scope: 'shop:write', sub: 'a\u0000' }));
  t.equal((await odd.request('POST', '/v1/items/written/adjustments', { delta: -2, reason: 'broken' })).status, 200);
  const { rows } = await pool.query(
    `SELECT delta, capacity, reason, made_by FROM stock_adjustments
     WHERE shop_id = $1 AND stock_id = 'item:written' ORDER BY adjustment_id`,
    [shop.shopId],
  );
  t.same(rows, [
    { delta: 5, capacity: 15, reason: 'the back row', made_by: subject },
    { delta: -2, capacity: 13, reason: 'broken', made_by: '' },
  ]);
});

t.test('what is committed is not answered as if it were not when no connection is left to tell Redis', async (t) => {
  const { admission } = shop.service;
  const away = openPostgres('postgres://127.0.0.1:1/nowhere', () => {});
  t.teardown(() => away.end());
  await t.rejects(away.query('SELECT'));
  await t.resolves(stockKeeper(away, admission).tellRedis(shop.shopId, ['item:stalls']));
});

t.test('of 64 adjustments at once each counts', async (t) => {
  await owner.request('PUT', '/v1/pools/busy', { name: 'Busy', capacity: 100 });
  await owner.request('PUT', '/v1/items/busy', { name: 'Busy', price: 1, poolId: 'busy' });
  const deltas = Array.from({ length: 64 }, (_, at) => (at % 3 === 0 ? -1 : 2));
  const answers = await Promise.all(deltas.map((delta) => patiently(() => adjust('pools/busy', delta))));
  t.same(new Set(answers.map(({ status }) => status)), new Set([200]));
  const capacity = 100 + deltas.reduce((sum, delta) => sum + delta, 0);
  t.match(await shop.availability('busy'), { capacity, available: capacity });
});

t.test('what was sold out is on sale again when the adjustment is answered', async (t) => {
  await putItem(shop, 'last', 1);
  t.equal((await take('last')).status, 201);
  t.equal((await take('last')).status, 409);
  t.equal((await adjust('items/last', 1)).status, 200);
  t.equal((await take('last')).status, 201);
  t.equal((await take('last')).status, 409);
});

t.test('an adjustment is refused where there is nothing to adjust, or too little', async (t) => {
  await putItem(shop, 'few', 5);
  await openBasket(shop, { items: [{ itemId: 'few', quantity: 3 }] });
  await owner.request('PUT', '/v1/items/boundless', { name: 'Boundless', price: 1 });
  await owner.request('PUT', '/v1/pools/boundless', { name: 'Boundless', capacity: null });
  await owner.request('PUT', '/v1/items/adult', { name: 'Adult', price: 1, poolId: 'hall' });
  const tooLow = (requested: number) => ({ errors: [{ itemId: 'few', requested, held: 3, sold: 0 }] });
  const cases = [
    { path: 'items/few', delta: -3, code: 'capacity_below_committed', body: tooLow(2) },
    { path: 'items/few', delta: -1_000_000_000, code: 'capacity_below_committed', body: tooLow(5 - 1_000_000_000) },
    {
      path: 'items/few',
      delta: 1_000_000_000,
      code: 'capacity_not_adjustable',
      body: { detail: /at most 1000000000/ },
    },
    { path: 'items/boundless', delta: 1, code: 'capacity_not_adjustable', body: { detail: /unlimited/ } },
    { path: 'pools/boundless', delta: 1, code: 'capacity_not_adjustable', body: { detail: /unlimited/ } },
    { path: 'items/adult', delta: 1, code: 'capacity_not_adjustable', body: { detail: /hall/, poolId: 'hall' } },
  ] as const;
  for (const { path, delta, code, body } of cases) {
    const expected = { status: 422, code };
    const refused = await assertRefused(t, shop, `${path} by ${delta}`, expected, () => adjust(path, delta));
    t.match(refused.body, body);
  }
  t.equal((await adjust('items/few', -2)).status, 200, 'as low as what is held');
  for (const path of ['items/none', 'pools/none']) {
    await assertRefused(t, shop, path, { status: 404, code: 'not_found' }, () => adjust(path, 1));
  }
  const bodies = [
    {},
    { delta: 1 },
    { reason: 'x' },
    { delta: '1', reason: 'x' },
    { delta: 1.5, reason: 'x' },
    { delta: 1_000_000_001, reason: 'x' },
    { delta: 1, reason: '' },
    { delta: 1, reason: 'x\u0000' },
    { delta: 1, reason: 'x', capacity: 2 },
  ];
  for (const body of bodies) {
    await assertRefused(t, shop, JSON.stringify(body), { status: 400, code: 'invalid_request' }, () =>
      owner.request('POST', '/v1/items/few/adjustments', body),
    );
  }
  await audit(pool);
});
