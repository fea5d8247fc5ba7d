import t from 'tap';
import type { ProblemCode } from '../../src/errors.ts';
import type { Category, Package } from '../../src/tebex/catalogue/model.ts';
import { audit } from '../support/audit.ts';
import { activate, checkout, complete, letBeSwept } from '../support/journey.ts';
import { contentsOf } from '../support/refusal.ts';
import { api, mintToken } from '../support/service.ts';
import { shopSettings } from '../support/shop.ts';
import { until } from '../support/until.ts';
import {
  basic,
  createInStore,
  openWebStore,
  type TebexBasket,
  type TebexProblem,
  type WebStore,
} from '../support/web-store.ts';

const store = await openWebStore(t);
const { account, anybody, storeBackEnd, service } = store;
t.afterEach(() => audit(service.pool));

type Answer = { data: TebexBasket } & { message: string } & TebexProblem;
const newBasket = (username = 'Steve') => createInStore(store, 'storeBackEnd', { username });
const categoriesOf = async (basket: TebexBasket | null, at: WebStore = store) => {
  const query = basket === null ? '' : `&basketIdent=${basket.ident}`;
  const path = `${at.account}/categories?includePackages=1${query}`;
  return (await at.anybody.request<{ data: Category[] }>('GET', path)).body.data;
};
const packagesOf = async (basket: TebexBasket | null, slug = 'evt-1') =>
  (await categoriesOf(basket)).find((category) => category.slug === slug)?.packages ?? [];
const categoryId = (await categoriesOf(null)).find(({ slug }) => slug === 'evt-1')?.id;
const sword = {
  name: 'Sword',
  price: 9.99,
  slug: 'sword',
  description: 'Sharp',
  image_url: 'https://roxy.example/s.png',
};
const shield = { name: 'Shield', price: '5', slug: 'shield', custom: { seed: '7' } };
const wanted = (packages: unknown, more: object = {}) => ({
  username: 'Steve',
  category_id: categoryId,
  packages,
  ...more,
});
const put = ({ ident }: TebexBasket, body: unknown, who: Pick<WebStore['anybody'], 'request'> = storeBackEnd) =>
  who.request<Answer>('PUT', `${account}/baskets/${ident}/dynamic-packages`, body);
const add = ({ ident }: TebexBasket, body: object) =>
  anybody.request<Answer>('POST', `/baskets/${ident}/packages`, body);
/** Puts the packages and gives them as the basket's customer sees them. */
async function made(basket: TebexBasket, packages: object[]): Promise<Package[]> {
  const answer = await put(basket, wanted(packages));
  if (answer.status !== 200) throw new Error(answer.text);
  const own = new Set((await packagesOf(null)).map(({ id }) => id));
  return (await packagesOf(basket)).filter(({ id }) => !own.has(id));
}
function numbered(packages: Package[], slug: string): number {
  const found = packages.find((each) => each.slug === slug);
  if (found === undefined) throw new Error(`there is no ${slug}`);
  return found.id;
}

t.test('what is made for a basket is shown to it, in its category, and to nobody else', async (t) => {
  const [basket, other] = [await newBasket(), await newBasket()];
  const answer = await put(basket, wanted([sword, shield]));
  t.same([answer.status, answer.body], [200, { message: 'Dynamic packages created successfully.' }]);
  const [stalls, ...dynamic] = await packagesOf(basket);
  t.equal(stalls?.slug, 'stalls', 'after those of the category itself');
  t.match(dynamic, [
    {
      ...{ id: Number, name: 'Sword', base_price: 9.99, sales_tax: 0, total_price: 9.99, slug: 'sword' },
      ...{ description: 'Sharp', image: 'https://roxy.example/s.png', category: { id: categoryId } },
    },
    { id: Number, name: 'Shield', total_price: 5, slug: 'shield', description: '', image: null },
  ]);
  for (const seen of [await packagesOf(null), await packagesOf(other)]) {
    t.same(
      seen.map(({ slug }) => slug),
      ['stalls'],
    );
  }
  const id = numbered(dynamic, 'sword');
  const listed = await anybody.request<{ data: Package[] }>('GET', `${account}/packages?basketIdent=${basket.ident}`);
  t.same(
    listed.body.data.map(({ slug }) => slug),
    ['stalls', 'mug'],
    'no list of packages has it',
  );
  t.equal((await anybody.request('GET', `${account}/packages/${id}`)).status, 422);
  const items = await store.owner.request<{ data: { packageId: number; itemId: string }[] }>('GET', '/v1/items');
  const item = items.body.data.find(({ packageId }) => packageId === id);
  t.match(item, { name: 'Sword', price: 999, eventId: 'evt-1', capacity: null }, 'the shop sees it as an item');
  t.match(item?.itemId, /^tebex-dynamic:[0-9a-f]{32}$/, 'with 128 bits that nobody guesses');
});

t.test('only its basket can buy it: by number or slug, written as a number or as text', async (t) => {
  const [basket, other] = [await newBasket(), await newBasket()];
  const packages = await made(basket, [sword, shield]);
  const id = numbered(packages, 'sword');
  for (const body of [
    { package_id: id },
    { package_id: `${id}`, dynamic: 1 },
    { package_id: 'sword', dynamic: true },
  ]) {
    t.equal((await add(basket, { quantity: 1, ...body })).status, 200, JSON.stringify(body));
    const before = await contentsOf(service.pool);
    const refused = await add(other, { quantity: 1, ...body });
    t.match(refused, { status: 422, body: { error_code: 'package_not_found' } }, JSON.stringify(body));
    t.same(await contentsOf(service.pool), before);
  }
  const added = await add(basket, { package_id: 'shield', custom: { seed: 'mine', note: 'x' } });
  t.match(added.body.data, {
    total_price: 34.97,
    packages: [
      { id, name: 'Sword', in_basket: { quantity: 3, price: 9.99 } },
      { name: 'Shield', in_basket: { quantity: 1, price: 5 } },
    ],
  });
  const { body } = await store.backEnd.request<{ items: { custom: object }[] }>('GET', `/v1/baskets/${basket.id}`);
  t.same(
    body.items.map(({ custom }) => custom),
    [{}, { seed: '7', note: 'x' }],
    'what the back end said of it stands',
  );
  // Two that have the same slug are two packages.
  const [theirs] = await made(other, [{ ...sword, price: 1 }]);
  t.not(theirs?.id, id);
  t.match((await add(other, { package_id: 'sword' })).body, { data: { total_price: 1 } });
  t.match((await add(other, { package_id: 'mug' })).body, { error_code: 'package_not_found' });
});

t.test('a package put again is the same package, and one that is not named any more goes off sale', async (t) => {
  const basket = await newBasket();
  const first = await made(basket, [sword, shield]);
  const [swordId, shieldId] = [numbered(first, 'sword'), numbered(first, 'shield')];
  for (const package_id of [swordId, shieldId]) await add(basket, { package_id });
  const second = await made(basket, [
    { ...sword, price: 20, name: 'Long sword' },
    { ...sword, slug: 'axe' },
  ]);
  t.same(second.map(({ id, name, total_price }) => [id, name, total_price])[0], [swordId, 'Long sword', 20]);
  t.same(
    second.map(({ slug }) => slug),
    ['sword', 'axe'],
  );
  t.match(await add(basket, { package_id: shieldId }), { status: 422, body: { error_code: 'package_not_found' } });
  t.match(await add(basket, { package_id: 'shield' }), { status: 422, body: { error_code: 'package_not_found' } });
  const more = await anybody.request<Answer>('PUT', `/baskets/${basket.ident}/packages/${shieldId}`, { quantity: 2 });
  t.match(more, { status: 422, body: { error_code: 'sale_closed' } }, 'nor more of what is in the basket');
  t.match(
    (await anybody.request<Answer>('GET', `/baskets/${basket.ident}`)).body.data,
    { total_price: 14.99, packages: [{ id: swordId }, { id: shieldId }] },
    'what is in the basket stays, at its price',
  );
  t.same(await made(basket, []), [], 'none at all');
  t.not(numbered(await made(basket, [shield]), 'shield'), shieldId, 'made anew, it is another');
});

t.test('packages that are put at once are those of one of the calls, whole', async (t) => {
  const basket = await newBasket();
  const sets = Array.from({ length: 3 }, (_, set) =>
    Array.from({ length: 5 }, (_, at) => ({ name: `${set}`, price: set, slug: `slug-${at}` })),
  );
  // All have begun before one of them may write.
  const holder = await service.pool.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT FROM baskets WHERE shop_id = $1 AND basket_id = $2 FOR UPDATE', ['roxy', basket.id]);
  const putting = Promise.all(sets.map((packages) => put(basket, wanted(packages))));
  try {
    await until('all wait for the basket', 1500, async () => {
      const { rows } = await service.pool.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return rows.length === sets.length;
    });
  } finally {
    await holder.query('COMMIT');
    holder.release();
  }
  t.same(
    (await putting).map(({ status }) => status),
    sets.map(() => 200),
  );
  const shown = (await packagesOf(basket)).filter(({ slug }) => slug !== 'stalls');
  t.same(
    shown.map(({ slug }) => slug),
    sets[0]?.map(({ slug }) => slug),
  );
  t.equal(new Set(shown.map(({ name }) => name)).size, 1);
});

t.test('only a back end of the shop may, for a live basket and its user', async (t) => {
  const basket = await newBasket();
  const nobodys = await createInStore(store, 'storeBackEnd');
  const paid = await newBasket();
  await add(paid, { package_id: 5 });
  const { links } = (await anybody.request<Answer>('GET', `/baskets/${paid.ident}`)).body.data;
  await activate(store, links.checkout ?? '');
  await checkout(store, paid.id);
  await complete(store, paid.id, { orderId: 'order-1' });
  const reading = store.withKey(await store.keyOf(['baskets:read']));
  const partner = store.withKey(await store.keyOf(['baskets:write'], 'agency'));
  const refusals: [what: string, status: number, code: ProblemCode, send: () => ReturnType<typeof put>][] = [
    ['without a key', 401, 'unauthorized', () => put(basket, wanted([sword]), anybody)],
    ['a key without the scope', 403, 'forbidden', () => put(basket, wanted([sword]), reading)],
    ['the key of a partner', 404, 'basket_not_found', () => put(basket, wanted([sword]), partner)],
    ['another user', 422, 'invalid_request', () => put(basket, wanted([sword], { username: 'Alex' }))],
    ['no user yet', 422, 'username_required', () => put(nobodys, wanted([sword]))],
    ['paid', 409, 'basket_not_live', () => put(paid, wanted([sword]))],
    ['no such category', 422, 'category_not_found', () => put(basket, wanted([sword], { category_id: 1 }))],
    [
      'not of this store',
      404,
      'basket_not_found',
      () =>
        put({ ...basket, ident: basket.ident.replace(/.$/, (last) => (last === '0' ? '1' : '0')) }, wanted([sword])),
    ],
  ];
  for (const [what, status, code, send] of refusals) {
    const before = await contentsOf(service.pool);
    const answer = await send();
    t.match(answer, { status, body: { error_code: code } }, `${what}: ${answer.text}`);
    t.same(await contentsOf(service.pool), before, what);
  }
  await letBeSwept(store, basket.id);
  t.match(await put(basket, wanted([sword])), { status: 404, body: { detail: 'Basket not found' } });
});

t.test('the key of another shop opens nothing, also where the path names no shop', async (t) => {
  const basket = await newBasket();
  const owner = api(service.url, await mintToken({ shop: 'other', scope: 'shop:write baskets:write' }));
  const settings = { ...shopSettings, tebex: { enabled: true } };
  const { publicToken } = (await owner.request<{ publicToken: string }>('PUT', '/v1/shops/other', settings)).body;
  const body = { name: 'theirs', scopes: ['baskets:write'] };
  const { apiKey } = (await owner.request<{ apiKey: string }>('POST', '/v1/shops/other/api-keys', body)).body;
  const other = store.as(basic(publicToken, apiKey));
  const before = await contentsOf(service.pool);
  for (const path of [`/baskets/${basket.ident}`, `${account}/baskets/${basket.ident}`]) {
    const answer = await other.request<Answer>('PUT', `${path}/dynamic-packages`, wanted([sword]));
    t.match(answer, { status: 401, body: { error_code: 'unauthorized' } }, path);
  }
  t.same(await contentsOf(service.pool), before);
});

t.test('what does not fit is refused by the name of the parameter, and nothing is written', async (t) => {
  const basket = await newBasket();
  const all = (entry: unknown): unknown => wanted([shield, entry]);
  const place = 'packages/1';
  const cases: [parameter: string, body: unknown][] = [
    ['username', wanted([], { username: undefined })],
    ['username', wanted([], { username: 7 })],
    ['username', wanted([], { username: ['Steve'] })],
    ['category_id', wanted([], { category_id: null })],
    ['category_id', wanted([], { category_id: 'evt-1' })],
    ['category_id', wanted([], { category_id: 1.5 })],
    ['category_id', wanted([], { category_id: -1 })],
    ['category_id', wanted([], { category_id: 2 ** 31 })],
    ['packages', wanted(undefined)],
    ['packages', wanted({})],
    ['packages', wanted('sword')],
    ['packages', wanted(Array.from({ length: 101 }, (_, at) => ({ ...sword, slug: `s${at}` })))],
    [place, all(null)],
    [place, all('sword')],
    [place, all([sword])],
    [`${place}/slug`, all({ ...sword, slug: 'shield' })],
    ...['', null, 7, 'a b', 'a/b', 'ü', 'a'.repeat(101)].map((slug): [string, unknown] => [
      `${place}/slug`,
      all({ ...sword, slug }),
    ]),
    ...[undefined, '', 7, 'a'.repeat(201)].map((name): [string, unknown] => [`${place}/name`, all({ ...sword, name })]),
    ...[
      undefined,
      null,
      '',
      -1,
      -0.01,
      9.999,
      0.005,
      10_000_000.01,
      1e300,
      'free',
      '1e3',
      '9,99',
      '0x10',
      true,
      [5],
    ].map((price): [string, unknown] => [`${place}/price`, all({ ...sword, price })]),
    [`${place}/description`, all({ ...sword, description: 'a'.repeat(5001) })],
    [`${place}/description`, all({ ...sword, description: {} })],
    [`${place}/image_url`, all({ ...sword, image_url: 'a'.repeat(2049) })],
    [`${place}/custom`, all({ ...sword, custom: { a: 1 } })],
    [`${place}/custom`, all({ ...sword, custom: { a: { b: 'c' } } })],
    [`${place}/custom`, all({ ...sword, custom: 'a' })],
    [`${place}/custom`, all({ ...sword, custom: { a: 'b'.repeat(17 * 1024) } })],
  ];
  const before = await contentsOf(service.pool);
  for (const [parameter, body] of cases) {
    const answer = await put(basket, body);
    const what = `${parameter}: ${JSON.stringify(body).slice(0, 200)} ${answer.text}`;
    t.match(answer, { status: 422, body: { error_code: 'invalid_request' } }, what);
    t.match(answer.body.errors, [{ pointer: `/${parameter}` }], what);
  }
  for (const body of ['{', '[]', '"a"', '7', '{"username":"\\u0000"}', '{"packages":[{"name":"\\ud800"}]}', '[[[[']) {
    const answer = await put(basket, body);
    t.ok([400, 422].includes(answer.status), `${body}: ${answer.text}`);
  }
  t.same(await contentsOf(service.pool), before);
  const odd = { ...sword, custom: { toString: 'a', hasOwnProperty: 'b', length: '0' }, evil: 1 };
  t.equal(
    (await put(basket, wanted([odd, { ...shield, price: 10_000_000 }, { ...sword, slug: '7', price: 0 }]))).status,
    200,
  );
  t.match((await add(basket, { package_id: 'sword' })).status, 200);
});

t.test('prices have the decimals of the currency', async (t) => {
  for (const [currency, price, between] of [
    ['JPY', 500, 500.5],
    ['KWD', 0.125, 0.1255],
  ] as const) {
    const at = await openWebStore(t, { settings: { currency } });
    const [category] = await categoriesOf(null, at);
    const basket = await createInStore(at, 'storeBackEnd', { username: 'Steve' });
    const send = (amount: number) =>
      at.storeBackEnd.request<Answer>('PUT', `${at.account}/baskets/${basket.ident}/dynamic-packages`, {
        ...{ username: 'Steve', category_id: `${category?.id}` },
        packages: [{ ...sword, price: amount }],
      });
    t.equal((await send(price)).status, 200, currency);
    t.match(await send(between), { status: 422, body: { errors: [{ pointer: '/packages/0/price' }] } }, currency);
    const added = await at.anybody.request<Answer>('POST', `/baskets/${basket.ident}/packages`, {
      package_id: 'sword',
    });
    t.match(added.body.data, { currency, total_price: price, packages: [{ in_basket: { price } }] });
  }
});

t.test('what a back end has said of packages is erased with the customer whom they were made for', async (t) => {
  const basket = await newBasket();
  const note = 'canary-of-dora';
  await put(basket, wanted([{ ...sword, custom: { note } }]));
  const custom = async () => {
    const { rows } = await service.pool.query<{ custom: object }>(
      'SELECT custom FROM tebex_dynamic_packages WHERE basket_id = $1',
      [basket.id],
    );
    return rows.map((row) => row.custom);
  };
  await store.backEnd.request('PATCH', `/v1/baskets/${basket.id}`, { customer: { id: 'dora', username: 'Steve' } });
  const erase = () => store.owner.request<{ erasedBaskets: number }>('POST', '/v1/customers/dora/erase');
  t.equal((await erase()).body.erasedBaskets, 0, 'it is still in use');
  t.same(await custom(), [{ note }]);
  await store.backEnd.request('POST', `/v1/baskets/${basket.id}/cancel`);
  t.equal((await erase()).body.erasedBaskets, 1);
  t.same(await custom(), [{}]);
});
