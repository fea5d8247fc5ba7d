import t from 'tap';
import { activate, createBasket, pressLink } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { api } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const items = [{ itemId: 'stalls', quantity: 1 }];
const shop = await openShop(t, { settings: { basket: { maxLiveBasketsPerCustomer: 1 } } });

t.test('a refusal of any status is one problem document, and its type is a page about its code', async (t) => {
  const { backEnd, payments } = shop;
  const { id } = await createBasket(shop, { customer: { id: 'cus-1' } });
  const { id: cancelled, startBasketUrl } = await createBasket(shop);
  await backEnd.request('POST', `/v1/baskets/${cancelled}/cancel`);
  const { id: paid } = await createBasket(shop).then(async (basket) => {
    await activate(shop, basket.startBasketUrl);
    await payments.request('POST', `/v1/baskets/${basket.id}/complete`, { orderId: 'order-1' });
    return basket;
  });

  const create = (body: object, headers = {}) => backEnd.request('POST', '/v1/baskets', body, headers);
  const cases = [
    { status: 400, code: 'invalid_json', send: () => backEnd.request('POST', '/v1/baskets', '{') },
    { status: 400, code: 'invalid_request', send: () => create({}) },
    { status: 400, code: 'invalid_idempotency_key', send: () => create({ items }, { 'idempotency-key': '""' }) },
    { status: 400, code: 'invalid_cursor', send: () => backEnd.request('GET', '/v1/baskets?cursor=x') },
    { status: 401, code: 'unauthorized', send: () => api(shop.service.url, null).request('GET', '/v1/baskets') },
    { status: 403, code: 'forbidden', send: () => shop.frontEnd.request('GET', '/v1/baskets') },
    { status: 403, code: 'link_invalid', send: () => backEnd.request('GET', '/b/unsigned') },
    { status: 404, code: 'not_found', send: () => backEnd.request('GET', '/v1/baskets/unknown') },
    { status: 404, code: 'not_found', send: () => backEnd.request('GET', '/v1/nothing') },
    { status: 405, code: 'method_not_allowed', send: () => backEnd.request('PUT', '/v1/baskets', {}) },
    { status: 409, code: 'basket_not_live', send: () => backEnd.request('POST', `/v1/baskets/${paid}/cancel`) },
    { status: 409, code: 'insufficient_stock', send: () => create({ items: [{ itemId: 'few', quantity: 2 }] }) },
    {
      status: 410,
      code: 'basket_cancelled',
      send: () => backEnd.request('GET', new URL(startBasketUrl).pathname, undefined, { accept: 'application/json' }),
    },
    {
      status: 412,
      code: 'version_conflict',
      send: () => backEnd.request('POST', `/v1/baskets/${id}/cancel`, {}, { 'if-match': '"7"' }),
    },
    { status: 413, code: 'payload_too_large', send: () => create({ custom: { text: 'a'.repeat(64 * 1024) } }) },
    {
      status: 415,
      code: 'unsupported_media_type',
      send: () => backEnd.request('POST', '/v1/baskets', '{}', { 'content-type': 'text/plain' }),
    },
    { status: 422, code: 'unknown_item', send: () => create({ items: [{ itemId: 'no-such-item', quantity: 1 }] }) },
    { status: 429, code: 'live_basket_limit', send: () => create({ items, customer: { id: 'cus-1' } }) },
  ] as const;
  await shop.owner.request('PUT', '/v1/items/few', { name: 'Few', price: 1, capacity: 1 });

  for (const { status, code, send } of cases) {
    const { headers, body, text } = await assertRefused(t, shop, code, { status, code }, send);
    t.equal(headers.get('www-authenticate'), status === 401 ? 'Bearer' : null);
    t.equal(/^[1-9]\d*$/.test(headers.get('retry-after') ?? ''), status === 429);
    t.notMatch(text, /node_modules|\.ts\b|SELECT|"stack"|[a-z]+_[a-z]+ relation/, 'nothing of the inside is told');
    const page = await fetch((body as { type: string }).type);
    t.match(
      { status: page.status, type: page.headers.get('content-type'), text: await page.text() },
      { status: 200, type: /^text\/html/, text: code },
    );
  }
  t.equal((await fetch(`${shop.service.url}/problems/no_such_code`)).status, 404);
});

t.test('what breaks on our side is a 500 that says nothing about its cause, a 400 in waiting included', async (t) => {
  const shop = await openShop(t);
  const { id } = await createBasket(shop);
  const token = await pressLink((await createBasket(shop)).startBasketUrl);
  await shop.service.pool.query('ALTER TABLE baskets RENAME COLUMN shop_id TO lost');
  const calls = [
    ['GET', `/v1/baskets/${id}`, undefined],
    ['POST', '/v1/baskets', { items }],
    // Whether the basket exists is asked before the 400, and cannot be answered.
    ['POST', `/v1/baskets/${id}/cancel`, '{'],
  ] as const;
  for (const [method, path, body] of calls) {
    await assertRefused(t, shop, `${method} ${path}`, { status: 500, code: 'internal_error' }, async () => {
      const answer = await shop.backEnd.request(method, path, body);
      t.notMatch(answer.text, /column|relation|shop_id|baskets b|stack|\.ts/);
      return answer;
    });
  }
  await assertRefused(t, shop, 'redemption', { status: 500, code: 'internal_error' }, () =>
    shop.frontEnd.request('POST', '/v1/confirmations', { token }),
  );
});

t.test('while a row is locked by somebody who does not let go, the caller is told when to come back', async (t) => {
  const { id } = await createBasket(shop);
  const stuck = await shop.service.pool.connect();
  t.teardown(() => stuck.release(true));
  await stuck.query('BEGIN');
  await stuck.query('SELECT FROM baskets FOR UPDATE');
  const startedMs = performance.now();
  const answer = await assertRefused(t, shop, 'cancel', { status: 503, code: 'unavailable' }, () =>
    shop.backEnd.request('POST', `/v1/baskets/${id}/cancel`),
  );
  t.match(answer.headers.get('retry-after'), /^[1-9]\d*$/);
  t.ok(performance.now() - startedMs < 5000, 'within what a caller waits');
});

t.test('a 400 names each place that is wrong by a JSON pointer, and an unknown property by its name', async (t) => {
  const line = { itemId: 'stalls', quantity: 1 };
  const cases = [
    { body: {}, pointer: '/items' },
    { body: { items: [] }, pointer: '/items' },
    { body: { items: [{ itemId: 'stalls' }] }, pointer: '/items/0/quantity' },
    { body: { items: [line, { ...line, quantity: 0 }] }, pointer: '/items/1/quantity' },
    { body: { items, evil: 1 }, pointer: '/evil' },
    { body: { items: [{ ...line, unitPrice: 1 }] }, pointer: '/items/0/unitPrice' },
    { body: { items, 'a/b~c': 1 }, pointer: '/a~1b~0c' },
    { body: { items, customer: { email: 'x' } }, pointer: '/customer/email' },
    { body: { items, custom: { a: { b: 'a\0' } } }, pointer: '/custom/a/b' },
  ];
  for (const { body, pointer } of cases) {
    const answer = await assertRefused(t, shop, pointer, { status: 400, code: 'invalid_request' }, () =>
      shop.backEnd.request('POST', '/v1/baskets', body),
    );
    t.match(answer.body, { errors: [{ pointer, detail: /./ }] });
    t.match((answer.body as { detail: string }).detail, pointer);
  }
  const query = await shop.backEnd.request('GET', '/v1/baskets?evil=1');
  t.match(query.body, { errors: [{ pointer: 'query/evil' }] });
});
