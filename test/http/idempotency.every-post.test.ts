import t from 'tap';
import { activate, checkout, complete, createBasket, openBasket, pressLink } from '../support/journey.ts';
import { assertRefused, contentsOf } from '../support/refusal.ts';
import { api } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

/* Every POST of openapi.yaml under /v1, each on something of its own, with a body that it takes. */

type Client = ReturnType<typeof api>;
type Call = { client: Client; path: string; body: Record<string, unknown>; other?: Record<string, unknown> };

const shop = await openShop(t, { settings: { basket: { maxLiveBasketsPerCustomer: null } } });
const { backEnd, owner, payments, frontEnd } = shop;
const webhooks = await shop.withScope('webhooks:write');
await webhooks.request('PUT', '/v1/webhooks/hook-1', { url: 'https://receiver.example/' });
const items = [{ itemId: 'stalls', quantity: 1 }];
const line = { itemId: 'stalls', quantity: 1, custom: { row: 'A' } };

/** A call that succeeds, and `other`: JSON that would be taken, too, were it not for the key. */
const calls: Record<string, () => Promise<Call>> = {
  'POST /v1/shops/{shopId}/api-keys': async () => {
    const body = { name: 'x', scopes: ['baskets:read'] };
    return { client: owner, path: '/v1/shops/roxy/api-keys', body, other: { ...body, name: 'y' } };
  },
  'POST /v1/events/{eventId}/cancel': async () => {
    await owner.request('PUT', '/v1/events/off', { name: 'Off' });
    return { client: owner, path: '/v1/events/off/cancel', body: {} };
  },
  'POST /v1/items/{itemId}/adjustments': async () => {
    const body = { delta: 5, reason: 'found some' };
    return { client: owner, path: '/v1/items/stalls/adjustments', body, other: { ...body, delta: 6 } };
  },
  'POST /v1/pools/{poolId}/adjustments': async () => {
    await owner.request('PUT', '/v1/pools/hall', { name: 'Hall', capacity: 1 });
    const body = { delta: 5, reason: 'found some' };
    return { client: owner, path: '/v1/pools/hall/adjustments', body, other: { ...body, reason: 'lost some' } };
  },
  'POST /v1/baskets': async () => ({
    client: backEnd,
    path: '/v1/baskets',
    body: { items },
    other: { items, reference: 'r-1' },
  }),
  // Of the keys of its entries one would be refused alone.
  'POST /v1/baskets/batch': async () => ({
    client: backEnd,
    path: '/v1/baskets/batch',
    body: { baskets: [{ items }, { items }] },
  }),
  'POST /v1/baskets/{id}/lines': async () => {
    const { id } = await createBasket(shop);
    return { client: backEnd, path: `/v1/baskets/${id}/lines`, body: line, other: { ...line, quantity: 2 } };
  },
  'POST /v1/baskets/{id}/codes': async () => {
    await owner.request('PUT', '/v1/discount-codes/TENTH', { type: 'percent', value: 1000 });
    await owner.request('PUT', '/v1/discount-codes/FIFTH', { type: 'percent', value: 2000 });
    const { id } = await createBasket(shop);
    const body = { type: 'discount', code: 'TENTH' };
    return { client: backEnd, path: `/v1/baskets/${id}/codes`, body, other: { ...body, code: 'FIFTH' } };
  },
  'POST /v1/baskets/{id}/extend': async () => {
    const { id } = await createBasket(shop);
    return { client: backEnd, path: `/v1/baskets/${id}/extend`, body: {} };
  },
  'POST /v1/baskets/{id}/cancel': async () => {
    const { id } = await createBasket(shop);
    return { client: backEnd, path: `/v1/baskets/${id}/cancel`, body: {} };
  },
  'POST /v1/baskets/{id}/authorize': async () => {
    const { id } = await createBasket(shop);
    const body = { username: 'Anna', usernameId: '1' };
    return { client: backEnd, path: `/v1/baskets/${id}/authorize`, body, other: { ...body, usernameId: '2' } };
  },
  'POST /v1/baskets/{id}/recreate': async () => {
    const { id } = await createBasket(shop);
    await backEnd.request('POST', `/v1/baskets/${id}/cancel`);
    return { client: backEnd, path: `/v1/baskets/${id}/recreate`, body: {} };
  },
  'POST /v1/baskets/{id}/link': async () => {
    const { id } = await createBasket(shop);
    return { client: backEnd, path: `/v1/baskets/${id}/link`, body: {} };
  },
  'POST /v1/customers/{customerId}/erase': async () => {
    const { id } = await createBasket(shop, { customer: { id: 'anna', email: 'anna@mail.example' } });
    await backEnd.request('POST', `/v1/baskets/${id}/cancel`);
    return { client: owner, path: '/v1/customers/anna/erase', body: {} };
  },
  'POST /v1/webhooks/{webhookId}/rotate-secret': async () => ({
    client: webhooks,
    path: '/v1/webhooks/hook-1/rotate-secret',
    body: {},
  }),
  'POST /v1/webhooks/{webhookId}/test': async () => ({ client: webhooks, path: '/v1/webhooks/hook-1/test', body: {} }),
  'POST /v1/webhooks/{webhookId}/deliveries/{deliveryId}/retry': async () => {
    const sent = await webhooks.request<{ deliveryId: string }>('POST', '/v1/webhooks/hook-1/test');
    return { client: webhooks, path: `/v1/webhooks/hook-1/deliveries/${sent.body.deliveryId}/retry`, body: {} };
  },
  'POST /v1/webhooks/{webhookId}/retry': async () => {
    const since = (time: string) => ({ since: `2026-01-01T${time}Z` });
    return { client: webhooks, path: '/v1/webhooks/hook-1/retry', body: since('00:00:00'), other: since('00:00:01') };
  },
  'POST /v1/confirmations': async () => {
    const body = { token: await pressLink((await createBasket(shop)).startBasketUrl) };
    return { client: frontEnd, path: '/v1/confirmations', body, other: { ...body, customerId: 'cus-1' } };
  },
  'POST /v1/baskets/{id}/checkout': async () => {
    const { id } = await openBasket(shop);
    return { client: payments, path: `/v1/baskets/${id}/checkout`, body: {}, other: { customerId: 'cus-1' } };
  },
  'POST /v1/baskets/{id}/checkout/fail': async () => {
    const { id, startBasketUrl } = await createBasket(shop);
    await activate(shop, startBasketUrl);
    const { leaseId } = (await checkout(shop, id)).body;
    return { client: payments, path: `/v1/baskets/${id}/checkout/fail`, body: { leaseId }, other: {} };
  },
  'POST /v1/baskets/{id}/complete': async () => {
    const { id } = await openBasket(shop);
    const body = { orderId: `order-${id}` };
    return { client: payments, path: `/v1/baskets/${id}/complete`, body, other: { ...body, fees: 1 } };
  },
  'POST /v1/baskets/{id}/refund': async () => {
    const { id } = await openBasket(shop, { items: [{ itemId: 'stalls', quantity: 2 }] });
    await complete(shop, id, { orderId: `order-${id}` });
    const body = { lines: [{ lineId: '1', quantity: 1 }] };
    return { client: payments, path: `/v1/baskets/${id}/refund`, body, other: { ...body, restock: false } };
  },
};

t.test('every POST of the API is tried here, and its document tells of the header', async (t) => {
  const { body: document } = await api(shop.service.url, null).request<{
    paths: Record<string, { post?: { parameters?: { in: string; name: string }[] } }>;
  }>('GET', '/openapi.json');
  const posts = Object.entries(document.paths).filter(([path, { post }]) => path.startsWith('/v1/') && post);
  t.same(Object.keys(calls).sort(), posts.map(([path]) => `POST ${path}`).sort());
  for (const [path, { post }] of posts) {
    t.ok(
      post?.parameters?.some((parameter) => parameter.in === 'header' && parameter.name === 'Idempotency-Key'),
      path,
    );
  }
});

for (const [operation, prepare] of Object.entries(calls)) {
  t.test(
    `${operation} honours its Idempotency-Key: once done, the same answer, and nothing else under it`,
    async (t) => {
      const { client, path, body, other } = await prepare();
      const send = (key: string, sent: object = body) => client.request('POST', path, sent, { 'idempotency-key': key });
      for (const key of ['', '""', 'a'.repeat(256), 'a\tb', 'clé']) {
        const expected = { status: 400, code: 'invalid_idempotency_key' } as const;
        await assertRefused(t, shop, `the key ${JSON.stringify(key)}`, expected, () => send(key));
      }
      const first = await send('once');
      t.match(first.status, /^20[012]$/, first.text);
      t.equal(first.headers.get('idempotent-replayed'), null);
      const before = await contentsOf(shop.service.pool);
      const again = await send('"once"');
      t.equal(again.status, first.status);
      t.equal(again.text, first.text, 'the same bytes');
      t.equal(again.headers.get('idempotent-replayed'), 'true');
      t.same(await contentsOf(shop.service.pool), before, 'a replay writes nothing');
      if (other === undefined) return;
      await assertRefused(t, shop, 'other JSON', { status: 422, code: 'idempotency_key_reused' }, () =>
        send('once', other),
      );
    },
  );
}
