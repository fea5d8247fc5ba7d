import t from 'tap';
import { activate, createBasket, readBasket } from '../support/journey.ts';
import { openShop, shopSettings } from '../support/shop.ts';

const shop = await openShop(t);
const unvouched = await shop.withScope('baskets:write');

type Case = {
  what: string;
  shopLogin?: 'auto' | 'signIn' | 'none';
  madeBy?: 'somebody who may log in' | 'somebody who may not';
  customer?: boolean;
  /** Whether the link was opened before. */
  again?: boolean;
  /** Whether the basket's customer is signed in at the shop when the link is opened. */
  signedIn?: boolean;
  login: 'auto' | 'signIn' | 'none';
};

const cases: Case[] = [
  { what: 'a vouched link that is opened for the first time', login: 'auto' },
  { what: 'the same, by somebody who is signed in as its customer', signedIn: true, login: 'auto' },
  { what: 'a vouched link that is opened again by nobody known', again: true, login: 'signIn' },
  { what: 'a vouched link that is opened again by its customer', again: true, signedIn: true, login: 'auto' },
  { what: 'a link by somebody who may not log in', madeBy: 'somebody who may not', login: 'signIn' },
  { what: 'the same, opened by its customer', madeBy: 'somebody who may not', signedIn: true, login: 'signIn' },
  { what: 'a link of a shop that lets customers sign in', shopLogin: 'signIn', login: 'signIn' },
  { what: 'the same, opened by its customer', shopLogin: 'signIn', signedIn: true, login: 'signIn' },
  { what: 'a link of a shop that logs nobody in', shopLogin: 'none', login: 'none' },
  { what: 'the same, opened by its customer', shopLogin: 'none', signedIn: true, login: 'none' },
  { what: 'a link of a guest’s basket', customer: false, login: 'none' },
  { what: 'the same, opened by somebody who is signed in', customer: false, signedIn: true, login: 'signIn' },
];

for (const { what, shopLogin = 'auto', madeBy, customer = true, again, signedIn = false, login } of cases) {
  const by = madeBy === undefined ? '' : `, made by ${madeBy}`;
  t.test(`${what} says login ${login} (shop: ${shopLogin}${by})`, async (t) => {
    await shop.owner.request('PUT', '/v1/shops/roxy', { ...shopSettings, customer: { login: shopLogin } });
    const body = customer ? { customer: { id: 'cus-7' } } : {};
    const backEnd = madeBy === 'somebody who may not' ? unvouched : shop.backEnd;
    const { startBasketUrl } = await createBasket(shop, body, backEnd);
    if (again) await activate(shop, startBasketUrl);
    const redeemed = await activate(shop, startBasketUrl, { customerId: signedIn ? 'cus-7' : null });
    const known = customer || signedIn;
    t.same(redeemed.customer, { id: known ? 'cus-7' : null, registered: known, login });
  });
}

t.test('a guest’s basket takes on the customer who is signed in, and keeps them', async (t) => {
  await shop.owner.request('PUT', '/v1/shops/roxy', shopSettings);
  const { id, startBasketUrl } = await createBasket(shop, { customer: { email: 'anna@b.example' } });
  const first = await activate(shop, startBasketUrl);
  t.same(first.customer, { id: null, registered: false, login: 'none' });
  const second = await activate(shop, startBasketUrl, { customerId: 'cus-8' });
  t.match(second.basket, { version: first.basket.version + 1, customer: { id: 'cus-8', email: 'anna@b.example' } });
  t.equal((await readBasket(shop, id)).customer?.id, 'cus-8');
});

t.test('a basket whose customer was set by somebody who may not log in logs nobody in', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop, { customer: { id: 'cus-9' } });
  const patched = await unvouched.request<{ startBasketUrl: string }>('PATCH', `/v1/baskets/${id}`, {
    customer: { id: 'cus-10' },
  });
  t.equal(patched.status, 200, patched.text);
  const minted = await shop.backEnd.request<{ startBasketUrl: string }>('POST', `/v1/baskets/${id}/link`);
  t.equal((await activate(shop, minted.body.startBasketUrl)).customer.login, 'signIn');
  t.not(minted.body.startBasketUrl, startBasketUrl);
});

t.test('a basket made by somebody who may not log in logs nobody in, whoever vouches for the rest', async (t) => {
  const { id } = await createBasket(shop, {}, unvouched);
  await shop.backEnd.request('PATCH', `/v1/baskets/${id}`, { customer: { id: 'cus-11' } });
  const minted = await shop.backEnd.request<{ startBasketUrl: string }>('POST', `/v1/baskets/${id}/link`);
  t.same((await activate(shop, minted.body.startBasketUrl)).customer, {
    id: 'cus-11',
    registered: true,
    login: 'signIn',
  });
});
