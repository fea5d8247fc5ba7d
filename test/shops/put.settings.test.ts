import t from 'tap';
import { openShopCache } from '../../src/shops/index.ts';
import { assertRefused } from '../support/refusal.ts';
import { mintToken } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';

type ShownShop = { createdAt: string; updatedAt: string; publicToken: string; basket: { maxLifetimeSeconds: number } };

const shop = await openShop(t);
const put = (settings: object, client = shop.owner, shopId = 'roxy') =>
  client.request<ShownShop>('PUT', `/v1/shops/${shopId}`, settings);
const { name, currency, frontend } = shopSettings;
const minimal = { name, currency, frontend };

t.test('everything but name, currency and frontend has a default, and the answer shows it', async (t) => {
  const { status, body } = await put(minimal);
  t.equal(status, 200);
  const { createdAt, updatedAt, publicToken, ...shown } = body;
  t.same(shown, {
    ...minimal,
    shopId: 'roxy',
    locale: 'en-GB',
    supportUrl: null,
    allowedRedirectOrigins: [],
    basket: {
      ttlSeconds: 600,
      maxLifetimeSeconds: 1800,
      extensionSeconds: 120,
      maxExtensions: 10,
      checkoutSeconds: 900,
      maxLines: 50,
      maxLiveBasketsPerCustomer: 10,
      maxLiveBasketsPerPartner: null,
    },
    link: {
      mode: null,
      format: 'token',
      otherBaskets: 'expire',
      passParams: ['utm_*', 'gclid', 'fbclid', 'msclkid', '_gl'],
    },
    customer: { login: 'auto', usernameRequired: false, authProviders: [] },
    tax: { mode: 'exclusive' },
    tebex: { enabled: false },
  });
  t.match(publicToken, /^[0-9a-z-]{32,}$/);
  for (const time of [createdAt, updatedAt]) t.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  t.equal(
    (await put({ ...minimal, basket: { ttlSeconds: 100 } })).body.basket.maxLifetimeSeconds,
    300,
    '3 × ttlSeconds',
  );
});

t.test('a PUT replaces everything, keeps the web store’s identifier, and GET reads what it answered', async (t) => {
  const everything = {
    name: 'Roxy & Söhne <b>',
    currency: 'JPY',
    locale: 'de-CH',
    supportUrl: 'https://roxy.example/help',
    frontend: {
      confirmUrl: 'https://a.example/confirm?x=1',
      basketUrl: 'https://b.example/basket',
      errorUrl: 'http://localhost:8080/problem',
    },
    allowedRedirectOrigins: ['https://partner.example', 'https://other.example:8443'],
    basket: {
      ttlSeconds: 10,
      maxLifetimeSeconds: 10,
      extensionSeconds: 1,
      maxExtensions: 0,
      checkoutSeconds: 10,
      maxLines: 1,
      maxLiveBasketsPerCustomer: null,
      maxLiveBasketsPerPartner: 7,
    },
    link: { mode: 'redirect', format: 'token', otherBaskets: 'keep', passParams: [] },
    customer: {
      login: 'none',
      usernameRequired: true,
      authProviders: [{ name: 'FiveM', url: 'https://ident.example/' }],
    },
    tax: { mode: 'inclusive' },
    tebex: { enabled: true },
  };
  const before = (await put(minimal)).body;
  const first = await put(everything);
  t.match(first, {
    status: 200,
    body: { ...everything, publicToken: before.publicToken, createdAt: before.createdAt },
  });
  t.ok(first.body.updatedAt >= before.updatedAt);
  const read = await shop.owner.request('GET', '/v1/shops/roxy');
  t.equal(read.text, first.text);
  const { createdAt, updatedAt, publicToken, ...back } = (await put(minimal)).body;
  t.same({ ...back, currency: 'GBP' }, { ...back, ...minimal }, 'nothing of the earlier settings is left');
});

t.test('settings that break the schema are a 400 that names the place', async (t) => {
  const cases: [pointer: string, settings: object][] = [
    ['/name', { ...minimal, name: undefined }],
    ['/name', { ...minimal, name: '' }],
    ['/frontend', { name, currency }],
    ['/frontend/errorUrl', { ...minimal, frontend: { ...frontend, errorUrl: undefined } }],
    ['/frontend/evil', { ...minimal, frontend: { ...frontend, evil: 'https://x.example' } }],
    ['/evil', { ...minimal, evil: 1 }],
    ['/publicToken', { ...minimal, publicToken: 'mine' }],
    ['/basket/ttlSeconds', { ...minimal, basket: { ttlSeconds: 9 } }],
    ['/basket/ttlSeconds', { ...minimal, basket: { ttlSeconds: 3601 } }],
    ['/basket/ttlSeconds', { ...minimal, basket: { ttlSeconds: '600' } }],
    ['/basket/ttlSeconds', { ...minimal, basket: { ttlSeconds: null } }],
    ['/basket/maxLines', { ...minimal, basket: { maxLines: 0 } }],
    ['/basket/maxLiveBasketsPerCustomer', { ...minimal, basket: { maxLiveBasketsPerCustomer: 0 } }],
    ['/link/mode', { ...minimal, link: { mode: 'popup' } }],
    ['/link/passParams/0', { ...minimal, link: { passParams: ['a b'] } }],
    ['/customer/login', { ...minimal, customer: { login: 'always' } }],
    ['/tax/mode', { ...minimal, tax: { mode: null } }],
    ['/tebex/enabled', { ...minimal, tebex: { enabled: 'true' } }],
    [
      '/frontend/confirmUrl',
      { ...minimal, frontend: { ...frontend, confirmUrl: `https://a.example/${'a'.repeat(2040)}` } },
    ],
  ];
  for (const [pointer, settings] of cases) {
    const expected = { status: 400, code: 'invalid_request' } as const;
    const answer = await assertRefused(t, shop, `${pointer} ${JSON.stringify(settings).slice(0, 150)}`, expected, () =>
      put(settings),
    );
    t.match(answer.body, { errors: [{ pointer }] });
  }
});

t.test('settings that contradict each other or name what there is not are a 422', async (t) => {
  for (const bad of ['gbp', 'US$', 'XXX', 'XAU', 'GB', '']) {
    await assertRefused(t, shop, `currency ${bad}`, { status: 422, code: 'unknown_currency' }, () =>
      put({ ...minimal, currency: bad }),
    );
  }
  const refusedUrls = [
    'http://shop.example/basket',
    'ftp://shop.example/',
    'javascript:alert(1)',
    'data:text/html,x',
    '/basket',
    'shop.example',
    'https://',
    'https://user@shop.example/',
    'https://shop.example/#part',
    'https://shop.example./',
    'https:\\\\shop.example\\',
    ' https://shop.example/',
    'https://shop.example/a\nb',
    'https://shop.example/?order_id=1',
    'http://localhost.evil.example/',
    'http://127.0.0.1.evil.example/',
  ];
  const withUrl: Record<string, (url: string) => object> = {
    '/frontend/confirmUrl': (url) => ({ frontend: { ...frontend, confirmUrl: url } }),
    '/frontend/basketUrl': (url) => ({ frontend: { ...frontend, basketUrl: url } }),
    '/frontend/errorUrl': (url) => ({ frontend: { ...frontend, errorUrl: url } }),
    '/supportUrl': (url) => ({ supportUrl: url }),
    '/allowedRedirectOrigins/0': (url) => ({ allowedRedirectOrigins: [url] }),
    '/customer/authProviders/0/url': (url) => ({ customer: { authProviders: [{ name: 'x', url }] } }),
  };
  const cases: [pointer: string, settings: object][] = [
    ['/basket/maxLifetimeSeconds', { basket: { ttlSeconds: 100, maxLifetimeSeconds: 99 } }],
    ['/locale', { locale: 'not a locale' }],
    ['/allowedRedirectOrigins/1', { allowedRedirectOrigins: ['https://a.example', 'https://b.example/path'] }],
    ['/allowedRedirectOrigins/0', { allowedRedirectOrigins: ['https://a.example?x'] }],
    ...Object.entries(withUrl).flatMap(([pointer, settings]) =>
      refusedUrls.map((url): [string, object] => [pointer, settings(url)]),
    ),
  ];
  for (const [pointer, settings] of cases) {
    const what = `${pointer} ${JSON.stringify(settings)}`;
    const answer = await assertRefused(t, shop, what, { status: 422, code: 'invalid_settings' }, () =>
      put({ ...minimal, ...settings }),
    );
    t.match(answer.body, { errors: [{ pointer, detail: /./ }] }, what);
  }
  const many = await put({
    ...minimal,
    locale: 'no locale',
    supportUrl: 'x',
    basket: { ttlSeconds: 60, maxLifetimeSeconds: 10 },
  });
  t.match(many.body, { errors: [{ pointer: /./ }, { pointer: /./ }, { pointer: /./ }] }, 'all at once');
});

t.test('URLs are kept as WHATWG writes them, so that what is compared later is what was meant', async (t) => {
  const { body } = await put({
    ...minimal,
    frontend: { ...frontend, basketUrl: 'HTTPS://Shop.EXAMPLE:443/a/../basket', errorUrl: 'http://[::1]:8080' },
    allowedRedirectOrigins: ['https://ⓖood.example', 'HTTPS://Partner.example:443/', 'http://127.0.0.1:3000'],
  });
  t.match(body, {
    frontend: { basketUrl: 'https://shop.example/basket', errorUrl: 'http://[::1]:8080/' },
    allowedRedirectOrigins: ['https://good.example', 'https://partner.example', 'http://127.0.0.1:3000'],
  });
});

t.test('a shop is managed by its own credential or the platform’s, and is not there for anybody else', async (t) => {
  const platform = shop.as(await mintToken({ scope: 'platform' }));
  const neighbour = shop.as(await mintToken({ shop: 'neighbour', scope: 'shop:write' }));
  const reader = await shop.withScope('catalogue:read baskets:write');
  t.equal((await put(minimal, platform, 'new-shop')).status, 200);
  const newcomer = shop.as(await mintToken({ shop: 'new-shop', scope: 'shop:write' }));
  t.equal((await newcomer.request('GET', '/v1/shops/new-shop')).status, 200);
  t.equal((await platform.request('GET', '/v1/shops/roxy')).status, 200);
  t.equal((await platform.request('PATCH', '/v1/shops/roxy', { name: 'Roxy' })).status, 200);

  const calls: [method: string, body?: object][] = [['GET'], ['PUT', minimal], ['PATCH', { name: 'Taken over' }]];
  for (const [method, body] of calls) {
    await assertRefused(t, shop, `${method} by another shop`, { status: 404, code: 'not_found' }, () =>
      neighbour.request(method, '/v1/shops/roxy', body),
    );
    await assertRefused(t, shop, `${method} without the scope`, { status: 403, code: 'forbidden' }, () =>
      reader.request(method, '/v1/shops/roxy', body),
    );
  }
  for (const shopId of ['a b', 'a%00', 'ä', 'a'.repeat(129)]) {
    await assertRefused(t, shop, `the id ${shopId}`, { status: 400, code: 'invalid_request' }, () =>
      put(minimal, platform, shopId),
    );
  }
});

t.test(
  'however many ask for a shop that is too old, it is read once, but not for who asks after a change',
  async (t) => {
    let reads = 0;
    const counting = new Proxy(shop.service.pool, {
      get(pool, name) {
        if (name === 'query') reads += 1;
        const value: unknown = Reflect.get(pool, name);
        return typeof value === 'function' ? value.bind(pool) : value;
      },
    });
    const shops = openShopCache(counting);
    const crowd = () => Promise.all(Array.from({ length: 20 }, () => shops.get('roxy')));
    t.same(new Set((await crowd()).map((found) => found?.shopId)), new Set(['roxy']));
    t.equal(reads, 1);
    shops.forget('roxy');
    const old = crowd();
    shops.forget('roxy');
    await Promise.all([old, crowd()]);
    t.equal(reads, 3);
  },
);
