import t from 'tap';
import { createBasket, putItem } from '../support/journey.ts';
import { contentsOfRedis, inspectRedis, untilRedisHasAll } from '../support/redis.ts';
import { assertRefused } from '../support/refusal.ts';
import { mintToken } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';
import { until } from '../support/until.ts';

const shop = await openShop(t, { settings: { basket: { maxLines: 3, ttlSeconds: 100, maxLifetimeSeconds: 200 } } });
const items = [{ itemId: 'stalls', quantity: 1 }];
const create = (body: object, client = shop.backEnd) =>
  client.request<{ errors: object[] }>('POST', '/v1/baskets', body);
const put = async (itemId: string, body: object) => {
  const answer = await shop.owner.request('PUT', `/v1/items/${itemId}`, { name: itemId, price: 100, ...body });
  t.equal(answer.status, 200, answer.text);
};
const keyed = (key: string) => ({ 'idempotency-key': key });
const hour = 3_600_000;
const inHours = (hours: number) => new Date(Date.now() + hours * hour).toISOString();

t.test('what may not be sold is a 422 that names the item, and holds nothing', async (t) => {
  await shop.owner.request('PUT', '/v1/events/paused', { name: 'Paused', status: 'suspended' });
  await shop.owner.request('PUT', '/v1/events/off', { name: 'Off', status: 'cancelled' });
  const opens = inHours(1);
  const closed = inHours(-1);
  await put('early', { saleStartsAt: opens });
  await put('late', { saleEndsAt: closed });
  await put('secret', { accessRequired: true });
  await put('paused', { eventId: 'paused' });
  await put('off', { eventId: 'off' });
  await put('open', { saleStartsAt: closed, saleEndsAt: opens });
  await put('server', {
    variables: [
      { name: 'server_id', required: true, options: ['eu', 'us'] },
      { name: 'toString', required: true },
      { name: 'nick' },
    ],
  });
  const server = (variables: object) => [{ itemId: 'server', quantity: 1, variables }];
  const cases = [
    { items: [{ itemId: 'nothing', quantity: 1 }], code: 'unknown_item', errors: [{ itemId: 'nothing' }] },
    {
      items: [{ itemId: 'early', quantity: 1 }],
      code: 'sale_not_open',
      errors: [{ itemId: 'early', saleStartsAt: opens }],
    },
    { items: [{ itemId: 'late', quantity: 1 }], code: 'sale_closed', errors: [{ itemId: 'late', saleEndsAt: closed }] },
    { items: [{ itemId: 'secret', quantity: 1 }], code: 'access_code_required', errors: [{ itemId: 'secret' }] },
    { items: [{ itemId: 'paused', quantity: 1 }], code: 'event_suspended', errors: [{ itemId: 'paused' }] },
    { items: [{ itemId: 'off', quantity: 1 }], code: 'event_cancelled', errors: [{ itemId: 'off' }] },
    {
      items: [{ itemId: 'stalls', quantity: 9 }],
      code: 'quantity_limit',
      errors: [{ itemId: 'stalls', maxPerBasket: 8 }],
    },
    {
      // Two lines that are not merged, neither of them above the limit.
      items: [
        { itemId: 'stalls', quantity: 5, custom: { row: 'A' } },
        { itemId: 'stalls', quantity: 4, custom: { row: 'B' } },
      ],
      code: 'quantity_limit',
      errors: [{ itemId: 'stalls', maxPerBasket: 8 }],
    },
    {
      items: ['A', 'B', 'C', 'D'].map((row) => ({ itemId: 'stalls', quantity: 1, custom: { row } })),
      code: 'quantity_limit',
      errors: [{ maxLines: 3 }],
    },
    {
      items: server({}),
      code: 'variable_required',
      errors: [
        { pointer: '/items/0/variables/server_id', itemId: 'server', variable: 'server_id' },
        { pointer: '/items/0/variables/toString', itemId: 'server', variable: 'toString' },
      ],
    },
    {
      items: [...items, ...server({ server_id: 'moon', toString: 'x' })],
      code: 'variable_required',
      errors: [{ pointer: '/items/1/variables/server_id', itemId: 'server', variable: 'server_id' }],
    },
  ] as const;
  for (const { items: refused, code, errors } of cases) {
    const what = JSON.stringify(refused);
    const answer = await assertRefused(t, shop, what, { status: 422, code }, () => create({ items: refused }));
    t.same((answer.body as { errors: unknown }).errors, errors, what);
    const amongOthers = [{ itemId: 'open', quantity: 1 }, ...refused].slice(0, 3);
    if (refused.length < 3) {
      await assertRefused(t, shop, `${what} with another`, { status: 422, code }, () => create({ items: amongOthers }));
    }
  }
  t.equal((await create({ items: [{ itemId: 'open', quantity: 1 }] })).status, 201);
  t.equal((await create({ items: server({ server_id: 'eu', toString: 'x', other: 'y' }) })).status, 201);
});

t.test('an item of another shop is unknown in the same words as one that nobody has', async (t) => {
  const other = shop.as(await mintToken({ shop: 'other', scope: 'shop:write' }));
  await other.request('PUT', '/v1/shops/other', shopSettings);
  await other.request('PUT', '/v1/items/theirs', { name: 'Theirs', price: 1 });
  const said = async (itemId: string) => {
    const { body, headers } = await create({ items: [{ itemId, quantity: 1 }] });
    return JSON.stringify(body)
      .replaceAll(itemId, '…')
      .replace(headers.get('x-request-id') ?? '', '…');
  };
  t.equal(await said('theirs'), await said('nobodys'));
});

t.test('what a caller says of a basket is checked as strictly', async (t) => {
  const long = 'a'.repeat(64);
  const cases: [pointer: string, body: object][] = [
    ['/items/0/itemId', { items: [{ itemId: '', quantity: 1 }] }],
    ['/items/0/itemId', { items: [{ itemId: 'a/b', quantity: 1 }] }],
    ['/items/0/itemId', { items: [{ itemId: 'a'.repeat(129), quantity: 1 }] }],
    ['/items/0/variables/x', { items: [{ ...items[0], variables: { x: 1 } }] }],
    ['/items/0/variables/a\nb', { items: [{ ...items[0], variables: { 'a\nb': 1 } }] }],
    ['/items/0/modifiable', { items: [{ ...items[0], modifiable: 'false' }] }],
    ['/items', { items: Array.from({ length: 201 }, () => items[0]) }],
    ['/customer/id', { customer: { id: 'cus 7' } }],
    ['/customer/id', { customer: { id: '' } }],
    ['/customer/id', { customer: { id: null } }],
    ['/customer/email', { customer: { email: 'a@b\r\nBcc:x@y' } }],
    ['/customer/email', { customer: { email: 'a@b.example\r\nBcc: x@y.example' } }],
    ['/customer/email', { customer: { email: 'a@b.example\n' } }],
    ['/customer/email', { customer: { email: 'nobody' } }],
    ['/customer/email', { customer: { email: '' } }],
    ['/customer/email', { customer: { email: `${long}@${`${'b'.repeat(60)}.`.repeat(4)}example` } }],
    ['/customer/name', { customer: { name: '' } }],
    ['/customer/evil', { customer: { evil: 1 } }],
    ['/customer', { customer: 'cus-7' }],
    ['/ipAddress', { ipAddress: '999.1.1.1' }],
    ['/ipAddress', { ipAddress: '1.2.3.4, 5.6.7.8' }],
    ['/ipAddress', { ipAddress: '127.1' }],
    ['/ipAddress', { ipAddress: '0x7f.0.0.1' }],
    ['/ipAddress', { ipAddress: '1.2.3.4/8' }],
    ['/ipAddress', { ipAddress: '2001:db8::1::2' }],
    ['/ipAddress', { ipAddress: '[2001:db8::1]' }],
    ['/ipAddress', { ipAddress: '1.2.3.4:80' }],
    ['/ipAddress', { ipAddress: 'localhost' }],
    ['/ipAddress', { ipAddress: '' }],
    ['/country', { country: 'gb' }],
    ['/country', { country: 'GBR' }],
    ['/locale', { locale: 'not a locale' }],
    ['/locale', { locale: 'x' }],
    ['/reference', { reference: 'a b' }],
    ['/campaign', { campaign: '' }],
    ['/ttlSeconds', { ttlSeconds: 0 }],
    ['/ttlSeconds', { ttlSeconds: 9 }],
    ['/ttlSeconds', { ttlSeconds: -1 }],
    ['/ttlSeconds', { ttlSeconds: 1_000_000_000 }],
    ['/ttlSeconds', { ttlSeconds: '15m' }],
    ['/ttlSeconds', { ttlSeconds: null }],
    ['/linkMode', { linkMode: 'popup' }],
    ['/generateBasketUrl', { generateBasketUrl: 'no' }],
    ['/autoRedirect', { autoRedirect: 1 }],
    ['/revenueShare/0/amount', { revenueShare: [{ walletRef: 'w', amount: -1 }] }],
    ['/revenueShare/0/amount', { revenueShare: [{ walletRef: 'w', amount: 0.5 }] }],
    ['/revenueShare/0/gatewayFeePercent', { revenueShare: [{ walletRef: 'w', amount: 1, gatewayFeePercent: 101 }] }],
    ['/custom', { custom: 'text' }],
    ['/custom', { custom: { text: 'é'.repeat(9 * 1024) } }],
    ['/items/0/custom', { items: [{ ...items[0], custom: { text: 'a'.repeat(17 * 1024) } }] }],
    ['/items/0/custom', { items: [{ ...items[0], custom: { a: [[[[[[[[]]]]]]]] } }] }],
    ['/successRedirectUrl', { successRedirectUrl: '' }],
    ['/successRedirectUrl', { successRedirectUrl: `https://partner.example/${'a'.repeat(2025)}` }],
    ['/cancelRedirectUrl', { cancelRedirectUrl: ['https://partner.example/'] }],
  ];
  for (const [pointer, body] of cases) {
    const what = `${pointer} ${JSON.stringify(body).slice(0, 80)}`;
    const answer = await assertRefused(t, shop, what, { status: 400, code: 'invalid_request' }, () =>
      create({ items, ...body }),
    );
    t.match(answer.body, { errors: [{ pointer }] }, what);
  }
});

t.test('a time to live is from ten seconds to the longest life that the shop gives a basket', async (t) => {
  for (const ttlSeconds of [10, 200]) {
    const { body } = await shop.backEnd.request<{ createdAt: string; expiresAt: string }>('POST', '/v1/baskets', {
      items,
      ttlSeconds,
    });
    t.equal(Date.parse(body.expiresAt) - Date.parse(body.createdAt), ttlSeconds * 1000);
  }
  await assertRefused(t, shop, 'one second more', { status: 422, code: 'ttl_not_allowed' }, () =>
    create({ items, ttlSeconds: 201 }),
  );
});

t.test('addresses of both kinds are kept, an IPv4 one in IPv6 clothes as what it is', async (t) => {
  for (const [sent, kept] of [
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:cb00:7107', '203.0.113.7'],
    ['2001:DB8:0:0::0001', '2001:db8::1'],
    ['::1', '::1'],
  ]) {
    const { body } = await create({ items, ipAddress: sent });
    t.match(body, { ipAddress: kept }, sent ?? '');
  }
});

t.test('a customer and a partner hold no more live baskets than the shop allows', async (t) => {
  const limits = { maxLiveBasketsPerCustomer: 2, maxLiveBasketsPerPartner: 3 };
  await shop.owner.request('PATCH', '/v1/shops/roxy', { basket: limits });
  const partner = await shop.withScope('baskets:write baskets:read', 'partner-a');
  const another = await shop.withScope('baskets:write', 'partner-b');
  const refuse = async (body: object, limit: number, client = shop.backEnd) => {
    const expected = { status: 429, code: 'live_basket_limit' } as const;
    const answer = await assertRefused(t, shop, JSON.stringify(body), expected, () => create(body, client));
    t.match(answer, { body: { limit } });
    t.match(answer.headers.get('retry-after'), /^[1-9]\d*$/);
  };
  const ofCustomer = { items, customer: { id: 'cus-1' } };
  const first = await createBasket(shop, ofCustomer);
  await createBasket(shop, ofCustomer);
  await refuse(ofCustomer, 2);
  await createBasket(shop, { items, customer: { id: 'cus-2' } });
  await createBasket(shop, { items, customer: { email: 'a@b.example' } });
  await createBasket(shop, ofCustomer, partner);
  await shop.backEnd.request('POST', `/v1/baskets/${first.id}/cancel`);
  await createBasket(shop, ofCustomer);
  await refuse(ofCustomer, 2);

  await createBasket(shop, { items }, partner);
  const expiring = await createBasket(shop, { items }, partner);
  await refuse({ items }, 3, partner);
  await createBasket(shop, { items }, another);
  await shop.service.pool.query(`UPDATE baskets SET expires_at = now() WHERE basket_id = $1`, [expiring.id]);
  await createBasket(shop, { items }, partner);
});

t.test('a credential of a shop that is not there is told so', async (t) => {
  const nobody = shop.as(await mintToken({ shop: 'nowhere', scope: 'baskets:write baskets:read' }));
  await assertRefused(t, shop, 'create', { status: 404, code: 'not_found' }, () => create({ items }, nobody));
  t.same((await nobody.request('GET', '/v1/baskets')).body, { data: [], nextCursor: null });
});

t.test('a refused creation leaves no hold in Redis either, whatever it is refused for', async (t) => {
  const shop = await openShop(t, { settings: { basket: { maxLiveBasketsPerCustomer: 1 } } });
  await putItem(shop, 'few', 1);
  const few = [{ itemId: 'few', quantity: 1 }];
  const first = await shop.backEnd.request(
    'POST',
    '/v1/baskets',
    { items: few, customer: { id: 'cus-1' } },
    keyed('a'),
  );
  t.equal(first.status, 201, first.text);
  const keys = inspectRedis(t, shop.service.redisKeyPrefix);
  const held = async () => JSON.stringify(await contentsOfRedis(keys));
  await untilRedisHasAll(keys, shop);
  const before = await held();
  const refused: [status: number, body: unknown, headers?: Record<string, string>][] = [
    [400, '{'],
    [400, { items, evil: 1 }],
    [400, { items }, keyed('')],
    [409, { items: few }],
    [409, { items: [...items, ...few] }],
    [415, { items }, { 'content-type': 'text/plain' }],
    [422, { items: [...items, { itemId: 'nothing', quantity: 1 }] }],
    [422, { items: [{ itemId: 'stalls', quantity: 9 }] }],
    [422, { items, successRedirectUrl: 'https://evil.example/' }],
    [422, { items }, keyed('a')],
    [429, { items, customer: { id: 'cus-1' } }],
  ];
  for (const [status, body, headers] of refused) {
    const answer = await shop.backEnd.request('POST', '/v1/baskets', body, headers);
    t.equal(answer.status, status, `${JSON.stringify(body)} ${answer.text}`);
  }
  await until('what was admitted for the refused ones is given back', 5000, async () => (await held()) === before);
  t.same(await shop.availability('few'), { capacity: 1, held: 1, sold: 0, available: 0 });
  t.match(await shop.availability('stalls'), { held: 0 });
});
