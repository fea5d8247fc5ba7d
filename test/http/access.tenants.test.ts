import t from 'tap';
import { activate, createBasket } from '../support/journey.ts';
import { contentsOf } from '../support/refusal.ts';
import { api, mintToken } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';

/* Every call of openapi.yaml that names something in its path, made by a tenant that it does not belong to. */

const everyScope =
  'shop:write catalogue:read webhooks:write baskets:read baskets:write customers:login confirmations:redeem orders:write';
/** Calls that name somebody of whom there is no list, so that nobody is unknown. */
const aboutAnybody = ['POST /v1/customers/{customerId}/erase'];
/** Calls that create what is not there: under an id of another shop they make the caller's own. */
const creating = [
  'PUT /v1/events/{eventId}',
  'PUT /v1/items/{itemId}',
  'PUT /v1/pools/{poolId}',
  'PUT /v1/discount-codes/{code}',
  'PUT /v1/access-codes/{code}',
  'PUT /v1/creator-codes/{code}',
  'PUT /v1/gift-cards/{number}',
  'PUT /v1/webhooks/{webhookId}',
];

const shop = await openShop(t);
const { body: document } = await api(shop.service.url, null).request<{ paths: Record<string, object> }>(
  'GET',
  '/openapi.json',
);
const operations = Object.entries(document.paths)
  .filter(([path]) => path.startsWith('/v1/') && path.includes('{'))
  .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));

const put = async (path: string, body: object) => {
  const { status, text } = await shop.owner.request('PUT', path, body);
  if (status !== 200) throw new Error(text);
};
await put('/v1/pools/arena', { name: 'Arena', capacity: 10 });
await put('/v1/discount-codes/SECRET-CODE', { type: 'percent', value: 1000 });
await put('/v1/access-codes/SECRET-CODE', { itemIds: ['stalls'] });
await put('/v1/creator-codes/SECRET-CODE', { walletRef: 'w-1', sharePercent: 5 });
await put('/v1/gift-cards/4000-1234-5678', { balance: 100, currency: 'GBP' });
const basket = await createBasket(shop, { discountCodes: ['SECRET-CODE'], campaign: 'spring' });
const { body: key } = await shop.owner.request<{ apiKeyId: string }>('POST', '/v1/shops/roxy/api-keys', {
  name: 'x',
  scopes: ['baskets:read'],
});
const webhooks = await shop.withScope('webhooks:write');
await webhooks.request('PUT', '/v1/webhooks/hook-1', { url: 'https://receiver.example/ours' });
const { body: delivery } = await webhooks.request<{ deliveryId: string }>('POST', '/v1/webhooks/hook-1/test');
/** What the parameters of a path name in the shop `roxy`, and what nobody has. */
const foreign: Record<string, string> = {
  shopId: 'roxy',
  eventId: 'evt-1',
  itemId: 'stalls',
  poolId: 'arena',
  id: basket.id,
  lineId: '1',
  type: 'discount',
  code: 'SECRET-CODE',
  campaign: 'spring',
  number: '4000-1234-5678',
  apiKeyId: key.apiKeyId,
  webhookId: 'hook-1',
  deliveryId: delivery.deliveryId,
};
const unknown: Record<string, string> = {
  shopId: 'nobody',
  eventId: 'nothing',
  itemId: 'nothing',
  poolId: 'nothing',
  id: `${basket.id.slice(0, -3)}000`,
  lineId: '99',
  type: 'discount',
  code: 'NO-CODE',
  campaign: 'nothing',
  number: '4000-0000-0000',
  apiKeyId: `${key.apiKeyId.slice(0, -3)}000`,
  webhookId: 'nothing',
  deliveryId: `${delivery.deliveryId.slice(0, -3)}000`,
};

function filled(template: string, values: Record<string, string>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`the test does not know what {${name}} may be`);
    return value;
  });
}

async function seen(client: ReturnType<typeof api>, method: string, path: string, body: unknown) {
  const answer = await client.request(method, path, method === 'GET' ? undefined : body);
  const requestId = answer.headers.get('x-request-id') ?? 'none';
  const headers = [...answer.headers].filter(([name]) => name !== 'date' && name !== 'x-request-id');
  return { status: answer.status, headers, text: answer.text.replace(requestId, '…') };
}

t.test('what belongs to another shop answers byte for byte like what nobody has, on every route', async (t) => {
  const platform = shop.as(await mintToken({ scope: 'platform' }));
  t.equal((await platform.request('PUT', '/v1/shops/other', shopSettings)).status, 200);
  const other = shop.as(await mintToken({ shop: 'other', scope: everyScope }));
  const before = await contentsOf(shop.service.pool);
  t.ok(operations.length > 20, 'there are routes');
  for (const operation of operations.filter((name) => ![...creating, ...aboutAnybody].includes(name))) {
    const [method = '', template = ''] = operation.split(' ');
    const withinOwnShop = template.includes('{shopId}/') && template.includes('Id}', template.indexOf('{shopId}') + 8);
    const cases = [{}, ...(withinOwnShop ? [{ shopId: 'other' }] : [])];
    for (const own of cases) {
      for (const body of [{}, { evil: 1 }, '{']) {
        const what = `${operation} ${JSON.stringify(own)} ${JSON.stringify(body)}`;
        const expected = await seen(other, method, filled(template, { ...unknown, ...own }), body);
        t.equal(expected.status, 404, what);
        t.same(await seen(other, method, filled(template, { ...foreign, ...own }), body), expected, what);
      }
    }
  }
  t.same(await contentsOf(shop.service.pool), before, 'nothing is written');
});

t.test('whoever acts for a shop that nobody has made finds nothing to write to', async (t) => {
  const nobody = shop.as(await mintToken({ shop: 'nobody', scope: everyScope }));
  const bodies: Record<string, object> = {
    'PUT /v1/events/{eventId}': { name: 'Gala', status: 'scheduled' },
    'PUT /v1/items/{itemId}': { name: 'Stalls', price: 100 },
    'PUT /v1/items': { items: [{ itemId: 'stalls', name: 'Stalls', price: 100 }] },
    'PUT /v1/pools/{poolId}': { name: 'Arena', capacity: 10 },
    'PUT /v1/discount-codes/{code}': { type: 'fixed', value: 100 },
    'PUT /v1/access-codes/{code}': { itemIds: ['stalls'] },
    'PUT /v1/creator-codes/{code}': { walletRef: 'w-1', sharePercent: 5 },
    'PUT /v1/gift-cards/{number}': { balance: 100, currency: 'GBP' },
    'PUT /v1/webhooks/{webhookId}': { url: 'https://receiver.example/nobody' },
  };
  t.same(
    Object.keys(bodies)
      .filter((operation) => operation.includes('{'))
      .sort(),
    [...creating].sort(),
  );
  const before = await contentsOf(shop.service.pool);
  for (const [operation, body] of Object.entries(bodies)) {
    const [method = '', template = ''] = operation.split(' ');
    t.equal((await seen(nobody, method, filled(template, foreign), body)).status, 404, operation);
  }
  t.same(await contentsOf(shop.service.pool), before, 'nothing is written');
});

const ofBaskets = operations.filter((operation) => operation.includes('/v1/baskets/{id}'));

t.test('what belongs to another partner answers like what nobody has, on every route about a basket', async (t) => {
  const owner = await shop.withScope(everyScope, 'partner-a');
  const neighbour = await shop.withScope(everyScope, 'partner-b');
  const theirs = await createBasket(shop, {}, owner);
  const before = await contentsOf(shop.service.pool);
  t.ok(ofBaskets.length > 10, 'there are routes');
  for (const operation of ofBaskets) {
    const [method = '', template = ''] = operation.split(' ');
    for (const body of [{}, { evil: 1 }, '{']) {
      const what = `${operation} ${JSON.stringify(body)}`;
      const expected = await seen(neighbour, method, filled(template, unknown), body);
      t.equal(expected.status, 404, what);
      for (const id of [theirs.id, basket.id]) {
        t.same(await seen(neighbour, method, filled(template, { ...foreign, id }), body), expected, what);
      }
    }
  }
  t.same(await contentsOf(shop.service.pool), before, 'nothing is written');
});

t.test(
  'to a session every basket but its own is like one that nobody has, on every route that it may use',
  async (t) => {
    const own = await createBasket(shop);
    const session = shop.as((await activate(shop, own.startBasketUrl)).session.token);
    const before = await contentsOf(shop.service.pool);
    let routes = 0;
    for (const operation of ofBaskets) {
      const [method = '', template = ''] = operation.split(' ');
      for (const body of [{}, { evil: 1 }, '{']) {
        const what = `${operation} ${JSON.stringify(body)}`;
        const expected = await seen(session, method, filled(template, unknown), body);
        t.same(await seen(session, method, filled(template, foreign), body), expected, what);
        t.match(expected.status, /^(403|404)$/, what);
        if (expected.status === 404) routes += 1;
      }
    }
    t.ok(routes > 10, 'there are routes that it may use');
    t.same(await contentsOf(shop.service.pool), before, 'nothing is written');
  },
);

t.test('an id of another shop is free: what is made under it is the caller’s own', async (t) => {
  const other = shop.as(await mintToken({ shop: 'other', scope: everyScope }));
  const bodies: Record<string, object> = {
    'PUT /v1/events/{eventId}': { name: 'Theirs' },
    'PUT /v1/items/{itemId}': { name: 'Theirs', price: 1, capacity: 1 },
    'PUT /v1/pools/{poolId}': { name: 'Theirs', capacity: 1 },
    'PUT /v1/discount-codes/{code}': { type: 'fixed', value: 1, itemIds: ['Theirs'] },
    'PUT /v1/access-codes/{code}': { itemIds: ['Theirs'] },
    'PUT /v1/creator-codes/{code}': { walletRef: 'Theirs', sharePercent: 1 },
    'PUT /v1/gift-cards/{number}': { balance: 77, currency: 'EUR' },
    'PUT /v1/webhooks/{webhookId}': { url: 'https://receiver.example/Theirs' },
  };
  for (const operation of creating) {
    const [method = '', template = ''] = operation.split(' ');
    const path = filled(template, foreign);
    const own = operation.includes('webhooks') ? webhooks : shop.owner;
    const before = await seen(own, 'GET', path, undefined);
    t.equal((await other.request(method, path, bodies[operation])).status, 200, operation);
    t.match(await seen(other, 'GET', path, undefined), { text: /Theirs|EUR/ }, operation);
    t.same(await seen(own, 'GET', path, undefined), before, operation);
  }
});

t.test('lists show a caller its own shop alone', async (t) => {
  const empty = shop.as(await mintToken({ shop: 'empty', scope: everyScope }));
  const platform = shop.as(await mintToken({ scope: 'platform' }));
  t.equal((await platform.request('PUT', '/v1/shops/empty', shopSettings)).status, 200);
  const lists = Object.entries(document.paths).filter(
    ([path, methods]) => /^\/v1\/[a-z-]+$/.test(path) && 'get' in methods,
  );
  t.ok(lists.length >= 2);
  for (const [path] of lists) {
    const { status, body } = await empty.request('GET', path);
    t.match({ status, body }, { status: 200, body: { data: [], nextCursor: null } }, path);
  }
});
