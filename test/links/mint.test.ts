import t from 'tap';
import { api, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

type Basket = { id: string; version: number; startBasketUrl: string };
const json = { accept: 'application/json' };

t.test('a new start link works and every earlier one answers link_revoked, also to a token it had given', async (t) => {
  const shop = await openShop(t);
  const { body: basket } = await shop.backEnd.request<Basket>('POST', '/v1/baskets', {
    items: [{ itemId: 'stalls', quantity: 1 }],
    linkMode: 'redirect',
  });
  const click = await visit(basket.startBasketUrl);
  const token = new URL(click.headers.location ?? '').searchParams.get('token');

  const minted = await shop.backEnd.request<Basket>('POST', `/v1/baskets/${basket.id}/link`);
  t.equal(minted.status, 200, minted.text);
  t.not(minted.body.startBasketUrl, basket.startBasketUrl);
  t.match(await visit(basket.startBasketUrl, json), { status: 410, text: /link_revoked/ });
  const redeemed = await shop.frontEnd.request('POST', '/v1/confirmations', { token });
  t.match(redeemed, { status: 410, body: { code: 'link_revoked' } });
  t.equal((await visit(minted.body.startBasketUrl)).status, 303);
});

t.test('a revocation leaves no working link, and with sessions=true no working session either', async (t) => {
  const shop = await openShop(t);
  const { body: basket } = await shop.backEnd.request<Basket>('POST', '/v1/baskets', {
    items: [{ itemId: 'stalls', quantity: 1 }],
    linkMode: 'redirect',
  });
  const click = await visit(basket.startBasketUrl);
  const token = new URL(click.headers.location ?? '').searchParams.get('token');
  const { body } = await shop.frontEnd.request<{ session: { token: string } }>('POST', '/v1/confirmations', { token });
  const session = api(shop.service.url, body.session.token);
  const path = `/v1/baskets/${basket.id}`;

  t.equal((await shop.backEnd.request('DELETE', `${path}/link`)).status, 200);
  t.match(await visit(basket.startBasketUrl, json), { status: 410, text: /link_revoked/ });
  t.equal((await session.request('GET', path)).status, 200, 'the session was not asked to end');
  t.equal((await shop.backEnd.request('DELETE', `${path}/link?sessions=true`)).status, 200);
  t.match(await session.request('GET', path), { status: 409, body: { code: 'session_superseded' } });
});

t.test('a link logs in only if its minter may, and a replayed mint gives the same link', async (t) => {
  const shop = await openShop(t);
  const guarded = await shop.withScope('baskets:write');
  const { body: basket } = await shop.backEnd.request<Basket>('POST', '/v1/baskets', {
    items: [{ itemId: 'stalls', quantity: 1 }],
    customer: { id: 'cus-7' },
    linkMode: 'redirect',
  });
  const key = { 'idempotency-key': 'mint-1' };
  const minted = await guarded.request<Basket>('POST', `/v1/baskets/${basket.id}/link`, undefined, key);
  const again = await guarded.request<Basket>('POST', `/v1/baskets/${basket.id}/link`, undefined, key);
  t.equal(again.text, minted.text);
  t.equal(again.headers.get('idempotent-replayed'), 'true');
  const click = await visit(minted.body.startBasketUrl);
  const token = new URL(click.headers.location ?? '').searchParams.get('token');
  const redeemed = await shop.frontEnd.request('POST', '/v1/confirmations', { token });
  t.match(redeemed.body, { customer: { id: 'cus-7', login: 'signIn' } });
});
