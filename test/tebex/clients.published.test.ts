import { existsSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { audit } from '../support/audit.ts';
import { activate, checkout, complete } from '../support/journey.ts';
import { basic, createInStore, openWebStore, type TebexProblem, type WebStore } from '../support/web-store.ts';
import {
  axiosClient,
  type CodeKind,
  custom,
  dotNetClient,
  fetchClient,
  type HeadlessClient,
  ipAddress,
  type TebexBasket,
  type TebexCategory,
  templateClient,
  urls,
} from './clients.ts';
import { deviations } from './deviations.ts';
import { judgeBy, readTebexDocument } from './document.ts';
import { divertTebex, type Exchange } from './exchanges.ts';
import { keepResults, sumUp, tebexPage, tebexPageFile } from './page.ts';

const packages = { stalls: 5, mug: 6 } as const;
const codes = { coupons: 'Academy10', giftcards: '0127 0244 7210 1111', 'creator-codes': 'Agathe' } as const;
const provider = 'https://ident.example/fivem';

/** The keys of a basket that tebex_headless asserts of Tebex itself, those and no other. */
const basketKeys = [
  ...['ident', 'complete', 'id', 'country', 'ip', 'username_id', 'username', 'cancel_url', 'complete_url'],
  ...['complete_auto_redirect', 'base_price', 'sales_tax', 'total_price', 'email', 'currency', 'packages', 'coupons'],
  ...['giftcards', 'creator_code', 'links', 'custom'],
].sort();

/** An account of Minecraft. */
const recipient = 'c53db9316d2d489996d183975a99eb6d';
const kinds: readonly { kind: CodeKind; name: string }[] = [
  { kind: 'coupons', name: 'Coupon' },
  { kind: 'giftcards', name: 'Gift card' },
  { kind: 'creator-codes', name: 'Creator code' },
];

const clients = [
  { name: 'tebex_headless 1.15.1', connect: axiosClient, isPublished: true, keys: [true, false] },
  { name: 'tebex_headless 1.16.1', connect: fetchClient, isPublished: true, keys: [true, false] },
  { name: 'Tebex-CSharp and -Unity', connect: dotNetClient, isPublished: false, keys: [true] },
  { name: 'Headless-Template', connect: templateClient, isPublished: false, keys: [false] },
];

const documentFile = process.env.TEBEX_OPENAPI ?? '';
const judged = { skip: existsSync(documentFile) ? false : 'TEBEX_OPENAPI does not name a copy of Tebex’ document' };

t.test('published clients of Tebex sell here as they do there', async (t) => {
  const settings = { customer: { authProviders: [{ name: 'FiveM', url: provider }] } };
  const store = await openWebStore(t, { settings });
  const privateKey = await store.keyOf(['baskets:read', 'baskets:write']);
  await putCodes(store);
  const { exchanges, as } = divertTebex(t, store.service.url);
  for (const { name, connect, isPublished, keys } of clients) {
    for (const hasKey of keys) {
      await t.test(`${name}, ${hasKey ? 'with a private key' : 'by the public token alone'}`, async (t) => {
        as(name, hasKey);
        const client = connect(store.publicToken, hasKey ? privateKey : undefined);
        // Of the others only tiers are called with the key, and baskets are anybody's.
        const holds = hasKey && isPublished;
        await browse(t, client);
        if (isPublished) await create(t, client, hasKey);
        const basket = await shopFor(t, store, client, holds);
        await pay(t, store, client, basket);
        await beRefused(t, store, client, holds);
        await audit(store.service.pool);
      });
    }
  }
  await t.test('plain HTTP: what these clients have no words for, or write in other ways', async (t) => {
    as('plain HTTP', true);
    await writeOtherwise(t, store, basic(store.publicToken, privateKey));
    as('plain HTTP', false);
    const { ident } = await createInStore(store, 'anybody', { username: 'Anna' });
    const own = await store.anybody.request<TebexProblem>('PUT', `/baskets/${ident}/dynamic-packages`, {});
    t.match(own, { status: 401, body: { error_code: 'unauthorized' } }, 'no customer sets prices');
    await audit(store.service.pool);
  });
  t.test('every answer is as Tebex’ document says, or deviates on purpose', judged, async (t) => {
    const document = readTebexDocument(documentFile);
    const judge = judgeBy(document, deviations);
    for (const exchange of exchanges) t.same(judge(exchange), [], told(exchange));
    const isBasket = ({ path, status }: Exchange) => path.endsWith('/baskets') && status === 200;
    const basket = exchanges.find(isBasket) as Exchange & { body: { data: object } };
    for (const wrong of [{ total_price: '60' }, { ident: undefined }, { colour: 'red' }, { packages: [{}] }]) {
      const body = { data: { ...basket.body.data, ...wrong } };
      t.not(judge({ ...basket, body }).length, 0, `and no basket with ${JSON.stringify(wrong)} is`);
    }
    for (const deviation of deviations) {
      const without = judgeBy(
        document,
        deviations.filter((other) => other !== deviation),
      );
      t.ok(
        exchanges.some((exchange) => without(exchange).length > 0),
        `${deviation.where}: ${deviation.sent} is needed`,
      );
    }
  });
  t.test('docs/tebex.md is what npm run docs:tebex writes', async (t) => {
    const results = sumUp(exchanges);
    keepResults(results);
    t.equal(readFileSync(tebexPageFile, 'utf8'), tebexPage(results));
  });
});

function told({ client, hasKey, method, path, status, body }: Exchange): string {
  return `${client}${hasKey ? ' with a key' : ''}: ${method} ${path} ${status} ${JSON.stringify(body)}`;
}

async function putCodes({ owner }: WebStore): Promise<void> {
  const put = async (path: string, body: object) => {
    const { status, text } = await owner.request('PUT', `/v1/${path}`, body);
    if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
  };
  await put(`discount-codes/${codes.coupons}`, { type: 'percent', value: 1000 });
  await put(`gift-cards/${codes.giftcards.replaceAll(' ', '')}`, { balance: 1000, currency: 'GBP' });
  await put(`creator-codes/${codes['creator-codes']}`, { walletRef: 'agathe', sharePercent: 5 });
}

/** What is for sale, before there is a basket. */
async function browse(t: Test, client: HeadlessClient): Promise<void> {
  t.match(await client.webstore(), { name: 'Roxy', currency: 'GBP' });
  t.match(await client.categories(false), [{ name: 'Packages' }, { name: 'The Concert' }]);
  const [, concert] = await client.categories(true);
  const stalls = { id: packages.stalls, name: 'Stalls', base_price: 25, sales_tax: 5, total_price: 30 };
  t.match(concert, { name: 'The Concert', slug: 'evt-1', packages: [stalls] });
  if (client.category) t.match(await client.category(concert?.id ?? 0), { name: 'The Concert', packages: [stalls] });
  t.match(await client.package(packages.stalls), stalls);
  if (client.packages) {
    const all = await client.packages();
    t.same(all.map(({ id }) => id).sort(), [packages.stalls, packages.mug]);
  }
  if (client.pages) t.same(await client.pages(), []);
  if (client.sidebar) t.same(await client.sidebar(), []);
}

/** What a basket is made with is in it. */
async function create(t: Test, client: HeadlessClient, hasKey: boolean): Promise<void> {
  t.match(await client.createBasket(), {
    complete_url: urls.complete,
    cancel_url: urls.cancel,
    complete_auto_redirect: true,
    custom,
    // Who has no key is taken for the customer.
    ip: hasKey ? ipAddress : '127.0.0.1',
  });
}

/** A basket with five in the stalls at 150.00, after everything that a customer may do to one. */
async function shopFor(t: Test, store: WebStore, client: HeadlessClient, holds: boolean): Promise<TebexBasket> {
  const created = await client.createBasket();
  t.same(Object.keys(created).sort(), basketKeys);
  t.match(created, { complete: false, total_price: 0, packages: [] });
  const { ident } = created;
  const held = async () => ((await store.availability('stalls')) as { held: number }).held;

  const methods = await client.authUrls(ident, 'https://tickets.roxy.example/?signed=in');
  t.match(methods, [{ name: 'FiveM' }]);
  t.equal(methods[0]?.url.split('?')[0], provider);

  t.match(await client.add(ident, packages.stalls, 2), {
    base_price: 50,
    sales_tax: 10,
    total_price: 60,
    packages: [{ id: packages.stalls, name: 'Stalls', in_basket: { quantity: 2, price: 25, gift_username_id: null } }],
  });
  t.equal(await held(), holds ? 2 : 0, 'held from the first package on, if by a back end');
  const five = client.setQuantity
    ? await client.setQuantity(ident, packages.stalls, 5)
    : await client.add(ident, packages.stalls, 3);
  t.match(five, { total_price: 150, packages: [{ in_basket: { quantity: 5, price: 25 } }] });
  t.equal(await held(), holds ? 5 : 0);

  const withPresent = client.gift
    ? await client.gift(ident, packages.mug, recipient)
    : await client.add(ident, packages.mug, 1);
  const gift_username_id = client.gift ? recipient : null;
  t.match(withPresent.packages[1], { id: packages.mug, in_basket: { quantity: 1, price: 9.99, gift_username_id } });
  t.equal(withPresent.total_price, 159.99);

  for (const { kind, name } of kinds) {
    t.same(await client.apply(ident, kind, codes[kind]), {
      success: true,
      message: `${name} applied successfully`,
    });
  }
  const discounted = await client.basket(ident);
  t.match(discounted, {
    total_price: 143.99,
    base_price: 121.49,
    sales_tax: 22.5,
    giftcards: [{ card_number: '**** 1111' }],
    creator_code: codes['creator-codes'],
  });
  t.same(discounted.coupons, [{ code: codes.coupons, coupon_code: codes.coupons }]);
  for (const { kind, name } of kinds) {
    t.same(await client.remove(ident, kind, codes[kind]), {
      success: true,
      message: `${name} removed successfully`,
    });
  }
  t.match(await client.basket(ident), { total_price: 159.99, coupons: [], giftcards: [], creator_code: null });

  const bare = await client.removePackage(ident, packages.mug);
  t.match(bare, { total_price: 150, packages: [{ id: packages.stalls }] });
  t.equal(bare.packages.length, 1);
  t.same(await client.basket(ident), bare, 'what is read is what was answered');

  const { status, body } = await store.backEnd.request('GET', `/v1/baskets/${created.id}`);
  t.equal(status, 200);
  t.match(body, {
    status: 'open',
    reserve: holds ? 'creation' : 'activation',
    items: [{ itemId: 'stalls', quantity: 5, unitPrice: 2500 }],
    totals: { total: 15_000, due: 15_000 },
  });
  return bare;
}

/** The way of a customer from `links.checkout` to the receipt. */
async function pay(t: Test, store: WebStore, client: HeadlessClient, { id, ident, links }: TebexBasket): Promise<void> {
  const soldBefore = ((await store.availability('stalls')) as { sold: number }).sold;
  t.notOk(links.payment);
  const { basket, customer } = await activate(store, links.checkout ?? '');
  t.equal(basket.id, id);
  t.not(customer.login, 'auto', 'an ident logs nobody in');
  t.match(await store.availability('stalls'), { held: 5 }, 'held at the latest now');
  t.equal((await checkout(store, basket.id)).status, 200);
  const done = await complete(store, basket.id, { orderId: `order-${basket.id}`, amount: 15_000, currency: 'GBP' });
  t.equal(done.status, 200, JSON.stringify(done.body));
  t.match(await store.availability('stalls'), { held: 0, sold: soldBefore + 5 });

  const paid = await client.basket(ident);
  t.match(paid, { complete: true, total_price: 150 });
  t.same(Object.keys(paid.links), ['payment']);
  const payment = await fetch(paid.links.payment ?? '');
  t.equal(payment.status, 200);
  t.match(await payment.json(), {
    transaction_id: /^tbx-/,
    status: { id: 1 },
    price: { amount: 150, currency: 'GBP' },
  });
}

/** Dynamic packages, an address of IPv6 in both places, flags as numbers, numbers as text, slashes at the end. */
async function writeOtherwise(t: Test, store: WebStore, authorization: string): Promise<void> {
  const send = async (method: string, path: string, body?: object) => {
    const answer = await store.as(authorization).request<{ data: TebexBasket & TebexCategory[] }>(method, path, body);
    t.equal(answer.status, 200, answer.text);
    return answer.body.data;
  };
  const { account } = store;
  const inQuery = await send('POST', `${account}/baskets/?ip_address=2001:DB8::8`, { username: 'Anna' });
  t.equal(inQuery.ip, '2001:db8::8');
  const inBody = { username: 'Anna', ip_address: '2001:db8:0::7', complete_auto_redirect: 1, custom: null };
  const created = await send('POST', `${account}/baskets`, inBody);
  t.match(created, { ip: '2001:db8::7', complete_auto_redirect: true, custom: null });
  const { ident } = created;

  const [category] = await send('GET', `${account}/categories`);
  const wanted = { name: 'A song for Anna', price: 7.5, slug: 'song', custom: { song: 'Yesterday' } };
  await send('PUT', `${account}/baskets/${ident}/dynamic-packages`, {
    username: 'Anna',
    category_id: category?.id,
    packages: [wanted],
  });
  const [own] = await send('GET', `${account}/categories?includePackages=1&basketIdent=${ident}`);
  const song = own?.packages?.find(({ slug }) => slug === 'song');
  t.match(song, { name: 'A song for Anna', total_price: 7.5 });
  await send('POST', `/baskets/${ident}/packages/`, { package_id: `${song?.id}`, quantity: '2', dynamic: 'true' });
  const read = await send('GET', `/baskets/${ident}/`);
  t.match(read, { total_price: 15, packages: [{ id: song?.id, in_basket: { quantity: 2, price: 7.5 } }] });

  const server = { name: 'server', required: true, type: 'dropdown', options: ['eu', 'us', '10'] };
  await store.owner.request('PATCH', '/v1/items/mug', { variables: [server] });
  for (const choice of [2, 'eu', '10']) {
    await send('POST', `/baskets/${ident}/packages`, { package_id: packages.mug, variable_data: { server: choice } });
  }
  const { body } = await store.backEnd.request('GET', `/v1/baskets/${created.id}`);
  const chosen = ['us', 'eu', '10'].map((value) => ({ itemId: 'mug', variables: { server: value } }));
  t.match(body, { items: [{ quantity: 2 }, ...chosen] }, 'options by the number that they are shown with, or by value');
}

/** What a store front is told when something cannot be done, through the client's own way of failing. */
async function beRefused(t: Test, store: WebStore, client: HeadlessClient, holds: boolean): Promise<void> {
  const refusalOf = async (call: Promise<unknown>) => {
    try {
      await call;
    } catch (error) {
      return client.refusalIn(error);
    }
    return null;
  };
  const notFound = { status: 404, detail: 'Basket not found', code: 'basket_not_found' };
  t.match(await refusalOf(client.basket('1a-55fff4107740a1f40d844ff89607557f45bfafb3')), notFound);

  const { id, ident, username } = await client.createBasketFor('test');
  t.equal(username, holds ? 'test' : null, 'where customers sign in, only a back end names one');
  t.match(await refusalOf(client.add(ident, 1, 1)), { status: 422, code: 'package_not_found' });
  if (holds) {
    const tooMuch = await refusalOf(client.add(ident, packages.stalls, 101));
    t.match(tooMuch, { status: 409, code: 'insufficient_stock' }, 'nothing is sold that is not there');
  }
  t.match(await refusalOf(client.apply(ident, 'coupons', 'nonsense')), { status: 422, code: 'code_unknown' });
  if (client.updateTier) {
    t.match(await refusalOf(client.updateTier(1, packages.stalls)), { status: 422, code: 'not_supported' });
  }
  t.equal((await store.backEnd.request('POST', `/v1/baskets/${id}/cancel`)).status, 200);
  t.match(await refusalOf(client.basket(ident)), notFound, 'what has ended is forgotten like what never was');
}
