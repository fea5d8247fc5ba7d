import t from 'tap';
import { createBasket } from '../support/journey.ts';
import { assertRefused, contentsOf } from '../support/refusal.ts';
import { api, mintToken } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';

const everyScope =
  'shop:write catalogue:read baskets:read baskets:write customers:login confirmations:redeem orders:write';

/** Every call about one basket, with what makes each of them a 400 once the basket exists for the caller. */
const operations = [
  ['GET', ''],
  ['PATCH', ''],
  ['POST', '/lines'],
  ['PATCH', '/lines/1'],
  ['DELETE', '/lines/1'],
  ['POST', '/extend'],
  ['POST', '/cancel'],
  ['POST', '/link'],
  ['DELETE', '/link'],
  ['POST', '/checkout'],
  ['DELETE', '/checkout'],
  ['POST', '/checkout/fail'],
  ['POST', '/complete'],
  ['POST', '/refund'],
] as const;
const malformed: { what: string; query?: string; body?: unknown; headers?: Record<string, string> }[] = [
  { what: 'JSON that ends too early', body: '{' },
  { what: 'an unknown property', body: { evil: 1 } },
  { what: 'an unknown query parameter', query: '?evil=1' },
  { what: 'a malformed idempotency key', headers: { 'idempotency-key': '' } },
];

const shop = await openShop(t);

t.test('a basket of somebody else answers byte for byte like one that is not there, whatever is sent', async (t) => {
  const owner = await shop.withScope(everyScope, 'partner-a');
  const neighbour = await shop.withScope(everyScope, 'partner-b');
  const platform = shop.as(await mintToken({ shop: 'other', scope: `platform ${everyScope}` }));
  t.equal((await platform.request('PUT', '/v1/shops/other', shopSettings)).status, 200);
  const { id } = await createBasket(shop, {}, owner);
  const unknownId = `${id.slice(0, -3)}000`;
  const before = await contentsOf(shop.service.pool);

  for (const [method, suffix] of operations) {
    const cases = [{ what: 'nothing wrong', body: method === 'GET' ? undefined : {} }, ...malformed];
    for (const { what, query = '', body, headers = {} } of cases) {
      // What a GET or DELETE carries as its body is not looked at, nor a GET's idempotency key.
      if (method === 'GET' && (body !== undefined || 'idempotency-key' in headers)) continue;
      if (method === 'DELETE' && typeof body === 'object') continue;
      const seenBy = async (client: typeof owner, basketId: string) => {
        const answer = await client.request(method, `/v1/baskets/${basketId}${suffix}${query}`, body, headers);
        const requestId = answer.headers.get('x-request-id') ?? 'none';
        const shown = [...answer.headers].filter(([name]) => name !== 'date' && name !== 'x-request-id');
        return { status: answer.status, headers: shown, text: answer.text.replace(requestId, '…') };
      };
      const unknown = await seenBy(owner, unknownId);
      const call = `${method} …${suffix}, ${what}`;
      t.equal(unknown.status, 404, call);
      t.same(await seenBy(neighbour, id), unknown, `${call}: another partner’s`);
      t.same(await seenBy(platform, id), unknown, `${call}: another shop’s`);
      t.same(await seenBy(owner, 'no%20id%00'), unknown, `${call}: no id at all`);
      if (what === 'nothing wrong') continue;
      t.equal((await seenBy(owner, id)).status, 400, `${call}: its own`);
    }
  }
  t.same(await contentsOf(shop.service.pool), before, 'nothing was written');
});

t.test('401 is said before 403, 403 before 404, 404 before 400', async (t) => {
  const anonymous = api(shop.service.url, null);
  const reader = await shop.withScope('baskets:read catalogue:read');
  const calls = [
    ['POST', '/v1/baskets/unknown/cancel'],
    ['PATCH', '/v1/events/unknown'],
    ['POST', '/v1/events/unknown/cancel'],
    ['PATCH', '/v1/items/unknown'],
    ['POST', '/v1/items/unknown/adjustments'],
    ['POST', '/v1/pools/unknown/adjustments'],
    ['PATCH', '/v1/shops/unknown'],
    ['PUT', '/v1/shops/unknown'],
  ] as const;
  for (const [method, path] of calls) {
    const manager = method === 'POST' && path.includes('baskets') ? shop.backEnd : shop.owner;
    const call = `${method} ${path}`;
    for (const body of ['{', { evil: 1 }]) {
      const send = (client: typeof reader) => () => client.request(method, path, body);
      await assertRefused(
        t,
        shop,
        `${call} without a credential`,
        { status: 401, code: 'unauthorized' },
        send(anonymous),
      );
      await assertRefused(t, shop, `${call} without the scope`, { status: 403, code: 'forbidden' }, send(reader));
      await assertRefused(t, shop, `${call} of nothing`, { status: 404, code: 'not_found' }, send(manager));
    }
  }
});

t.test('what cannot be an id is not looked up: with NUL in it Postgres would refuse the query', async (t) => {
  const platform = await shop.withScope('platform');
  for (const path of [
    '/v1/shops/%00',
    '/v1/shops/%00/laravel-keys',
    '/v1/events/%00',
    '/v1/items/%00',
    '/v1/pools/%00',
  ]) {
    const caller = path.startsWith('/v1/shops/') ? platform : shop.owner;
    t.match(await caller.request('PUT', path, { evil: 1 }), { status: 400, body: { code: 'invalid_request' } }, path);
  }
});
