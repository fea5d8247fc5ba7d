import t from 'tap';
import { visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

type Basket = { id: string; version: number; customer: object | null; startBasketUrl: string };

t.test('a merge patch changes what it names, leaves the rest, and counts one version', async (t) => {
  const shop = await openShop(t);
  const { body: basket } = await shop.backEnd.request<Basket>('POST', '/v1/baskets', {
    items: [{ itemId: 'stalls', quantity: 1 }],
    customer: { id: 'cus-7', email: 'a@b.example' },
    custom: { seat: { row: 'A', number: 4 } },
    country: 'GB',
  });
  const path = `/v1/baskets/${basket.id}`;
  const changed = await shop.backEnd.request<Basket>('PATCH', path, {
    customer: { email: null, name: 'Anna' },
    custom: { seat: { number: 5 } },
    country: null,
    reference: 'booking-1',
    successRedirectUrl: 'https://partner.example/done',
  });
  t.equal(changed.status, 200, changed.text);
  t.match(changed.body, {
    version: 2,
    customer: { id: 'cus-7', email: null, name: 'Anna' },
    custom: { seat: { row: 'A', number: 5 } },
    country: null,
    reference: 'booking-1',
    successRedirectUrl: 'https://partner.example/done',
  });

  const refusals = [
    { patch: { status: 'completed' }, status: 400, code: 'invalid_request' },
    { patch: { status: null }, status: 400, code: 'invalid_request' },
    { patch: { custom: 'text' }, status: 400, code: 'invalid_request' },
    { patch: { ipAddress: '999.1.1.1' }, status: 400, code: 'invalid_request' },
    { patch: { successRedirectUrl: 'https://evil.example/' }, status: 422, code: 'redirect_not_allowed' },
  ];
  for (const { patch, status, code } of refusals) {
    t.match(await shop.backEnd.request('PATCH', path, patch), { status, body: { code } }, JSON.stringify(patch));
  }
  t.match(await shop.backEnd.request('PATCH', path, { country: 'FR' }, { 'if-match': '"1"' }), { status: 412 });
  t.match(
    await shop.backEnd.request('GET', path),
    { body: { version: 2, country: null } },
    'a refusal changes nothing',
  );
});

t.test('another customer revokes earlier links, and cannot be named once the basket is activated', async (t) => {
  const shop = await openShop(t);
  const { body: basket } = await shop.backEnd.request<Basket>('POST', '/v1/baskets', {
    items: [{ itemId: 'stalls', quantity: 1 }],
    customer: { id: 'cus-7' },
    linkMode: 'redirect',
  });
  const path = `/v1/baskets/${basket.id}`;
  t.equal((await shop.backEnd.request('PATCH', path, { customer: { id: 'cus-8' } })).status, 200);
  t.match(await visit(basket.startBasketUrl, { accept: 'application/json' }), { status: 410, text: /link_revoked/ });

  const { body: minted } = await shop.backEnd.request<Basket>('POST', `${path}/link`);
  const click = await visit(minted.startBasketUrl);
  const token = new URL(click.headers.location ?? '').searchParams.get('token');
  t.equal((await shop.frontEnd.request('POST', '/v1/confirmations', { token })).status, 200);
  const late = await shop.backEnd.request('PATCH', path, { customer: { id: 'cus-9' } });
  t.match(late, { status: 409, body: { code: 'not_modifiable' } });
});
