import t from 'tap';
import { activate, createBasket, letExpire } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { mintToken } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';

const shop = await openShop(t);
type Page = { data: ({ id: string; updatedAt: string } & Record<string, unknown>)[]; nextCursor: string | null };
const list = (query: string, client = shop.backEnd) => client.request<Page>('GET', `/v1/baskets${query}`);
const idsOf = async (query: string, client = shop.backEnd) => {
  const { status, body, text } = await list(query, client);
  if (status !== 200) throw new Error(text);
  return body.data.map(({ id }) => id);
};

const partnerScopes = 'baskets:read baskets:write';
const partnerA = await shop.withScope(partnerScopes, 'partner-a');
const partnerB = await shop.withScope(partnerScopes, 'partner-b');

t.test('each filter gives the baskets that it describes, newest first, and filters add up', async (t) => {
  const plain = await createBasket(shop);
  const first = await createBasket(shop, { customer: { id: 'cus-1' }, reference: 'r-1', campaign: 'spring' });
  const second = await createBasket(shop, { customer: { id: 'cus-1' }, reference: 'r-2', campaign: 'spring' });
  const third = await createBasket(shop, { customer: { id: 'cus-2' }, reference: 'r-1', campaign: 'autumn' });
  const paid = await createBasket(shop, { customer: { id: 'cus-3' } });
  await activate(shop, paid.startBasketUrl);
  const { body: activated } = await list('?status=activated');
  t.match(activated.data, [{ id: paid.id, status: 'activated' }]);
  await shop.payments.request('POST', `/v1/baskets/${paid.id}/checkout`);
  t.same(await idsOf('?status=checkout'), [paid.id]);
  await shop.payments.request('POST', `/v1/baskets/${paid.id}/complete`, { orderId: 'order-1' });
  const cancelled = await createBasket(shop);
  await shop.backEnd.request('POST', `/v1/baskets/${cancelled.id}/cancel`);
  const expired = await createBasket(shop);
  await letExpire(shop, expired.id);

  const cases: Record<string, string[]> = {
    '': [expired, cancelled, paid, third, second, first, plain].map(({ id }) => id),
    '?customerId=cus-1': [second.id, first.id],
    '?reference=r-1': [third.id, first.id],
    '?campaign=spring': [second.id, first.id],
    '?orderId=order-1': [paid.id],
    '?status=open': [third.id, second.id, first.id, plain.id],
    '?status=completed': [paid.id],
    '?status=cancelled': [cancelled.id],
    '?status=expired': [expired.id],
    '?status=activated': [],
    '?customerId=cus-1&reference=r-1&campaign=spring&status=open': [first.id],
    '?customerId=cus-1&orderId=order-1': [],
    '?customerId=nobody': [],
  };
  for (const [query, ids] of Object.entries(cases)) t.same(await idsOf(query), ids, query);

  const { body } = await list('');
  for (const shown of body.data) {
    const read = await shop.backEnd.request<Record<string, unknown>>('GET', `/v1/baskets/${shown.id}`);
    t.same({ ...shown, serverTime: null }, { ...read.body, serverTime: null }, 'a list shows what a GET shows');
  }
  const updates = body.data.map(({ updatedAt }) => updatedAt).sort();
  for (const moment of updates) {
    const after = body.data.filter(({ updatedAt }) => updatedAt > moment).map(({ id }) => id);
    t.same(await idsOf(`?updatedAfter=${moment}`), after, `updated after ${moment}`);
  }
});

t.test('pages follow each other without a gap or a repetition, also while baskets are made', async (t) => {
  const made: string[] = [];
  for (let n = 0; n < 5; n += 1) made.unshift((await createBasket(shop, { campaign: 'paged' })).id);
  const first = await list('?campaign=paged&limit=2');
  await createBasket(shop, { campaign: 'paged' });
  const second = await list(`?campaign=paged&limit=2&cursor=${first.body.nextCursor}`);
  const third = await list(`?campaign=paged&limit=2&cursor=${second.body.nextCursor}`);
  t.same(
    [first, second, third].flatMap(({ body }) => body.data.map(({ id }) => id)),
    made,
  );
  t.equal(third.body.nextCursor, null);
  t.equal((await list('?campaign=paged&limit=6')).body.nextCursor, null, 'a full page may be the last');
});

t.test('a partner sees and changes its own baskets only, the shop sees all', async (t) => {
  const own = await createBasket(shop, { campaign: 'partners' }, partnerA);
  const other = await createBasket(shop, { campaign: 'partners' }, partnerB);
  const shops = await createBasket(shop, { campaign: 'partners' });
  t.same(await idsOf('?campaign=partners'), [shops.id, other.id, own.id]);
  t.same(await idsOf('?campaign=partners', partnerA), [own.id]);
  t.same(await idsOf('?campaign=partners', partnerB), [other.id]);
  for (const { id } of [other, shops]) {
    for (const [method, path, body] of [
      ['GET', `/v1/baskets/${id}`, undefined],
      ['PATCH', `/v1/baskets/${id}`, { reference: 'mine' }],
      ['POST', `/v1/baskets/${id}/cancel`, {}],
      ['POST', `/v1/baskets/${id}/link`, {}],
    ] as const) {
      await assertRefused(t, shop, `${method} ${path}`, { status: 404, code: 'not_found' }, () =>
        partnerA.request(method, path, body),
      );
    }
  }
  t.equal((await partnerA.request('POST', `/v1/baskets/${own.id}/cancel`)).status, 200);
});

t.test('another shop lists its own baskets', async (t) => {
  const token = await mintToken({ shop: 'other', scope: `shop:write ${partnerScopes}` });
  const other = shop.as(token);
  await other.request('PUT', '/v1/shops/other', shopSettings);
  await other.request('PUT', '/v1/items/stalls', { name: 'Stalls', price: 1 });
  const theirs = await createBasket(shop, {}, other);
  t.same(await idsOf('', other), [theirs.id]);
  t.notOk((await idsOf('?limit=100')).includes(theirs.id));
});

t.test('a filter or cursor that makes no sense is a 400', async (t) => {
  const queries = [
    ...['0', '-1', '101', '1e9', 'abc', '', '1.5', '%201'].map((limit) => `limit=${limit}`),
    'status=live',
    'status=',
    'customerId=a%20b',
    'reference=%00',
    'orderId=',
    'updatedAfter=yesterday',
    'updatedAfter=2026-01-01',
    'updatedAfter=0000-01-01T00:00:00Z',
    'updatedAfter=2016-12-31T23:59:60Z',
    'updatedAfter=2026-01-01T00:00:00%2B20:00',
    'sort=price;drop',
    'sort=id%22',
    'partner=partner-b',
    'status=open&status=expired',
    'customerId[]=cus-1',
  ];
  for (const query of queries) {
    await assertRefused(t, shop, query, { status: 400, code: 'invalid_request' }, () => list(`?${query}`));
  }
  for (let n = 0; n < 2; n += 1) await createBasket(shop, { campaign: 'cursors' }, partnerA);
  const { nextCursor } = (await list('?campaign=cursors&limit=1', partnerA)).body;
  if (nextCursor === null) throw new Error('there is no next page');
  t.equal((await list(`?campaign=cursors&limit=100&cursor=${nextCursor}`, partnerA)).status, 200);
  const cursors: Record<string, () => ReturnType<typeof list>> = {
    'without its filter': () => list(`?cursor=${nextCursor}`, partnerA),
    'with another filter': () => list(`?campaign=cursors&status=open&cursor=${nextCursor}`, partnerA),
    'by another partner': () => list(`?campaign=cursors&cursor=${nextCursor}`, partnerB),
    'by the shop': () => list(`?campaign=cursors&cursor=${nextCursor}`),
    'with a character changed': () => list(`?campaign=cursors&cursor=x${nextCursor.slice(1)}`, partnerA),
    'that is the id of a basket': () => list('?campaign=cursors&cursor=bkt_01h455vb4pex5vsknk084sn02q', partnerA),
    'that is far too long': () => list(`?campaign=cursors&cursor=${'A'.repeat(1999)}`, partnerA),
  };
  for (const [what, send] of Object.entries(cursors)) {
    await assertRefused(t, shop, `a cursor ${what}`, { status: 400, code: 'invalid_cursor' }, send);
  }
});
