import t from 'tap';
import { audit } from '../support/audit.ts';
import { activate, checkout, complete, letExpire, putItem } from '../support/journey.ts';
import { basic, createInStore, openWebStore, type TebexBasket, type TebexProblem } from '../support/web-store.ts';

const store = await openWebStore(t);
const { account, anybody, storeBackEnd, service } = store;
type Wrapped = { data: TebexBasket };
const held = async (itemId: string) => ((await store.availability(itemId)) as { held: number }).held;
const read = async ({ ident }: TebexBasket) => (await anybody.request<Wrapped>('GET', `/baskets/${ident}`)).body.data;
const add = ({ ident }: TebexBasket, body: object) =>
  anybody.request<Wrapped & TebexProblem>('POST', `/baskets/${ident}/packages`, body);
const keys = [
  ...['base_price', 'cancel_url', 'complete', 'complete_auto_redirect', 'complete_url', 'country', 'coupons'],
  ...['creator_code', 'currency', 'custom', 'email', 'giftcards', 'id', 'ident', 'ip', 'links', 'packages'],
  ...['sales_tax', 'total_price', 'username', 'username_id'],
];
t.afterEach(() => audit(service.pool));

t.test('a basket has the 21 keys of Tebex, what was said of it, and starts empty', async (t) => {
  const urls = { complete_url: 'https://partner.example/thanks', cancel_url: 'https://partner.example/back' };
  const said = { ...urls, custom: { ref: 1 }, complete_auto_redirect: 1, username: 'Steve', email: 's@example.org' };
  const basket = await createInStore(store, 'storeBackEnd', { ...said, ip_address: '2001:db8::7', unknown: 'ignored' });
  t.same(Object.keys(basket).sort(), keys);
  t.match(basket, {
    ...{ ...urls, complete: false, complete_auto_redirect: true, custom: { ref: 1 }, username: 'Steve' },
    ...{ email: 's@example.org', ip: '2001:db8::7', username_id: null, currency: 'GBP', packages: [], coupons: [] },
    ...{ base_price: 0, sales_tax: 0, total_price: 0, giftcards: [], creator_code: null },
    links: { checkout: new RegExp(`^${service.url}/b/`) },
  });
  t.match(await createInStore(store, 'anybody', { custom: [] }), { custom: null, ip: '127.0.0.1' });
});

t.test('stock is held from the first package on for a back end, and for anybody when the link is opened', async (t) => {
  const ofBackEnd = await createInStore(store, 'storeBackEnd');
  const ofAnybody = await createInStore(store, 'anybody', { ip_address: '203.0.113.9' });
  t.equal(ofAnybody.ip, '127.0.0.1', 'nobody names another address than their own');
  const before = await held('stalls');
  const added = await add(ofBackEnd, { package_id: 5, quantity: 2 });
  t.match(added.body.data, {
    ...{ base_price: 50, sales_tax: 10, total_price: 60 },
    packages: [{ id: 5, name: 'Stalls', slug: 'stalls', type: 'single', in_basket: { quantity: 2, price: 25 } }],
  });
  t.equal(await held('stalls'), before + 2);
  t.equal((await add(ofAnybody, { package_id: '5', quantity: '3', type: 'single', variable_data: {} })).status, 200);
  t.equal(await held('stalls'), before + 2, 'nothing for a stranger');
  const { body } = await store.backEnd.request('GET', `/v1/baskets/${ofAnybody.id}`);
  t.match(body, { reserve: 'activation', items: [{ itemId: 'stalls', quantity: 3 }] }, 'it is the same basket');

  await activate(store, (await read(ofAnybody)).links.checkout ?? '');
  t.equal(await held('stalls'), before + 5);
});

t.test('reading the link to pay revokes none, and the payment has one when it is paid', async (t) => {
  const basket = await createInStore(store, 'storeBackEnd');
  await add(basket, { package_id: 6 });
  const [first, second] = [await read(basket), await read(basket)];
  t.equal(first.links.checkout, second.links.checkout);
  const redeemed = await activate(store, first.links.checkout ?? '');
  t.match(redeemed.customer, { login: 'none' });
  await checkout(store, basket.id);
  await complete(store, basket.id, { orderId: 'order-1' });
  const paid = await read(basket);
  t.match(paid, { complete: true, total_price: 9.99 });
  t.match(Object.keys(paid.links), ['payment']);
  t.match(paid.links.payment, new RegExp(`^${service.url}/api/payments/tbx-`));
  const late = await add(basket, { package_id: 6 });
  t.match([late.status, late.body.error_code], [409, 'basket_not_live']);
});

t.test('a link of a web store logs nobody in, even for a back end that may', async (t) => {
  const mighty = store.withKey(await store.keyOf(['baskets:write', 'customers:login']));
  const { data } = (await mighty.request<Wrapped>('POST', `${account}/baskets`, {})).body;
  const mint = await store.backEnd.request<{ startBasketUrl: string }>('POST', `/v1/baskets/${data.id}/link`);
  await store.backEnd.request('PATCH', `/v1/baskets/${data.id}`, { customer: { id: 'cus-1' } });
  t.equal(mint.status, 200);
  const again = await store.backEnd.request<{ startBasketUrl: string }>('POST', `/v1/baskets/${data.id}/link`);
  t.match((await activate(store, again.body.startBasketUrl)).customer, { id: 'cus-1', login: 'signIn' });
});

t.test('where customers sign in, nobody becomes one by saying so, but a back end may name one', async (t) => {
  const signIn = (authProviders: object[]) =>
    store.owner.request('PATCH', '/v1/shops/roxy', { customer: { authProviders } });
  const username = 'Steve';
  await signIn([{ name: 'FiveM', url: 'https://ident.example/fivem' }]);
  t.equal((await createInStore(store, 'anybody', { username })).username, null);
  t.equal((await createInStore(store, 'storeBackEnd', { username })).username, username);
  await signIn([]);
  t.equal((await createInStore(store, 'anybody', { username })).username, username);
});

t.test('how the money is shared is for a back end to say and to see, once for the whole basket', async (t) => {
  const revenue_share = [{ wallet_ref: 'w-1', amount: 0.5, gateway_fee_percent: 50 }];
  const basket = await createInStore(store, 'storeBackEnd', { revenue_share });
  await add(basket, { package_id: 5 });
  const shares = async (who: typeof anybody) => {
    const { data } = (await who.request<Wrapped>('GET', `/baskets/${basket.ident}`)).body;
    return data.packages.map((each) => each.revenue_share);
  };
  await add(basket, { package_id: 6 });
  t.same(await shares(storeBackEnd), [revenue_share, []]);
  t.same(await shares(anybody), [[], []]);
  t.same(await shares(store.withKey(await store.keyOf(['baskets:read'], 'acme'))), [[], []], 'another partner');
  const { body } = await store.backEnd.request('GET', `/v1/baskets/${basket.id}`);
  t.match(body, { revenueShare: [{ walletRef: 'w-1', amount: 50, gatewayFeePercent: 50 }] });

  const path = `${account}/baskets`;
  t.match(await anybody.request('POST', path, { revenue_share }), { status: 403 });
  for (const odd of [
    {},
    'all',
    [7],
    [{ wallet_ref: 'w', amount: 0.005 }],
    [{ amount: 1 }],
    [{ wallet_ref: 'w', amount: '1' }],
  ]) {
    const answer = await storeBackEnd.request<TebexProblem>('POST', path, { revenue_share: odd });
    t.match([answer.status, answer.body.detail], [422, /./], JSON.stringify(odd));
  }
});

t.test('quantities are set, more is added to what is there, and a package is taken out whole', async (t) => {
  const basket = await createInStore(store, 'storeBackEnd');
  const { ident } = basket;
  const before = await held('mug');
  await add(basket, { package_id: 6, quantity: 1 });
  t.match((await add(basket, { package_id: 6, quantity: 2 })).body.data.packages, [{ in_basket: { quantity: 3 } }]);
  const put = (quantity: unknown, id: unknown = 6) =>
    anybody.request<Wrapped & TebexProblem>('PUT', `${account}/baskets/${ident}/packages/${id}`, { quantity });
  t.match((await put('7')).body.data.packages, [{ in_basket: { quantity: 7 } }]);
  t.equal(await held('mug'), before + 7);
  const gift = await add(basket, { package_id: 6, target_username_id: 4711 });
  t.match(gift.body.data.packages, [
    { in_basket: { quantity: 7, gift_username_id: null } },
    { in_basket: { quantity: 1, gift_username_id: '4711', gift_username: null } },
  ]);
  const removed = await anybody.request<Wrapped>('POST', `/baskets/${ident}/packages/remove/`, { package_id: '6' });
  t.same(removed.body.data.packages, []);
  for (const answer of [await put(1), await put(1, 'six'), await put(-1, 5), await add(basket, { package_id: 99 })]) {
    t.equal(answer.status, 422, answer.text);
  }
});

t.test('what the web store does not sell is shown all the same, with an id that clients can read', async (t) => {
  await putItem(store, 'programme', 10);
  const basket = await createInStore(store, 'storeBackEnd');
  await store.backEnd.request('POST', `/v1/baskets/${basket.id}/lines`, { itemId: 'programme', quantity: 1 });
  t.match((await read(basket)).packages, [{ id: 0, slug: 'programme', in_basket: { quantity: 1 } }]);
});

t.test('codes are applied and removed, in the words that clients wait for', async (t) => {
  await store.owner.request('PUT', '/v1/discount-codes/SPRING', { type: 'percent', value: 1000 });
  await store.owner.request('PUT', '/v1/creator-codes/Ada', { walletRef: 'w-1', sharePercent: 5 });
  await store.owner.request('PUT', '/v1/gift-cards/0127%200244%207210%201111', { balance: 500, currency: 'GBP' });
  const basket = await createInStore(store, 'storeBackEnd');
  await add(basket, { package_id: 5 });
  const post = async (path: string, body: object | string = {}) => {
    const { status, body: answer } = await anybody.request('POST', `/baskets/${basket.ident}/${path}`, body);
    return [status, answer];
  };
  const said = (message: string) => [200, { success: true, message }];
  t.same(await post('coupons', { coupon_code: 'spring' }), said('Coupon applied successfully'));
  t.same(await post('creator-codes', { creator_code: 'ada' }), said('Creator code applied successfully'));
  t.same(await post('giftcards', { card_number: '0127 0244 7210 1111' }), said('Gift card applied successfully'));
  const full = await read(basket);
  t.match(full, {
    ...{ coupons: [{ code: 'SPRING', coupon_code: 'SPRING' }], creator_code: 'Ada' },
    ...{ giftcards: [{ card_number: '**** 1111' }], total_price: 27 },
  });
  t.notMatch(JSON.stringify(full), '7210', 'no more of the number is shown');
  t.same(await post('coupons/remove', { coupon_code: 'SPRING' }), said('Coupon removed successfully'));
  t.same(await post('giftcards/remove', { card_number: '**** 1111' }), said('Gift card removed successfully'));
  t.same(await post('creator-codes/remove', ''), said('Creator code removed successfully'));
  t.match(await read(basket), { coupons: [], giftcards: [], creator_code: null, total_price: 30 });
  t.match(await post('coupons/remove', { coupon_code: 'SPRING' }), [422, { error_code: 'code_unknown' }]);
  t.match(await post('coupons', { coupon_code: 'nonsense' }), [
    422,
    { error_code: 'code_unknown', detail: /coupon_code/ },
  ]);
  t.match(await post('coupons'), [422, { detail: `Parameter 'coupon_code' is required.` }]);
});

t.test('what is refused is a problem that says which parameter, and nothing is created', async (t) => {
  const cases: [object, string][] = [
    [{ complete_url: 'https://evil.example/' }, 'complete_url'],
    [{ cancel_url: 'javascript:alert(1)' }, 'cancel_url'],
    [{ email: 'nobody' }, 'email'],
    [{ custom: 'text' }, 'custom'],
    [{ complete_auto_redirect: 'perhaps' }, 'complete_auto_redirect'],
    [{ ip_address: '300.1.1.1' }, 'ip_address'],
    [{ username: 7 }, 'username'],
  ];
  for (const [body, name] of cases) {
    const answer = await storeBackEnd.request<TebexProblem>('POST', `${account}/baskets`, body);
    t.match([answer.status, answer.body.detail], [422, new RegExp(name)], answer.text);
    t.match(answer.body, { error_code: answer.body.code, field_details: [], meta: [], status: 422 });
  }
  for (const body of ['[]', '"x"', '{"a":']) {
    t.equal((await anybody.request('POST', `${account}/baskets`, body)).status, 422, body);
  }
});

t.test('an ident opens its basket and no other, while it is not over', async (t) => {
  const basket = await createInStore(store, 'anybody');
  const gone = { status: 404, body: { detail: 'Basket not found', error_code: 'basket_not_found' } };
  const last = basket.ident.slice(-1) === '0' ? '1' : '0';
  for (const wrong of [basket.id, `${basket.ident.slice(0, -1)}${last}`, `ff${basket.ident}`, 'x', '%00']) {
    t.match(await anybody.request('GET', `/baskets/${wrong}`), gone, wrong);
    t.match(await anybody.request('GET', `${account}/baskets/${wrong}`), gone, wrong);
  }
  await letExpire(store, basket.id);
  t.match(await anybody.request('GET', `/baskets/${basket.ident}`), gone);
  t.match(await add(basket, { package_id: 5 }), gone);
});

t.test('a back end is who its key says; a bad credential is refused even where none is needed', async (t) => {
  const bad = [
    basic(store.publicToken, 'sk_1_nonsense'),
    basic('another', await store.keyOf(['baskets:write'])),
    basic('', ''),
    'Basic %%%',
    'Bearer x',
  ];
  for (const authorization of bad) {
    const answer = await store.as(authorization).request<TebexProblem>('POST', `${account}/baskets`, {});
    t.match([answer.status, answer.headers.get('www-authenticate')], [401, 'Basic'], authorization);
    t.match(answer.body, { error_code: 'unauthorized' });
    t.equal(answer.headers.get('access-control-allow-origin'), '*', 'browsers may read why');
  }
  const reader = store.withKey(await store.keyOf(['baskets:read']));
  t.match(await reader.request('POST', `${account}/baskets`, {}), { status: 403, body: { error_code: 'forbidden' } });
  const ofPartner = store.withKey(await store.keyOf(['baskets:write'], 'acme'));
  const { data } = (await ofPartner.request<Wrapped>('POST', `${account}/baskets`, {})).body;
  t.match((await store.backEnd.request('GET', `/v1/baskets/${data.id}`)).body, { partner: 'acme' });
  const ofAnybody = await createInStore(store, 'anybody');
  const added = await ofPartner.request('POST', `/baskets/${ofAnybody.ident}/packages`, { package_id: 6 });
  t.equal(added.status, 200, 'an ident is enough, whoever has it');
});

t.test('who repeats a request under its key gets the same basket, and strangers never that of another', async (t) => {
  const headers = { 'idempotency-key': 'once' };
  const create = (who: typeof anybody) => who.request<Wrapped>('POST', `${account}/baskets`, {}, headers);
  const [first, again] = [await create(storeBackEnd), await create(storeBackEnd)];
  t.equal(again.body.data.ident, first.body.data.ident);
  t.equal(again.headers.get('idempotent-replayed'), 'true');
  t.not((await create(anybody)).body.data.ident, (await create(anybody)).body.data.ident);
  const addOnce = () =>
    anybody.request<Wrapped>('POST', `/baskets/${first.body.data.ident}/packages`, { package_id: 6 }, headers);
  await addOnce();
  t.match((await addOnce()).body.data.packages, [{ in_basket: { quantity: 1 } }]);
  const path = `/baskets/${first.body.data.ident}/packages`;
  await anybody.request('POST', path, { package_id: 6, target_username: 'Alex' });
  const removeOnce = () => anybody.request<Wrapped>('POST', `${path}/remove`, { package_id: 6 }, headers);
  const [removed, removedAgain] = [await removeOnce(), await removeOnce()];
  t.same([removed.body.data.packages, removedAgain.body.data.packages], [[], []]);
  t.equal(removedAgain.headers.get('idempotent-replayed'), 'true');

  await store.owner.request('PUT', '/v1/creator-codes/Grace', { walletRef: 'w-2', sharePercent: 5 });
  const codes = `/baskets/${first.body.data.ident}/creator-codes`;
  await anybody.request('POST', codes, { creator_code: 'Grace' });
  const forgetOnce = () => anybody.request('POST', `${codes}/remove`, '', headers);
  t.same([(await forgetOnce()).status, (await forgetOnce()).status], [200, 200]);
});

t.test('a shop that has not switched it on, and one that does not exist, answer alike', async (t) => {
  const settings = { name: 'Other', currency: 'GBP', frontend: { confirmUrl: '', basketUrl: '', errorUrl: '' } };
  for (const name of Object.keys(settings.frontend)) {
    Object.assign(settings.frontend, { [name]: 'https://other.example/' });
  }
  const platform = await store.withScope('platform');
  const other = await platform.request<{ publicToken: string }>('PUT', '/v1/shops/other', settings);
  const basket = await createInStore(store, 'anybody');
  const unknown = { status: 422, body: { error_code: 'webstore_not_found' } };
  t.match(await anybody.request('POST', '/accounts/nonsense/baskets', {}), unknown);
  t.match(await anybody.request('POST', `/accounts/${other.body.publicToken}/baskets`, {}), unknown);
  await platform.request('PATCH', '/v1/shops/other', { tebex: { enabled: true } });
  const path = `/accounts/${other.body.publicToken}/baskets/${basket.ident}`;
  t.match(await anybody.request('GET', path), { status: 404, body: { detail: 'Basket not found' } });
});

t.test('when stock is short, the store is told how much there is', async (t) => {
  await putItem(store, 'rare', 1, { packageId: 7 });
  const basket = await createInStore(store, 'storeBackEnd');
  const answer = await add(basket, { package_id: 7, quantity: 2 });
  t.match([answer.status, answer.body], [409, { error_code: 'insufficient_stock', errors: [{ available: 1 }] }]);
});
