import t from 'tap';
import { sha256 } from '../../src/platform/crypto.ts';
import { audit } from '../support/audit.ts';
import {
  activate,
  checkout,
  complete,
  createBasket,
  letBeSwept,
  openBasket,
  patiently,
  putItem,
  type ShownProblem,
} from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { api, mintToken, startTestService } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

type Shown = ShownProblem & {
  id: string;
  startBasketUrl: string;
  version: number;
  totals: { total: number; giftCards: number; due: number };
  giftCards: { last4: string; applied: number }[];
};
type Card = { last4: string; balance: number; available: number; currency: string };

const basketSettings = { maxLiveBasketsPerCustomer: null };
// Each call from an address of its own: see test/http/limits.codes.test.ts.
const config = { trustProxy: '127.0.0.1' };
const shop = await openShop(t, { settings: { basket: basketSettings }, config });
const { pool } = shop.service;
let calls = 0;
function fromAnywhere(): Record<string, string> {
  calls += 1;
  return { 'x-forwarded-for': `10.1.${Math.floor(calls / 250)}.${calls % 250}` };
}
/** One costs 30.00. */
const items = [{ itemId: 'stalls', quantity: 1 }];
let cards = 0;
/** Issues a card and gives its number. */
async function issue(balance: number, currency = 'GBP'): Promise<string> {
  cards += 1;
  const number = `4000 0000 ${1000 + cards}`;
  await put(number, { balance, currency });
  return number;
}
async function put(number: string, body: object): Promise<Card> {
  const answer = await shop.owner.request<Card>('PUT', `/v1/gift-cards/${number}`, body);
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.body;
}
const cardOf = async (number: string) => (await shop.owner.request<Card>('GET', `/v1/gift-cards/${number}`)).body;
const create = (body: object) =>
  patiently(() => shop.backEnd.request<Shown>('POST', '/v1/baskets', { items, ...body }, fromAnywhere()));
const apply = (id: string, code: string, type = 'giftCard') =>
  patiently(() => shop.backEnd.request<Shown>('POST', `/v1/baskets/${id}/codes`, { type, code }, fromAnywhere()));
const remove = (id: string, name: string) =>
  shop.backEnd.request<Shown>('DELETE', `/v1/baskets/${id}/codes/giftCard/${name}`);
const change = (id: string, quantity: number) =>
  shop.backEnd.request<Shown>('PATCH', `/v1/baskets/${id}/lines/1`, { quantity });
const read = async (id: string) => (await shop.backEnd.request<Shown>('GET', `/v1/baskets/${id}`)).body;
const unknown = { status: 422, code: 'code_unknown' } as const;
t.afterEach(() => audit(pool));

t.test('a card is found by its number, spaces and capitals aside, and shown by its last four', async (t) => {
  t.match(await put('gift 0000 abcd', { balance: 5000, currency: 'GBP' }), {
    ...{ last4: 'ABCD', balance: 5000, available: 5000, currency: 'GBP' },
  });
  t.match(await cardOf('GIFT0000ABCD'), { balance: 5000 });
  t.match(await put('GIFT 0000 ABCD', { balance: 700, currency: 'GBP' }), { balance: 700 });
  const { rows } = await pool.query('SELECT kind, amount FROM gift_card_entries ORDER BY entry_id');
  t.same(rows, [
    { kind: 'issued', amount: 5000 },
    { kind: 'changed', amount: -4300 },
  ]);
  const refusals = [
    [{ balance: 1, currency: 'EUR' }, 422, 'currency_fixed'],
    [{ balance: 1, currency: 'XXX' }, 422, 'unknown_currency'],
    [{ balance: -1, currency: 'GBP' }, 400, 'invalid_request'],
    [{ balance: 0.5, currency: 'GBP' }, 400, 'invalid_request'],
  ] as const;
  for (const [body, status, code] of refusals) {
    await assertRefused(t, shop, JSON.stringify(body), { status, code }, () =>
      shop.owner.request('PUT', '/v1/gift-cards/GIFT0000ABCD', body),
    );
  }
  const short = await shop.owner.request('PUT', '/v1/gift-cards/1234567', { balance: 1, currency: 'GBP' });
  t.equal(short.status, 400, 'too short to be secret');
  t.equal((await shop.owner.request('DELETE', '/v1/gift-cards/GIFT0000ABCD')).status, 204);
  t.equal((await shop.owner.request('GET', '/v1/gift-cards/GIFT0000ABCD')).status, 404);
  t.equal((await shop.owner.request('DELETE', '/v1/gift-cards/GIFT0000ABCD')).status, 404);
  t.match(await put('GIFT 0000 ABCD', { balance: 900, currency: 'EUR' }), { balance: 900 }, 'issued anew');
});

t.test('nothing that is stored gives a number, nor tells whether a guess is right', async (t) => {
  await put('SECRET-NUMBER-1', { balance: 1, currency: 'GBP' });
  const body = { giftCards: ['SECRET-NUMBER-1'], items };
  const key = { 'idempotency-key': 'with-a-card' };
  t.equal((await shop.backEnd.request('POST', '/v1/baskets', body, key)).status, 201);
  const guesses = ['SECRET-NUMBER-1', 'roxy/SECRET-NUMBER-1', JSON.stringify(body)].map(sha256);
  const hashes = await pool.query<{ hash: Buffer }>(
    'SELECT fingerprint AS hash FROM idempotency_keys UNION ALL SELECT number_hash FROM gift_cards',
  );
  t.equal(hashes.rows.filter(({ hash }) => guesses.some((guess) => hash?.equals(guess))).length, 0);
  const tables = await pool.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`,
  );
  for (const { name } of tables.rows) {
    const { rows } = await pool.query(`SELECT FROM ${name} x WHERE row_to_json(x)::text ILIKE '%SECRET-NUMBER%'`);
    t.equal(rows.length, 0, name);
  }
});

t.test('cards pay in the order in which they are given, and what is due is what they leave', async (t) => {
  const [first, second] = [await issue(1000), await issue(5000)];
  const { body } = await create({ giftCards: [first, second, first] });
  t.match(body, {
    totals: { total: 3000, giftCards: 3000, due: 0 },
    giftCards: [{ applied: 1000 }, { applied: 2000 }],
  });
  t.match(await cardOf(second), { balance: 5000, available: 3000 });
  const later = await createBasket(shop, { items });
  t.match(await apply(later.id, second), { status: 200, body: { totals: { giftCards: 3000, due: 0 } } });
  t.match(await apply(later.id, second.replaceAll(' ', '')), { status: 200, body: { version: 2 } }, 'once');
  t.match(await cardOf(second), { available: 0 });
  t.match(await remove(body.id, second), { body: { totals: { giftCards: 1000, due: 2000 } } });
  t.match(
    await change(later.id, 2),
    { body: { totals: { total: 6000, giftCards: 5000, due: 1000 } } },
    'it has more now',
  );
});

t.test('edits and codes make the cards pay again, no more than is due and no less than they can', async (t) => {
  const card = await issue(4000);
  const { body } = await create({ giftCards: [card] });
  t.match(await change(body.id, 2), { body: { totals: { total: 6000, giftCards: 4000, due: 2000 } } });
  await shop.owner.request('PUT', '/v1/discount-codes/HALF', { type: 'percent', value: 5000 });
  t.match(await apply(body.id, 'HALF', 'discount'), { body: { totals: { total: 3000, giftCards: 3000, due: 0 } } });
  t.match(await cardOf(card), { balance: 4000, available: 1000 });
  const { body: other } = await create({ giftCards: [card] });
  t.match(other.totals, { giftCards: 1000, due: 2000 });
  t.match(await change(body.id, 4), { body: { totals: { total: 6000, giftCards: 3000, due: 3000 } } });
  t.match(await shop.backEnd.request('DELETE', `/v1/baskets/${body.id}/lines/1`), {
    body: { totals: { giftCards: 0 } },
  });
  t.match(await read(body.id), { giftCards: [{ applied: 0 }] });
  t.match(await change(other.id, 1), { body: { totals: { giftCards: 3000, due: 0 } } });
});

t.test('whatever is wrong with a card, it is unknown', async (t) => {
  const [euros, empty, gone] = [await issue(1000, 'EUR'), await issue(0), await issue(1000)];
  await shop.owner.request('DELETE', `/v1/gift-cards/${gone}`);
  const spent = await issue(3000);
  await create({ giftCards: [spent] });
  const { id } = await createBasket(shop, { items });
  for (const number of [euros, empty, gone, spent, '4000 0000 0000', 'x', 'TENTH']) {
    const later = await assertRefused(t, shop, `${number} later`, unknown, () => apply(id, number));
    const atOnce = await assertRefused(t, shop, `${number} at once`, unknown, () => create({ giftCards: [number] }));
    t.match((atOnce.body as ShownProblem).errors, [{ pointer: '/giftCards/0' }]);
    t.notMatch(later.text, number);
  }
  await assertRefused(t, shop, 'one that the basket has not', { status: 404, code: 'not_found' }, () =>
    remove(id, spent),
  );
});

t.test('a card is taken away by its number or by its last four', async (t) => {
  const [one, two] = [await issue(100), await issue(200)];
  const { body } = await create({ giftCards: [one, two] });
  t.match(await remove(body.id, one.slice(-4)), { status: 200, body: { giftCards: [{ applied: 200 }] } });
  t.match(await remove(body.id, two), { status: 200, body: { giftCards: [], totals: { due: 3000 } } });
  t.match([await cardOf(one), await cardOf(two)], [{ available: 100 }, { available: 200 }]);
});

t.test('of baskets that are created or given a card together none spends what another has', async (t) => {
  const card = await issue(10_000);
  const open = await Promise.all(Array.from({ length: 8 }, () => createBasket(shop, { items })));
  const answers = await Promise.all([
    ...Array.from({ length: 8 }, () => create({ giftCards: [card] })),
    ...open.map(({ id }) => apply(id, card)),
  ]);
  const had = answers.filter(({ status }) => status < 300);
  t.same(
    answers.filter(({ status }) => status >= 300).map(({ body }) => body.code),
    Array.from({ length: 16 - had.length }, () => 'code_unknown'),
  );
  t.equal(
    had.reduce((sum, { body }) => sum + body.totals.giftCards, 0),
    10_000,
  );
  t.match(await cardOf(card), { balance: 10_000, available: 0 });
});

t.test('what a basket holds of a card comes back with its end, and is spent with its order', async (t) => {
  const card = await issue(2000);
  const cancelled = await createBasket(shop, { items, giftCards: [card] });
  await shop.backEnd.request('POST', `/v1/baskets/${cancelled.id}/cancel`);
  t.match(await cardOf(card), { balance: 2000, available: 2000 });
  const { id } = await openBasket(shop, { items, giftCards: [card] });
  const { body: paying } = await checkout(shop, id);
  t.equal(paying.amountDue, 1000);
  t.match(await complete(shop, id, { orderId: 'order-card', amount: 3000 }), {
    status: 422,
    body: { code: 'amount_mismatch', due: 1000 },
  });
  t.equal((await complete(shop, id, { orderId: 'order-card', amount: 1050, fees: 50 })).status, 200);
  t.match(await cardOf(card), { balance: 0, available: 0 });
  t.match(
    await put(card, { balance: 500, currency: 'GBP' }),
    { balance: 500, available: 500 },
    'put money on it again',
  );
});

t.test('a basket that waits for its activation holds nothing of its cards, and then what they can pay', async (t) => {
  const number = await issue(4000);
  const waiting = { reserve: 'activation', giftCards: [number] };
  const [first, second] = [(await create(waiting)).body, (await create(waiting)).body];
  t.match([await read(first.id), await read(second.id)], [{ giftCards: [{ applied: 3000 }] }, { totals: { due: 0 } }]);
  t.match(await cardOf(number), { balance: 4000, available: 4000 });
  t.match((await activate(shop, first.startBasketUrl)).basket, { totals: { giftCards: 3000, due: 0 } });
  t.match(await cardOf(number), { balance: 4000, available: 1000 });
  t.match((await activate(shop, second.startBasketUrl)).basket, { totals: { giftCards: 1000, due: 2000 } });
  t.match(await cardOf(number), { balance: 4000, available: 0 });
});

t.test('a late completion takes the money again, or is refused for good', async (t) => {
  const [there, gone] = [await issue(3000), await issue(3000)];
  const first = await openBasket(shop, { items, giftCards: [there] });
  await letBeSwept(shop, first.id);
  t.match(await cardOf(there), { available: 3000 });
  t.match(await complete(shop, first.id, { orderId: 'order-late-card', amount: 0 }), {
    status: 200,
    body: { basket: { late: true } },
  });
  t.match(await cardOf(there), { balance: 0 });
  const second = await openBasket(shop, { items, giftCards: [gone] });
  await letBeSwept(shop, second.id);
  await create({ giftCards: [gone] });
  t.match(await complete(shop, second.id, { orderId: 'order-gone-card' }), {
    status: 409,
    body: { code: 'expired_stock_gone' },
  });
});

t.test('money for another amount than is due now is refused, also for the same lines', async (t) => {
  const card = await issue(1000);
  const { id } = await openBasket(shop, { items });
  const { leaseId } = (await checkout(shop, id)).body;
  await shop.payments.request('DELETE', `/v1/baskets/${id}/checkout`);
  t.equal((await apply(id, card)).status, 200);
  const stale = { status: 409, body: { code: 'lease_superseded' } };
  t.match(await complete(shop, id, { orderId: 'order-lease-card', leaseId }), stale);
});

t.test('a refund gives its cards back what they paid of it, and all of it in the end', async (t) => {
  await putItem(shop, 'odd', 100, { price: 333 });
  const [one, two] = [await issue(100), await issue(501)];
  const { id } = await openBasket(shop, { items: [{ itemId: 'odd', quantity: 3 }], giftCards: [one, two] });
  t.equal((await complete(shop, id, { orderId: 'order-refund', amount: 398 })).status, 200);
  const refund = (body: object) => shop.payments.request('POST', `/v1/baskets/${id}/refund`, body);
  const line = { lines: [{ lineId: '1', quantity: 1 }] };
  t.equal((await refund({ ...line, paymentReference: 'pay-1' })).status, 200);
  t.match([await cardOf(one), await cardOf(two)], [{ balance: 33 }, { balance: 167 }]);
  t.equal((await refund({ ...line, paymentReference: 'pay-1' })).status, 200, 'the same again');
  t.match([await cardOf(one), await cardOf(two)], [{ balance: 33 }, { balance: 167 }]);
  t.equal((await refund(line)).status, 200);
  t.match([await cardOf(one), await cardOf(two)], [{ balance: 66 }, { balance: 334 }]);
  t.equal((await refund({ restock: false })).status, 200);
  t.match([await cardOf(one), await cardOf(two)], [{ balance: 100 }, { balance: 501 }]);
});

t.test('a card keeps its number when the key changes, under the new key once it was used', async (t) => {
  const [used, unused, repeated] = [await issue(1000), await issue(1000), await issue(1000)];
  const { config, redisKeyPrefix } = shop.service;
  const [old] = config.dataKeys;
  const next = { kid: 'd2', secret: 'a newer secret that encrypts stored data of tests' };
  const token = await mintToken({ shop: shop.shopId, scope: 'shop:write baskets:write' });
  const withKeys = async (...dataKeys: { kid: string; secret: string }[]) => {
    const replica = await startTestService(t, { databaseUrl: config.databaseUrl, dataKeys }, redisKeyPrefix);
    return api(replica.url, token);
  };
  const read = (at: ReturnType<typeof api>, number: string) => at.request<Card>('GET', `/v1/gift-cards/${number}`);
  const body = { items, giftCards: [repeated] };
  const key = { 'idempotency-key': 'before-the-change' };
  const first = await shop.backEnd.request<Shown>('POST', '/v1/baskets', body, key);
  if (old === undefined) throw new Error('the service has a key');
  const both = await withKeys(next, old);
  t.match(await read(both, used), { status: 200, body: { balance: 1000 } });
  const again = await both.request<Shown>('POST', '/v1/baskets', body, key);
  t.match(again, { status: 201, body: { id: first.body.id } }, 'and a repeated request its answer');
  const alone = await withKeys(next);
  t.equal((await read(alone, used)).status, 200);
  t.equal((await read(alone, unused)).status, 404);
});
