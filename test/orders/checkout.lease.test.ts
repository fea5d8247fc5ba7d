import t from 'tap';
import { audit } from '../support/audit.ts';
import { activate, type CheckedOut, createBasket, type Redirected, readBasket } from '../support/journey.ts';
import { openShop } from '../support/shop.ts';

const ms = (text: string) => new Date(text).getTime();

t.test(
  'checkout freezes the basket for the time of paying, and asking again gives the same lease and no more time',
  async (t) => {
    const shop = await openShop(t);
    const basket = await createBasket(shop);
    const { session } = await activate(shop, basket.startBasketUrl);
    const path = `/v1/baskets/${basket.id}`;
    const first = await shop.as(session.token).request<CheckedOut>('POST', `${path}/checkout`);
    t.match(first, { status: 200, body: { basket: { status: 'checkout' }, amountDue: 3000, leaseId: /^lse_/ } });
    t.equal(first.body.leaseExpiresAt, first.body.basket.expiresAt);
    const again = await shop.payments.request<CheckedOut>('POST', `${path}/checkout`);
    t.match(again.body, { leaseId: first.body.leaseId, leaseExpiresAt: first.body.leaseExpiresAt });
    t.equal((await readBasket(shop, basket.id)).version, first.body.basket.version, 'asking again changes nothing');
    t.match(await shop.backEnd.request('POST', `${path}/cancel`), {
      status: 409,
      body: { code: 'basket_in_checkout' },
    });
    await audit(shop.service.pool);
  },
);

t.test('no chain of checkouts holds a basket past the end of its lifetime and one time of paying', async (t) => {
  const settings = { basket: { ttlSeconds: 60, maxLifetimeSeconds: 60, checkoutSeconds: 600 } };
  const shop = await openShop(t, { settings });
  const basket = await createBasket(shop);
  await activate(shop, basket.startBasketUrl);
  const path = `/v1/baskets/${basket.id}`;
  const { extendableUntil } = await readBasket(shop, basket.id);
  // Most of the lifetime has passed when the customer goes to pay.
  await shop.service.pool.query(
    `UPDATE baskets SET lifetime_ends_at = now() - interval '100 seconds' WHERE basket_id = $1`,
    [basket.id],
  );
  const { body } = await shop.payments.request<CheckedOut>('POST', `${path}/checkout`);
  t.ok(ms(body.leaseExpiresAt) <= ms(body.basket.extendableUntil) + 600_000, 'the cap holds');
  t.ok(
    ms(body.leaseExpiresAt) < ms(extendableUntil) + 600_000,
    'and it is the cap of the lifetime, not of this moment',
  );
});

t.test('Back and a failed payment restore the time that was left, but at least a minute', async (t) => {
  const shop = await openShop(t);
  const basket = await createBasket(shop, {
    cancelRedirectUrl: 'https://partner.example/back',
    failureRedirectUrl: 'https://partner.example/failed?from=us',
    customer: { id: 'cus-7' },
  });
  const { session } = await activate(shop, basket.startBasketUrl);
  const path = `/v1/baskets/${basket.id}`;
  const { expiresAt } = await readBasket(shop, basket.id);

  await shop.payments.request('POST', `${path}/checkout`);
  const back = await shop.as(session.token).request<Redirected>('DELETE', `${path}/checkout`);
  t.match(back, { status: 200, body: { basket: { status: 'activated', expiresAt } } });
  t.equal(back.body.redirectUrl, 'https://partner.example/back');

  const { body: lease } = await shop.payments.request<CheckedOut>('POST', `${path}/checkout`);
  const stale = await shop.payments.request('POST', `${path}/checkout/fail`, { leaseId: 'lse_earlier' });
  t.match(stale, { status: 409, body: { code: 'lease_superseded' } }, 'another payment’s failure ends nothing');
  const failed = await shop.payments.request<Redirected>('POST', `${path}/checkout/fail`, { leaseId: lease.leaseId });
  t.match(failed, { status: 200, body: { basket: { status: 'activated' } } });
  t.equal(failed.body.redirectUrl, `https://partner.example/failed?from=us&basket_id=${basket.id}&customer_id=cus-7`);

  // The time that was left when the payment began has passed meanwhile.
  await shop.payments.request('POST', `${path}/checkout`);
  await shop.service.pool.query(
    `UPDATE baskets SET expires_at_before_checkout = now() - interval '5 minutes' WHERE basket_id = $1`,
    [basket.id],
  );
  const { body: late } = await shop.payments.request<Redirected>('POST', `${path}/checkout/fail`);
  const left = ms(late.basket.expiresAt) - Date.now();
  t.ok(left > 50_000 && left <= 61_000, `a minute is left: ${left} ms`);
  await audit(shop.service.pool);
});

t.test('only whoever the basket was made for pays for it where the link did not log them in', async (t) => {
  const shop = await openShop(t, { settings: { customer: { login: 'signIn' } } });
  const basket = await createBasket(shop, { customer: { id: 'cus-7' } });
  const { session } = await activate(shop, basket.startBasketUrl);
  const path = `/v1/baskets/${basket.id}/checkout`;
  const mismatch = { status: 409, body: { code: 'customer_mismatch' } };
  t.match(await shop.as(session.token).request('POST', path), mismatch);
  t.match(await shop.payments.request('POST', path, { customerId: 'cus-8' }), mismatch);
  t.match(await shop.as(session.token).request('POST', path, { customerId: 'cus-7' }), { status: 403 });
  t.match(await shop.payments.request('POST', path, { customerId: 'cus-7' }), { status: 200 });
});

t.test('a shop that needs a user name refuses checkout until there is one', async (t) => {
  const shop = await openShop(t, { settings: { customer: { usernameRequired: true } } });
  const basket = await createBasket(shop);
  await activate(shop, basket.startBasketUrl);
  const path = `/v1/baskets/${basket.id}`;
  const refused = await shop.payments.request('POST', `${path}/checkout`);
  t.match(refused, { status: 422, body: { code: 'username_required' } });
  await shop.backEnd.request('PATCH', path, { customer: { username: 'anna' } });
  t.equal((await shop.payments.request('POST', `${path}/checkout`)).status, 200);
});
