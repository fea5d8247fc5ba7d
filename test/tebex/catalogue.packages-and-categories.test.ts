import fc from 'fast-check';
import t from 'tap';
import { sha256 } from '../../src/platform/crypto.ts';
import { readShop } from '../../src/shops/index.ts';
import { numberCategories } from '../../src/tebex/catalogue/categories.ts';
import { openListingCache } from '../../src/tebex/catalogue/listing.ts';
import type { Category, Package } from '../../src/tebex/catalogue/model.ts';
import { api, mintToken } from '../support/service.ts';
import { shopSettings } from '../support/shop.ts';
import { until } from '../support/until.ts';
import { basic, openWebStore, type TebexProblem } from '../support/web-store.ts';

const store = await openWebStore(t);
const { account, anybody, service } = store;
const day = 24 * 60 * 60 * 1000;
const inDays = (days: number) => new Date(Date.now() + days * day).toISOString();

/** Another shop with a web store on the same service, and what anybody reads of it. Items are put before it is read first. */
async function openAnother(shopId: string, settings: object = {}) {
  const owner = api(service.url, await mintToken({ shop: shopId, scope: 'shop:write catalogue:read' }));
  const put = async (path: string, body: object) => {
    const { status, text } = await owner.request('PUT', `/v1${path}`, body);
    if (status !== 200) throw new Error(text);
  };
  await put(`/shops/${shopId}`, { ...shopSettings, tebex: { enabled: true }, ...settings });
  const { publicToken } = (await owner.request<{ publicToken: string }>('GET', `/v1/shops/${shopId}`)).body;
  const get = <Data>(path: string) =>
    anybody.request<{ data: Data } & TebexProblem>('GET', `/accounts/${publicToken}${path}`);
  return { owner, put, get, publicToken };
}
const slugsOf = (all: { slug: string }[]) => all.map(({ slug }) => slug);
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/;

t.test('a web store, a package and a category have the fields of Tebex, and no others', async (t) => {
  const { get, put } = await openAnother('fields', { locale: 'de-AT' });
  await put('/events/evt-1', { name: 'The Concert' });
  await put('/items/stalls', {
    ...{ name: 'Stalls', eventId: 'evt-1', price: 2500, taxRate: 0.2, packageId: 5, maxPerBasket: 8 },
    ...{ description: '<p>In front</p>', image: 'https://roxy.example/stalls.png', type: 'subscription' },
    variables: [{ name: 'server_id', type: 'dropdown', options: ['eu', 'us'] }],
  });
  const { body } = await get<object>('');
  t.match(body, { data: { id: Number, created_at: time } });
  t.same(body, {
    data: {
      ...body.data,
      ...{ description: '', name: 'Roxy', webstore_url: 'https://tickets.roxy.example', currency: 'GBP', lang: 'de' },
      ...{ logo: null, platform_type: 'Universal', platform_type_id: 'universal', disabled: false },
    },
  });
  t.equal(Object.keys(body.data).length, 11);
  const [category] = (await get<Category[]>('/categories?includePackages=1')).body.data;
  const [shown] = category?.packages ?? [];
  t.match(shown, { created_at: time, updated_at: time });
  t.same(category, {
    ...{ id: category?.id, name: 'The Concert', slug: 'evt-1', parent: null, tiered: false, active_tier: null },
    ...{ description: '', order: 1, display_type: 'list', image_url: null, dynamic: false },
    packages: [
      {
        ...{ id: 5, name: 'Stalls', description: '<p>In front</p>', image: 'https://roxy.example/stalls.png' },
        ...{ type: 'subscription', category: { id: category?.id, name: 'The Concert' }, currency: 'GBP' },
        ...{ base_price: 25, sales_tax: 5, total_price: 30, prorate_price: null, discount: 0 },
        ...{ disable_quantity: false, disable_gifting: false, expiration_date: null, order: 5, slug: 'stalls' },
        media: [{ type: 'image', name: null, url: 'https://roxy.example/stalls.png', featured: false, primary: true }],
        ...{ user_limit: 8, creator_meta_data: {}, options: [] },
        variables: [
          {
            ...{ id: 1, identifier: 'server_id', description: 'server_id', type: 'dropdown' },
            options: [
              { id: 1, name: 'eu', value: 'eu' },
              { id: 2, name: 'us', value: 'us' },
            ],
          },
        ],
        created_at: shown?.created_at,
        updated_at: shown?.updated_at,
      },
    ],
  });
  t.same((await get('/packages')).body, { data: [shown] });
  t.same((await get('/packages/5')).body, { data: shown }, 'one of them is no list');
  for (const path of ['/pages', '/sidebar']) t.same((await get(path)).body, { data: [] }, path);
});

t.test('prices are decimals of the currency that add up, in both modes of tax', async (t) => {
  for (const [currency, mode, base_price, sales_tax, total_price] of [
    ['JPY', 'exclusive', 2599, 214, 2813],
    ['JPY', 'inclusive', 2401, 198, 2599],
    ['GBP', 'exclusive', 25.99, 2.14, 28.13],
    ['GBP', 'inclusive', 24.01, 1.98, 25.99],
    ['KWD', 'exclusive', 2.599, 0.214, 2.813],
    ['KWD', 'inclusive', 2.401, 0.198, 2.599],
  ] as const) {
    const { get, put } = await openAnother(`${currency}-${mode}`, { currency, tax: { mode } });
    await put('/items/taxed', { name: 'Taxed', price: 2599, taxRate: 0.0825, packageId: 1, maxPerBasket: 1 });
    await put('/items/free', { name: 'Free', price: 0, taxRate: 0.0825, packageId: 2 });
    t.match((await get('/packages')).body, {
      data: [
        { base_price, sales_tax, total_price, currency, disable_quantity: true, user_limit: 1 },
        { base_price: 0, sales_tax: 0, total_price: 0, currency, disable_quantity: false, user_limit: 0 },
      ],
    });
  }
});

t.test('a visitor sees what may be bought now or soon, and by an access code who has it in his basket', async (t) => {
  const { get, put, owner } = await openAnother('visible');
  for (const [eventId, event] of [
    ['on', { startsAt: inDays(9) }],
    ['suspended', { status: 'suspended' }],
    ['called-off', { status: 'cancelled' }],
    ['to-come', { startsAt: inDays(9) }],
    ['past', { startsAt: inDays(-1) }],
  ] as const) {
    await put(`/events/${eventId}`, { name: eventId, ...event });
  }
  await put('/pools/pooled', { name: 'Pooled', capacity: 5 });
  await put('/pools/empty', { name: 'Empty', capacity: 5 });
  const items = {
    now: { eventId: 'on', packageId: 30 },
    soon: { eventId: 'on', packageId: 20, saleStartsAt: inDays(1) },
    over: { eventId: 'on', packageId: 10, saleEndsAt: inDays(-1) },
    'no-package': { eventId: 'on' },
    waiting: { eventId: 'suspended', packageId: 40 },
    cancelled: { eventId: 'called-off', packageId: 50 },
    secret: { packageId: 60, accessRequired: true },
    adult: { poolId: 'pooled', packageId: 70 },
  };
  for (const [itemId, item] of Object.entries(items))
    await put(`/items/${itemId}`, { name: itemId, price: 1, ...item });
  await put('/access-codes/FANS', { itemIds: ['secret'] });

  t.same(slugsOf((await get<Package[]>('/packages')).body.data), ['soon', 'now', 'waiting', 'adult']);
  for (const hidden of ['over', '10', 'no-package', 'cancelled', '50', 'secret', '60', '7', 'stalls']) {
    t.match(await get(`/packages/${hidden}`), { status: 422, body: { error_code: 'package_not_found' } }, hidden);
  }
  const shown = (await get<Category[]>('/categories?includePackages=true')).body.data;
  t.same(
    shown.map(({ slug, dynamic, packages }) => ({ [slug]: slugsOf(packages), dynamic })),
    [
      { on: ['soon', 'now'], dynamic: false },
      { suspended: ['waiting'], dynamic: false },
      { 'to-come': [], dynamic: true },
      { pooled: ['adult'], dynamic: false },
    ],
    'an event to come without packages is for those of single baskets',
  );
  const plain = (await get<Category[]>('/categories')).body.data;
  t.same(
    plain,
    shown.map((category) => ({ ...category, packages: [] })),
    'without packages unless they are asked for',
  );
  for (const hidden of ['called-off', 'past', 'packages', 'empty', 'no-such']) {
    t.match(await get(`/categories/${hidden}`), { status: 422, body: { error_code: 'category_not_found' } }, hidden);
  }

  const { publicToken } = (await owner.request<{ publicToken: string }>('GET', '/v1/shops/visible')).body;
  const made = await anybody.request<{ data: { id: string; ident: string } }>(
    'POST',
    `/accounts/${publicToken}/baskets`,
  );
  const { id, ident } = made.body.data;
  const before = await get<Package[]>(`/packages?basketIdent=${ident}`);
  t.same(slugsOf(before.body.data), ['soon', 'now', 'waiting', 'adult']);
  const backEnd = api(service.url, await mintToken({ shop: 'visible', scope: 'baskets:write' }));
  t.equal((await backEnd.request('POST', `/v1/baskets/${id}/codes`, { type: 'access', code: 'FANS' })).status, 200);
  const after = await get<Package[]>(`/packages?basketIdent=${ident}`);
  t.same(slugsOf(after.body.data), ['soon', 'now', 'waiting', 'secret', 'adult']);
  t.match((await get(`/packages/60?basketIdent=${ident}`)).body, { data: { slug: 'secret' } });
  t.match(
    (await get(`/categories/packages?includePackages=1&basketIdent=${ident}`)).body,
    { data: { name: 'Packages', packages: [{ slug: 'secret' }] } },
    'what belongs to no event and no pool',
  );
});

t.test('a category is found by id and by slug, and keeps its id whatever is added', async (t) => {
  const { get, put } = await openAnother('ids');
  const list = async () => (await get<Category[]>('/categories?includePackages=1')).body.data;
  await put('/events/first', { name: 'First' });
  await put('/items/loose', { name: 'Loose', price: 1, packageId: 1 });
  const before = await list();
  for (const category of before) {
    for (const name of [category.id, category.slug]) {
      const { body } = await get<Category>(`/categories/${name}?includePackages=1`);
      t.same(body, { data: category }, `${name}`);
      t.same((await get(`/categories/${name}/`)).body, { data: { ...category, packages: [] } }, `${name}/`);
    }
  }
  await put('/events/second', { name: 'Second' });
  await put(`/events/${before[0]?.id}`, { name: 'Named as another is numbered' });
  await put('/events/first', { name: 'First, renamed' });
  const after = await until('what is new is seen', 5000, async () => {
    const categories = await list();
    return categories.length === 4 && categories;
  });
  t.same(
    after.map(({ id }) => id).slice(0, 2),
    before.map(({ id }) => id),
  );
  t.match((await get(`/categories/${before[0]?.id}`)).body, { data: { slug: before[0]?.slug } }, 'numbers come first');
});

t.test('no two categories of a shop have the same id', async (t) => {
  // By the birthday paradox there is a pair among so many.
  const seen = new Map<number, string>();
  let pair: [string, string] | undefined;
  for (let at = 0; pair === undefined; at += 1) {
    const id = sha256(`event:${at}`).readUInt32BE() >>> 1;
    const other = seen.get(id);
    if (other !== undefined) pair = [other, String(at)];
    seen.set(id, String(at));
  }
  const eventAt = (eventId: string, ms: number) => {
    const createdAt = new Date(ms);
    return { eventId, name: eventId, startsAt: null, status: 'scheduled' as const, createdAt, updatedAt: createdAt };
  };
  const [first, second] = pair;
  const numbered = numberCategories([eventAt(first, 1), eventAt(second, 2)], []);
  t.same(
    numbered.map(({ key }) => key),
    ['none', `event:${first}`, `event:${second}`],
  );
  t.equal(numbered[2]?.id, (numbered[1]?.id ?? 0) + 1, 'the younger makes way');
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { maxLength: 50 }), (ids) => {
      const events = ids.map((eventId, at) => eventAt(eventId, at));
      const pools = ids.map((poolId, at) => ({
        poolId,
        name: poolId,
        createdAt: new Date(at),
        updatedAt: new Date(at),
      }));
      const all = numberCategories(events, pools);
      return new Set(all.map(({ id }) => id)).size === all.length && all.every(({ id }) => id > 0 && id < 2 ** 31);
    }),
  );
});

t.test('a question that cannot be understood is refused, and so is a basket that is not of this store', async (t) => {
  const other = await openAnother('other');
  const foreign = await other.get<{ ident: string }>('');
  t.equal(foreign.status, 200);
  const theirs = await anybody.request<{ data: { ident: string } }>('POST', `/accounts/${other.publicToken}/baskets`);
  for (const path of ['/packages', '/packages/5', '/categories', '/categories/evt-1']) {
    for (const [query, status, code] of [
      ['basketIdent=a-b', 404, 'basket_not_found'],
      [`basketIdent=${theirs.body.data.ident}`, 404, 'basket_not_found'],
      ['basketIdent=1&basketIdent=2', 422, 'invalid_request'],
      ['basketIdent=', 200, undefined],
      ['includePackages=maybe', path.startsWith('/categories') ? 422 : 200, undefined],
      ['usernameId=7&ipAddress=127.0.0.1&unknown=1', 200, undefined],
    ] as const) {
      const answer = await anybody.request<TebexProblem>('GET', `${account}${path}?${query}`);
      t.equal(answer.status, status, `${path}?${query}: ${answer.text}`);
      if (code !== undefined) t.equal(answer.body.error_code, code);
    }
  }
  for (const path of [
    '/packages/%20',
    `/packages/${'9'.repeat(50)}`,
    '/packages/-5',
    '/packages/5.0',
    '/categories/1e3',
  ]) {
    t.equal((await anybody.request('GET', `${account}${path}`)).status, 422, path);
  }
  t.match(await anybody.request('PATCH', `${account}/tiers/1`, { package_id: 5 }), {
    status: 422,
    body: { error_code: 'not_supported' },
  });
  const wrongKey = store.as(basic(store.publicToken, 'sk_wrong'));
  t.equal((await wrongKey.request('GET', `${account}/packages`)).status, 401, 'a key that is wrong is not ignored');
  t.equal((await store.storeBackEnd.request('GET', `${account}/packages`)).status, 200);
});

t.test('however many visitors ask at once, the shop is read once, and again after a second', async (t) => {
  let reads = 0;
  const counting = {
    query: (text: string, values: unknown[]) => {
      reads += /FROM items/.test(text) ? 1 : 0;
      return service.pool.query(text, values);
    },
  };
  const listings = openListingCache(counting as typeof service.pool, { now: async () => new Date() });
  const shop = await readShop(service.pool, 'roxy');
  if (shop === null) throw new Error('there is no shop');
  const all = await Promise.all(Array.from({ length: 500 }, () => listings.get(shop)));
  t.equal(reads, 1);
  t.ok(all.every((listing) => listing === all[0]));
  await Promise.all([listings.fresh(shop), listings.fresh(shop)]);
  t.equal(reads, 2, 'reading past it is one read, too');
  await until('it is read anew', 5000, async () => (await listings.get(shop)) !== all[0] && reads > 2);
});
