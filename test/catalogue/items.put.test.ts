import t from 'tap';
import { assertRefused } from '../support/refusal.ts';
import { mintToken } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';

const shop = await openShop(t);
const { owner } = shop;
type ShownItem = Record<string, unknown> & { itemId: string };
const put = (itemId: string, body: object) => owner.request<ShownItem>('PUT', `/v1/items/${itemId}`, body);
const patch = (itemId: string, body: unknown) => owner.request<ShownItem>('PATCH', `/v1/items/${itemId}`, body);

const defaults = {
  eventId: null,
  taxRate: 0,
  capacity: null,
  poolId: null,
  maxPerBasket: 10_000,
  type: 'single',
  saleStartsAt: null,
  saleEndsAt: null,
  accessRequired: false,
  description: '',
  image: null,
  packageId: null,
  variables: [],
  availability: { capacity: null, held: 0, sold: 0, available: null },
};
const everything = {
  name: 'Stalls <b>&amp;</b>',
  eventId: 'evt-1',
  price: 2500,
  taxRate: 0.0825,
  capacity: 100,
  poolId: null,
  maxPerBasket: 8,
  type: 'subscription',
  saleStartsAt: '2026-01-01T00:00:00.000Z',
  saleEndsAt: '2036-01-01T00:00:00.000Z',
  accessRequired: true,
  description: 'In front',
  image: 'https://roxy.example/stalls.png',
  packageId: 127244,
  variables: [{ name: 'server_id', required: true, type: 'dropdown', options: ['eu', 'us'] }],
};

t.test('an item needs a name and a price, and the answer shows the defaults of the rest', async (t) => {
  const { status, body } = await put('plain', { name: 'Plain', price: 0 });
  t.equal(status, 200);
  const { createdAt, updatedAt, ...shown } = body;
  t.same(shown, { itemId: 'plain', name: 'Plain', price: 0, ...defaults });
  const read = await owner.request('GET', '/v1/items/plain');
  t.same(read.body, body);
});

t.test('a PUT replaces all of an item, a PATCH what it names, null taking back to the default', async (t) => {
  const first = await put('full', everything);
  t.match(first, {
    status: 200,
    body: { itemId: 'full', ...everything, availability: { capacity: 100, available: 100 } },
  });
  const changed = await patch('full', { price: 3000, capacity: 50, saleEndsAt: null, variables: [], eventId: null });
  const { updatedAt, availability } = changed.body;
  t.same(changed.body, {
    ...first.body,
    price: 3000,
    capacity: 50,
    saleEndsAt: null,
    variables: [],
    eventId: null,
    availability,
    updatedAt,
  });
  t.match(availability, { capacity: 50, available: 50 });
  t.match((await patch('full', {})).body, { price: 3000, capacity: 50 }, 'an empty patch changes nothing');
  t.match((await patch('full', { capacity: null, maxPerBasket: null })).body, { capacity: null, maxPerBasket: 10_000 });
  const replaced = await put('full', { name: 'Plain', price: 1 });
  t.same(replaced.body, {
    itemId: 'full',
    name: 'Plain',
    price: 1,
    ...defaults,
    createdAt: first.body.createdAt,
    updatedAt: replaced.body.updatedAt,
  });
});

t.test('an item that breaks the schema is a 400, put or patched, and is as it was', async (t) => {
  await put('steady', { name: 'Steady', price: 1 });
  const cases: [pointer: string, changes: object][] = [
    ['/name', { name: '' }],
    ['/name', { name: 'a'.repeat(201) }],
    ['/price', { price: -1 }],
    ['/price', { price: 0.5 }],
    ['/price', { price: '1' }],
    ['/price', { price: 1_000_000_001 }],
    ['/taxRate', { taxRate: -0.1 }],
    ['/taxRate', { taxRate: 1.0001 }],
    ['/taxRate', { taxRate: 0.00001 }],
    ['/taxRate', { taxRate: 0.33333 }],
    ['/capacity', { capacity: -1 }],
    ['/capacity', { capacity: 1.5 }],
    ['/capacity', { capacity: 2_147_483_648 }],
    ['/maxPerBasket', { maxPerBasket: 0 }],
    ['/type', { type: 'ticket' }],
    ['/packageId', { packageId: 0 }],
    ['/packageId', { packageId: 2_147_483_648 }],
    ['/packageId', { packageId: '127244' }],
    ['/eventId', { eventId: 'e 1' }],
    ['/accessRequired', { accessRequired: 'false' }],
    ['/variables/0/name', { variables: [{ name: 'a b' }] }],
    ['/variables/0/type', { variables: [{ name: 'a', type: 'number' }] }],
    ['/variables/0/evil', { variables: [{ name: 'a', evil: 1 }] }],
    ['/availability', { availability: { held: 0 } }],
    ['/itemId', { itemId: 'other' }],
    ['/evil', { evil: 1 }],
    ...times.map((time): [string, object] => ['/saleStartsAt', { saleStartsAt: time }]),
    ...times.map((time): [string, object] => ['/saleEndsAt', { saleEndsAt: time }]),
  ];
  for (const [pointer, changes] of cases) {
    for (const [method, body] of [
      ['PUT', { name: 'Steady', price: 1, ...changes }],
      ['PATCH', changes],
    ] as const) {
      const what = `${method} ${JSON.stringify(changes).slice(0, 100)}`;
      const answer = await assertRefused(t, shop, what, { status: 400, code: 'invalid_request' }, () =>
        owner.request(method, '/v1/items/steady', body),
      );
      t.match(answer.body, { errors: [{ pointer }] }, what);
    }
  }
  for (const body of [{}, { name: 'No price' }, { price: 1 }]) {
    await assertRefused(t, shop, 'not all that is required', { status: 400, code: 'invalid_request' }, () =>
      put('steady', body),
    );
  }
  for (const body of [{ name: null }, { price: null }]) {
    await assertRefused(t, shop, 'what is required taken away', { status: 400, code: 'invalid_request' }, () =>
      patch('steady', body),
    );
  }
});

/** Texts that the format date-time allows, or nearly, and that Date or Postgres cannot hold or read differently. */
const times = [
  '2026-01-01',
  '2026-01-01T00:00:00',
  '2026-01-01 00:00:00Z',
  '2026-13-01T00:00:00Z',
  '2026-02-30T00:00:00Z',
  '2026-01-01T24:00:00Z',
  '2016-12-31T23:59:60Z',
  '0000-01-01T00:00:00Z',
  '2026-01-01T00:00:00+20:00',
  `2026-01-01T00:00:00.${'1'.repeat(500)}Z`,
  '+012026-01-01T00:00:00Z',
  'tomorrow',
  '',
  '2026-01-01T00:00:00Z\n',
];

t.test('a moment may be written in any offset, and is shown in UTC with milliseconds', async (t) => {
  const cases = {
    '2026-03-05T19:30:00Z': '2026-03-05T19:30:00.000Z',
    '2026-03-05T20:30:00.5+01:00': '2026-03-05T19:30:00.500Z',
    '2026-03-05T05:30:00.1234-14:00': '2026-03-05T19:30:00.123Z',
    '9999-12-31T23:59:59Z': '9999-12-31T23:59:59.000Z',
  };
  for (const [written, shown] of Object.entries(cases)) {
    const item = await put('timed', { name: 'Timed', price: 1, saleStartsAt: written });
    t.equal(item.body.saleStartsAt, shown, written);
    const event = await owner.request<ShownItem>('PUT', '/v1/events/timed', { name: 'Timed', startsAt: written });
    t.equal(event.body.startsAt, shown, written);
  }
});

t.test('an item belongs to an event and a pool of its own shop, which are there', async (t) => {
  const other = shop.as(await mintToken({ shop: 'other', scope: 'shop:write' }));
  await other.request('PUT', '/v1/shops/other', shopSettings);
  await other.request('PUT', '/v1/events/their-event', { name: 'Theirs' });
  await other.request('PUT', '/v1/pools/their-pool', { name: 'Theirs', capacity: 1 });
  const cases = [
    { changes: { eventId: 'no-such-event' }, code: 'unknown_event' },
    { changes: { eventId: 'their-event' }, code: 'unknown_event' },
    { changes: { poolId: 'no-such-pool' }, code: 'unknown_pool' },
    { changes: { poolId: 'their-pool' }, code: 'unknown_pool' },
  ] as const;
  for (const { changes, code } of cases) {
    const what = JSON.stringify(changes);
    const send = () => put('new', { name: 'New', price: 1, ...changes });
    await assertRefused(t, shop, what, { status: 422, code }, send);
  }
  for (const path of ['/v1/events/their-event', '/v1/pools/their-pool', '/v1/items/new']) {
    await assertRefused(t, shop, path, { status: 404, code: 'not_found' }, () => owner.request('GET', path));
  }
  await assertRefused(t, shop, 'patch of nothing', { status: 404, code: 'not_found' }, () =>
    patch('new', { price: 1 }),
  );
});

t.test('a packageId is used once in a shop', async (t) => {
  const other = shop.as(await mintToken({ shop: 'other', scope: 'shop:write' }));
  t.equal((await put('first', { name: 'First', price: 1, packageId: 7 })).status, 200);
  t.equal((await put('first', { name: 'First again', price: 1, packageId: 7 })).status, 200, 'its own');
  for (const send of [
    () => put('second', { name: 'Second', price: 1, packageId: 7 }),
    () => owner.request('PUT', '/v1/items', { items: [{ itemId: 'second', name: 'Second', price: 1, packageId: 7 }] }),
    () =>
      owner.request('PUT', '/v1/items', {
        items: ['third', 'fourth'].map((itemId) => ({ itemId, name: itemId, price: 1, packageId: 8 })),
      }),
  ]) {
    await assertRefused(t, shop, 'twice', { status: 422, code: 'package_id_used' }, send);
  }
  t.equal((await other.request('PUT', '/v1/items/theirs', { name: 'x', price: 1, packageId: 7 })).status, 200);
  await patch('first', { packageId: null });
  t.equal((await put('second', { name: 'Second', price: 1, packageId: 7 })).status, 200, 'free again');
});
