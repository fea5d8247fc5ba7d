import t from 'tap';
import { activate, createBasket } from '../support/journey.ts';
import { api, mintToken } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const scopes = [
  'platform',
  'shop:write',
  'catalogue:read',
  'webhooks:write',
  'baskets:read',
  'baskets:write',
  'customers:login',
  'confirmations:redeem',
  'orders:write',
];

const managing = ['platform', 'shop:write'];
const reading = ['catalogue:read', 'baskets:write', 'shop:write'];
const writing = ['shop:write'];

/** Who may call what: any one of the scopes suffices. */
const rules: Record<string, string[]> = {
  'PUT /v1/shops/{shopId}': managing,
  'PATCH /v1/shops/{shopId}': managing,
  'GET /v1/shops/{shopId}': managing,
  'PUT /v1/shops/{shopId}/laravel-keys': managing,
  'POST /v1/shops/{shopId}/api-keys': managing,
  'GET /v1/shops/{shopId}/api-keys': managing,
  'DELETE /v1/shops/{shopId}/api-keys/{apiKeyId}': managing,
  'PUT /v1/events/{eventId}': writing,
  'PATCH /v1/events/{eventId}': writing,
  'GET /v1/events/{eventId}': reading,
  'POST /v1/events/{eventId}/cancel': writing,
  'PUT /v1/items/{itemId}': writing,
  'PATCH /v1/items/{itemId}': writing,
  'GET /v1/items/{itemId}': reading,
  'POST /v1/items/{itemId}/adjustments': writing,
  'PUT /v1/items': writing,
  'GET /v1/items': reading,
  'PUT /v1/pools/{poolId}': writing,
  'GET /v1/pools/{poolId}': reading,
  'POST /v1/pools/{poolId}/adjustments': writing,
  'PUT /v1/discount-codes/{code}': writing,
  'GET /v1/discount-codes/{code}': writing,
  'DELETE /v1/discount-codes/{code}': writing,
  'PUT /v1/access-codes/{code}': writing,
  'GET /v1/access-codes/{code}': writing,
  'DELETE /v1/access-codes/{code}': writing,
  'PUT /v1/gift-cards/{number}': writing,
  'GET /v1/gift-cards/{number}': writing,
  'DELETE /v1/gift-cards/{number}': writing,
  'PUT /v1/creator-codes/{code}': writing,
  'GET /v1/creator-codes/{code}': writing,
  'DELETE /v1/creator-codes/{code}': writing,
  'POST /v1/baskets': ['baskets:write'],
  'POST /v1/baskets/batch': ['baskets:write'],
  'GET /v1/baskets': ['baskets:read'],
  'GET /v1/baskets/{id}': ['baskets:read'],
  'GET /v1/baskets/{id}/timeline': ['baskets:read'],
  'PATCH /v1/baskets/{id}': ['baskets:write'],
  'POST /v1/baskets/{id}/lines': ['baskets:write'],
  'PATCH /v1/baskets/{id}/lines/{lineId}': ['baskets:write'],
  'DELETE /v1/baskets/{id}/lines/{lineId}': ['baskets:write'],
  'POST /v1/baskets/{id}/codes': ['baskets:write'],
  'DELETE /v1/baskets/{id}/codes/{type}/{code}': ['baskets:write'],
  'POST /v1/baskets/{id}/extend': ['baskets:write'],
  'POST /v1/baskets/{id}/recreate': ['baskets:write'],
  'POST /v1/baskets/{id}/cancel': ['baskets:write'],
  'POST /v1/baskets/{id}/authorize': ['baskets:write'],
  'POST /v1/baskets/{id}/link': ['baskets:write'],
  'DELETE /v1/baskets/{id}/link': ['baskets:write'],
  'POST /v1/customers/{customerId}/erase': writing,
  'GET /v1/changes': ['webhooks:write'],
  'GET /v1/campaigns/{campaign}': ['baskets:read'],
  'PUT /v1/webhooks/{webhookId}': ['webhooks:write'],
  'GET /v1/webhooks/{webhookId}': ['webhooks:write'],
  'DELETE /v1/webhooks/{webhookId}': ['webhooks:write'],
  'GET /v1/webhooks': ['webhooks:write'],
  'POST /v1/webhooks/{webhookId}/rotate-secret': ['webhooks:write'],
  'POST /v1/webhooks/{webhookId}/test': ['webhooks:write'],
  'GET /v1/webhooks/{webhookId}/deliveries': ['webhooks:write'],
  'POST /v1/webhooks/{webhookId}/deliveries/{deliveryId}/retry': ['webhooks:write'],
  'POST /v1/webhooks/{webhookId}/retry': ['webhooks:write'],
  'POST /v1/confirmations': ['confirmations:redeem'],
  'POST /v1/baskets/{id}/checkout': ['orders:write'],
  'DELETE /v1/baskets/{id}/checkout': ['orders:write'],
  'POST /v1/baskets/{id}/checkout/fail': ['orders:write'],
  'POST /v1/baskets/{id}/complete': ['orders:write'],
  'POST /v1/baskets/{id}/refund': ['orders:write'],
};

/** What a session token may do with its own basket. */
const ofSessions = [
  'GET /v1/baskets/{id}',
  'POST /v1/baskets/{id}/lines',
  'PATCH /v1/baskets/{id}/lines/{lineId}',
  'DELETE /v1/baskets/{id}/lines/{lineId}',
  'POST /v1/baskets/{id}/codes',
  'DELETE /v1/baskets/{id}/codes/{type}/{code}',
  'POST /v1/baskets/{id}/extend',
  'POST /v1/baskets/{id}/recreate',
  'POST /v1/baskets/{id}/checkout',
  'DELETE /v1/baskets/{id}/checkout',
];

/** What is the shop's own: nobody who is limited to a partner may do it, whatever the scopes. */
const notOfPartners = [
  'PUT /v1/shops/{shopId}/laravel-keys',
  'POST /v1/shops/{shopId}/api-keys',
  'GET /v1/shops/{shopId}/api-keys',
  'DELETE /v1/shops/{shopId}/api-keys/{apiKeyId}',
  'POST /v1/customers/{customerId}/erase',
];

const shop = await openShop(t);

t.test('each call is open to the scopes that it names, one of them sufficing, and to no others', async (t) => {
  const { body: document } = await api(shop.service.url, null).request<{ paths: Record<string, object> }>(
    'GET',
    '/openapi.json',
  );
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const underV1 = operations.filter((operation) => operation.includes(' /v1/'));
  t.same(underV1.sort(), Object.keys(rules).sort(), 'every call under /v1 has a rule here');

  for (const [operation, allowed] of Object.entries(rules)) {
    const [method = '', template = ''] = operation.split(' ');
    const path = template.replace('{shopId}', shop.shopId).replace(/\{\w+\}/g, 'unknown');
    // A body that cannot be read: whether the caller may call at all is said first.
    const statusWith = async (scope: string) =>
      shop
        .as(await mintToken({ shop: shop.shopId, scope }))
        .request<{ code: string; detail: string }>(method, path, method === 'GET' ? undefined : '{');
    const others = scopes.filter((scope) => !allowed.includes(scope));
    const refused = await statusWith(others.join(' '));
    t.match(refused, { status: 403, body: { code: 'forbidden' } }, `${operation} with every scope but its own`);
    for (const scope of allowed) {
      t.match(refused.body.detail, scope, `${operation} names ${scope}`);
      t.notMatch((await statusWith(scope)).status, /401|403/, `${operation} with ${scope}`);
    }
  }
});

t.test(
  'a session makes the calls that are the customer’s business, and a partner none that are the shop’s',
  async (t) => {
    const { id, startBasketUrl } = await createBasket(shop);
    const session = shop.as((await activate(shop, startBasketUrl)).session.token);
    const partner = await shop.withScope(scopes.filter((scope) => scope !== 'platform').join(' '), 'acme');
    const may: Record<'session' | 'partner', string[]> = { session: [], partner: [] };
    for (const operation of Object.keys(rules)) {
      const [method = '', template = ''] = operation.split(' ');
      const path = template
        .replace('{shopId}', shop.shopId)
        .replace('{id}', id)
        .replace(/\{\w+\}/g, 'unknown');
      // A query that no call has: of those that are allowed none does anything.
      const call = (client: typeof partner) =>
        client.request(method, `${path}?evil=1`, method === 'GET' || method === 'DELETE' ? undefined : '{');
      for (const [who, client] of Object.entries({ session, partner }) as ['session' | 'partner', typeof partner][]) {
        const { status, text } = await call(client);
        t.match(status, /^(400|403|404)$/, `${operation} by a ${who}: ${text}`);
        if (status !== 403) may[who].push(operation);
      }
    }
    t.same(may.session, ofSessions);
    t.same(
      Object.keys(rules).filter((operation) => !may.partner.includes(operation)),
      notOfPartners,
    );
  },
);

t.test('the OpenAPI document says who may make each call', async (t) => {
  type Operation = { security: { bearer?: string[]; session?: string[] }[]; 'x-no-partner'?: boolean };
  const { body: document } = await api(shop.service.url, null).request<{
    paths: Record<string, Record<string, Operation>>;
  }>('GET', '/openapi.json');
  for (const [operation, allowed] of Object.entries(rules)) {
    const [method = '', path = ''] = operation.split(' ');
    const said = document.paths[path]?.[method.toLowerCase()];
    const ways = [
      ...allowed.map((scope) => ({ bearer: [scope] })),
      ...(ofSessions.includes(operation) ? [{ session: [] }] : []),
    ];
    t.strictSame(said?.security, ways, operation);
    t.equal(said?.['x-no-partner'] ?? false, notOfPartners.includes(operation), operation);
  }
});

t.test('a scope is a whole word', async (t) => {
  for (const scope of [
    'baskets:rea',
    'baskets:read2',
    'baskets:',
    'BASKETS:READ',
    '*',
    'baskets:write,baskets:read',
    '',
  ]) {
    const client = await shop.withScope(scope);
    t.equal((await client.request('GET', '/v1/baskets')).status, 403, JSON.stringify(scope));
  }
});

t.test('a credential of the platform alone manages shops and acts for none', async (t) => {
  const platform = shop.as(await mintToken({ scope: 'platform baskets:read baskets:write shop:write' }));
  t.equal((await platform.request('GET', '/v1/shops/roxy')).status, 200);
  for (const [method, path] of [
    ['GET', '/v1/baskets'],
    ['POST', '/v1/baskets'],
    ['GET', '/v1/items/stalls'],
    ['PUT', '/v1/items/stalls'],
  ] as const) {
    const { status } = await platform.request(method, path, method === 'GET' ? undefined : {});
    t.equal(status, 403, `${method} ${path}`);
  }
});
