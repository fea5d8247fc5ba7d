import t from 'tap';
import { pressLink } from '../support/journey.ts';
import { openShop } from '../support/shop.ts';

type Basket = Record<string, unknown> & {
  id: string;
  items: Record<string, unknown>[];
  totals: Record<string, number>;
  createdAt: string;
  startBasketUrl: string;
};

const shop = await openShop(t, { settings: { locale: 'en-GB' } });
const create = (body: object, client = shop.backEnd) => client.request<Basket>('POST', '/v1/baskets', body);
const put = (itemId: string, body: object) => shop.owner.request('PUT', `/v1/items/${itemId}`, body);
const after = (time: string, seconds: number) => new Date(Date.parse(time) + seconds * 1000).toISOString();

t.test('a basket of nothing but items shows every field, with its default', async (t) => {
  const { status, headers, body } = await create({ items: [{ itemId: 'stalls', quantity: 2 }] });
  t.equal(status, 201);
  const { id, createdAt, startBasketUrl, ...shown } = body;
  t.match(id, /^bkt_[0-7][0-9a-hjkmnp-tv-z]{25}$/, 'a TypeID');
  t.equal(headers.get('location'), `/v1/baskets/${id}`);
  t.equal(headers.get('etag'), '"1"');
  t.match(startBasketUrl, new RegExp(`^${shop.service.config.publicUrl}/b/[A-Za-z0-9_-]{20,99}$`));
  t.match(createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  t.same(shown, {
    shopId: 'roxy',
    partner: null,
    status: 'open',
    statusReason: null,
    version: 1,
    currency: 'GBP',
    reserve: 'creation',
    customer: null,
    items: [
      {
        lineId: '1',
        itemId: 'stalls',
        eventId: 'evt-1',
        name: 'Stalls',
        type: 'single',
        quantity: 2,
        unitPrice: 2500,
        subtotal: 5000,
        discount: 0,
        tax: 1000,
        total: 6000,
        modifiable: true,
        variables: {},
        custom: {},
      },
    ],
    totals: { subtotal: 5000, discount: 0, tax: 1000, total: 6000, giftCards: 0, due: 6000 },
    discountCodes: [],
    accessCodes: [],
    giftCards: [],
    creatorCode: null,
    successRedirectUrl: null,
    failureRedirectUrl: null,
    cancelRedirectUrl: null,
    autoRedirect: true,
    linkMode: null,
    reference: null,
    campaign: null,
    ipAddress: null,
    country: null,
    locale: null,
    revenueShare: [],
    custom: {},
    modifiable: true,
    extensionsLeft: 10,
    extendableUntil: after(createdAt, 1800),
    serverTime: createdAt,
    updatedAt: createdAt,
    expiresAt: after(createdAt, 600),
    activatedAt: null,
    completedAt: null,
    refundedAt: null,
    late: false,
    orderId: null,
  });
});

t.test('everything that a caller says of a basket is kept and shown, also when it is read again', async (t) => {
  const said = {
    customer: { id: 'cus-7', email: 'a@b.example', name: 'Ann “B” <i>', username: 'ann_b', usernameId: '42' },
    linkMode: 'redirect',
    successRedirectUrl: 'https://partner.example/done?from=us',
    failureRedirectUrl: 'https://partner.example/failed',
    cancelRedirectUrl: 'https://tickets.roxy.example/',
    autoRedirect: false,
    modifiable: false,
    reference: 'booking-991',
    campaign: 'spring.mail:1',
    ipAddress: '203.0.113.7',
    country: 'GB',
    locale: 'de-CH',
    revenueShare: [
      { walletRef: 'w-1', amount: 50, gatewayFeePercent: 50 },
      { walletRef: 'w-2', amount: 5 },
    ],
    custom: { seats: ['A1', { row: 2 }], note: null },
  };
  const line = {
    itemId: 'stalls',
    quantity: 1,
    modifiable: false,
    variables: { server_id: '7' },
    custom: { row: 'A' },
  };
  const created = await create({ ...said, items: [line], ttlSeconds: 60, reserve: 'creation', giftCards: [] });
  t.equal(created.status, 201, created.text);
  t.same({ ...created.body, ...said }, created.body);
  t.same({ ...created.body.items[0], ...line }, created.body.items[0]);
  t.equal(created.body.expiresAt, after(created.body.createdAt, 60));
  const { startBasketUrl, serverTime, ...kept } = created.body;
  const read = await shop.backEnd.request<Basket>('GET', `/v1/baskets/${created.body.id}`);
  t.same({ ...read.body, serverTime }, { ...kept, serverTime });
  const partner = await shop.withScope('baskets:write', 'partner-a');
  t.equal((await create({ items: [line] }, partner)).body.partner, 'partner-a', 'the credential says which partner');
});

t.test('a start link is in the answer unless it is not wanted', async (t) => {
  const items = [{ itemId: 'stalls', quantity: 1 }];
  const { body: without } = await create({ items, generateBasketUrl: false });
  t.notOk('startBasketUrl' in without);
  const { body } = await create({ items, generateBasketUrl: true });
  t.ok(await pressLink(body.startBasketUrl));
});

t.test('totals are the sums of the lines, with tax on top or inside as the shop prices', async (t) => {
  await put('book', { name: 'Book', price: 999, taxRate: 0.0825 });
  await put('fee', { name: 'Fee', price: 0 });
  await put('tea', { name: 'Tea', price: 101, taxRate: 0.05 });
  const items = [
    { itemId: 'book', quantity: 3 },
    { itemId: 'fee', quantity: 1 },
    { itemId: 'tea', quantity: 1 },
  ];
  const amounts = ({ items }: Basket) => items.map(({ subtotal, tax, total }) => [subtotal, tax, total]);
  const exclusive = (await create({ items })).body;
  // 8.25 % of 29.97 is 2.4725…, 5 % of 1.01 is 0.0505.
  t.same(amounts(exclusive), [
    [2997, 247, 3244],
    [0, 0, 0],
    [101, 5, 106],
  ]);
  t.same(exclusive.totals, { subtotal: 3098, discount: 0, tax: 252, total: 3350, giftCards: 0, due: 3350 });

  await shop.owner.request('PATCH', '/v1/shops/roxy', { tax: { mode: 'inclusive' } });
  const inclusive = (await create({ items })).body;
  // Of 29.97, 0.0825/1.0825 is 2.2841…; of 1.01, 0.05/1.05 is 0.0480….
  t.same(amounts(inclusive), [
    [2997, 228, 2997],
    [0, 0, 0],
    [101, 5, 101],
  ]);
  t.same(inclusive.totals, { subtotal: 3098, discount: 0, tax: 233, total: 3098, giftCards: 0, due: 3098 });
  await shop.owner.request('PATCH', '/v1/shops/roxy', { tax: null });
  const { body } = await shop.backEnd.request<Basket>('GET', `/v1/baskets/${inclusive.id}`);
  t.same(body.totals, inclusive.totals, 'a basket keeps the mode that it was priced in');
});

t.test('price, tax and name stay as they were when the basket was made, whatever becomes of the item', async (t) => {
  await put('moving', { name: 'Before', price: 1000, taxRate: 0.1, capacity: 10 });
  const items = [{ itemId: 'moving', quantity: 1 }];
  const { body: first } = await create({ items });
  await put('moving', { name: 'After', price: 2000, taxRate: 0.2, capacity: 10 });
  const { body: read } = await shop.backEnd.request<Basket>('GET', `/v1/baskets/${first.id}`);
  t.same(read.items, first.items);
  t.match((await create({ items })).body.items, [{ name: 'After', unitPrice: 2000, tax: 400 }], 'the next has the new');
});

t.test('equal lines are merged, others are kept apart in their order', async (t) => {
  const stalls = { itemId: 'stalls', quantity: 1 };
  const { body } = await create({
    items: [
      stalls,
      { ...stalls, quantity: 2, custom: { row: 'A' } },
      { ...stalls, quantity: 2 },
      { ...stalls, variables: { name: 'x' } },
      { ...stalls, modifiable: false },
      { ...stalls, custom: { row: 'A' } },
    ],
  });
  t.same(
    body.items.map(({ lineId, quantity, custom, variables, modifiable }) => [
      lineId,
      quantity,
      custom,
      variables,
      modifiable,
    ]),
    [
      ['1', 3, {}, {}, true],
      ['2', 3, { row: 'A' }, {}, true],
      ['3', 1, {}, { name: 'x' }, true],
      ['4', 1, {}, {}, false],
    ],
  );
});

t.test('the currency is the shop’s, and a price of nothing is a price', async (t) => {
  await shop.owner.request('PATCH', '/v1/shops/roxy', { currency: 'JPY' });
  await put('free', { name: 'Free', price: 0, taxRate: 1 });
  const { body } = await create({ items: [{ itemId: 'free', quantity: 10_000 }] });
  t.match(body, { currency: 'JPY', totals: { total: 0, due: 0 } });
  await put('dear', { name: 'Dear', price: 1_000_000_000, taxRate: 1 });
  const dear = await create({ items: [{ itemId: 'dear', quantity: 10_000 }] });
  t.match(dear.body, { totals: { subtotal: 1e13, tax: 1e13, total: 2e13 } }, 'no amount is too large to be exact');
});
