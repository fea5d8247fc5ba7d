import t from 'tap';
import { audit } from '../support/audit.ts';
import {
  checkout,
  complete,
  createBasket,
  letExpire,
  openBasket,
  putItem,
  type Redirected,
  readBasket,
  type ShownProblem,
} from '../support/journey.ts';
import { openShop, shopSettings } from '../support/shop.ts';

const shop = await openShop(t, {
  settings: { basket: { ttlSeconds: 300, maxLifetimeSeconds: 900, checkoutSeconds: 600 } },
});
const { pool } = shop.service;
const secondsBetween = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 1000;
const back = (basketId: string) =>
  shop.payments.request<Redirected & ShownProblem>('DELETE', `/v1/baskets/${basketId}/checkout`);
const fail = (basketId: string, body: object = {}) =>
  shop.payments.request<Redirected & ShownProblem>('POST', `/v1/baskets/${basketId}/checkout/fail`, body);

async function outboxTypes(basketId: string): Promise<string[]> {
  const { rows } = await pool.query<{ type: string }>(
    'SELECT type FROM outbox WHERE subject_id = $1 ORDER BY sequence',
    [basketId],
  );
  return rows.map(({ type }) => type);
}

t.test(
  'checkout freezes a basket for the time of paying, and again gives the same lease and no more time',
  async (t) => {
    const { id, basket } = await openBasket(shop);
    const first = await checkout(shop, id);
    t.equal(first.status, 200, first.text);
    t.equal(first.body.amountDue, basket.totals.due);
    t.match(first.body.leaseId, /^lse_[0-9a-z]{26}$/);
    t.equal(first.body.leaseExpiresAt, first.body.basket.expiresAt);
    t.equal(secondsBetween(first.body.basket.serverTime, first.body.leaseExpiresAt), 600);

    const again = await checkout(shop, id);
    t.match(again.body, {
      leaseId: first.body.leaseId,
      leaseExpiresAt: first.body.leaseExpiresAt,
      basket: { status: 'checkout', version: first.body.basket.version },
    });
  },
);

t.test('of many checkouts at once each gets the same lease', async (t) => {
  const { id } = await openBasket(shop);
  const answers = await Promise.all(Array.from({ length: 10 }, () => checkout(shop, id)));
  t.same(new Set(answers.map(({ status }) => status)), new Set([200]));
  t.equal(new Set(answers.map(({ body }) => body.leaseId)).size, 1);
});

t.test('neither checkout nor Back goes past the longest lifetime and one checkout', async (t) => {
  const { id } = await openBasket(shop);
  await pool.query(
    `UPDATE baskets SET lifetime_ends_at = now() - interval '560 seconds', expires_at = now() + interval '20 seconds'
     WHERE basket_id = $1`,
    [id],
  );
  const { body } = await checkout(shop, id);
  t.equal(secondsBetween(body.basket.extendableUntil, body.leaseExpiresAt), 600);
  const { basket } = (await back(id)).body;
  t.equal(secondsBetween(basket.extendableUntil, basket.expiresAt), 600);
});

t.test('checkout shortens no time that a basket has', async (t) => {
  const { id } = await openBasket(shop);
  await pool.query(`UPDATE baskets SET expires_at = now() + interval '800 seconds' WHERE basket_id = $1`, [id]);
  const before = await readBasket(shop, id);
  t.equal((await checkout(shop, id)).body.leaseExpiresAt, before.expiresAt);
});

t.test('Back restores the time that was left, and kills the lease', async (t) => {
  const { id } = await openBasket(shop);
  const before = await readBasket(shop, id);
  const { leaseId } = (await checkout(shop, id)).body;
  const returned = await back(id);
  t.match(returned, { status: 200, body: { basket: { status: 'activated', expiresAt: before.expiresAt } } });
  const next = await checkout(shop, id);
  t.not(next.body.leaseId, leaseId);
  t.match(await fail(id, { leaseId }), { status: 409, body: { code: 'lease_superseded' } });
  t.equal((await readBasket(shop, id)).status, 'checkout');
});

t.test('Back and a failed payment leave at least a minute', async (t) => {
  for (const leave of [back, fail]) {
    const { id } = await openBasket(shop);
    await pool.query(`UPDATE baskets SET expires_at = now() + interval '5 seconds' WHERE basket_id = $1`, [id]);
    await checkout(shop, id);
    const { basket } = (await leave(id)).body;
    t.equal(secondsBetween(basket.serverTime, basket.expiresAt), 60);
  }
});

t.test('a failed payment goes out as such, and leaving what is not in checkout changes nothing', async (t) => {
  const { id } = await openBasket(shop);
  const { leaseId } = (await checkout(shop, id)).body;
  t.match(await fail(id, { leaseId, reason: 'card declined' }), {
    status: 200,
    body: { basket: { status: 'activated' } },
  });
  const { version } = await readBasket(shop, id);
  t.match(await back(id), { status: 200, body: { basket: { status: 'activated', version } } });
  t.match(await fail(id), { status: 200, body: { basket: { status: 'activated', version } } });
  t.same(await outboxTypes(id), [
    'basket.created',
    'basket.activated',
    'basket.checkout_started',
    'basket.checkout_failed',
  ]);
});

type Url = { success: string; failure: string; cancel: string };
const urls = (query: string): Record<string, string> => ({
  successRedirectUrl: `https://partner.example/done${query}`,
  failureRedirectUrl: `https://partner.example/failed${query}`,
  cancelRedirectUrl: `https://partner.example/back${query}`,
});
const redirects: { what: string; body: object; expected: (id: string) => Url }[] = [
  {
    what: 'get order, basket and customer',
    body: { ...urls(''), customer: { id: 'cus-1' } },
    expected: (id) => ({
      success: `https://partner.example/done?order_id=order-${id}&customer_id=cus-1`,
      failure: `https://partner.example/failed?basket_id=${id}&customer_id=cus-1`,
      cancel: 'https://partner.example/back',
    }),
  },
  {
    what: 'keep the query that they have',
    body: { ...urls('?a=1&b=%26'), customer: { id: 'cus-2' } },
    expected: (id) => ({
      success: `https://partner.example/done?a=1&b=%26&order_id=order-${id}&customer_id=cus-2`,
      failure: `https://partner.example/failed?a=1&b=%26&basket_id=${id}&customer_id=cus-2`,
      cancel: 'https://partner.example/back?a=1&b=%26',
    }),
  },
  {
    what: 'leave out a customer who is not known',
    body: urls(''),
    expected: (id) => ({
      success: `https://partner.example/done?order_id=order-${id}`,
      failure: `https://partner.example/failed?basket_id=${id}`,
      cancel: 'https://partner.example/back',
    }),
  },
  {
    what: 'are the shop’s basket page where none was named',
    body: {},
    expected: (id) => ({
      success: `https://tickets.roxy.example/basket?order_id=order-${id}`,
      failure: `https://tickets.roxy.example/basket?basket_id=${id}`,
      cancel: 'https://tickets.roxy.example/basket',
    }),
  },
];

for (const { what, body, expected } of redirects) {
  t.test(`redirect URLs ${what}`, async (t) => {
    const { id } = await openBasket(shop, body);
    await checkout(shop, id);
    const cancel = (await back(id)).body.redirectUrl;
    await checkout(shop, id);
    const failure = (await fail(id)).body.redirectUrl;
    const success = (await complete(shop, id, { orderId: `order-${id}` })).body.redirectUrl;
    t.same({ success, failure, cancel }, expected(id));
  });
}

t.test('the customer whom the back end names is the one in the redirect URL', async (t) => {
  const { id } = await openBasket(shop, urls(''));
  await checkout(shop, id);
  t.match((await fail(id, { customerId: 'cus-3' })).body.redirectUrl, /customer_id=cus-3$/);
  const completed = await complete(shop, id, { orderId: `order-${id}`, customerId: 'cus-3' });
  t.match(completed.body.redirectUrl, /customer_id=cus-3$/);
});

t.test('a basket that nobody opened, and one that has ended, cannot be checked out', async (t) => {
  const open = await createBasket(shop);
  t.match(await checkout(shop, open.id), { status: 409, body: { code: 'basket_not_activated' } });
  const expired = await openBasket(shop);
  await letExpire(shop, expired.id);
  const ended = { code: 'basket_not_live', basketStatus: 'expired', statusReason: 'timeout' };
  t.match(await checkout(shop, expired.id), { status: 409, body: ended });
  t.match(await back(expired.id), { status: 409, body: ended });
  const completed = await openBasket(shop);
  await complete(shop, completed.id, { orderId: `order-${completed.id}` });
  t.match(await checkout(shop, completed.id), {
    status: 409,
    body: { code: 'basket_not_live', basketStatus: 'completed' },
  });
});

t.test('a customer whom the back end named at checkout need not be named again after Back', async (t) => {
  const guest = await openBasket(shop);
  const session = shop.as(guest.session.token);
  t.equal((await checkout(shop, guest.id, { customerId: 'cus-4' })).status, 200);
  t.equal((await readBasket(shop, guest.id)).customer?.id, 'cus-4', 'the guest’s basket takes them on');
  t.equal((await back(guest.id)).status, 200);
  t.match(await session.request('POST', `/v1/baskets/${guest.id}/checkout`), { status: 200 });
});

t.test('a shop that needs a user name starts no checkout without one', async (t) => {
  await shop.owner.request('PUT', '/v1/shops/roxy', { ...shopSettings, customer: { usernameRequired: true } });
  t.teardown(() => shop.owner.request('PUT', '/v1/shops/roxy', shopSettings));
  const without = await openBasket(shop);
  t.match(await checkout(shop, without.id), { status: 422, body: { code: 'username_required' } });
  const named = await openBasket(shop, { customer: { username: 'Anna' } });
  t.equal((await checkout(shop, named.id)).status, 200);
});

t.test('a basket that is being paid cannot be cancelled', async (t) => {
  const { id } = await openBasket(shop);
  await checkout(shop, id);
  const refused = await shop.backEnd.request('POST', `/v1/baskets/${id}/cancel`);
  t.match(refused, { status: 409, body: { code: 'basket_in_checkout' } });
  t.equal((await readBasket(shop, id)).status, 'checkout');
});

t.test('an event’s cancellation ends baskets that are being paid, and their payment is refused', async (t) => {
  await shop.owner.request('PUT', '/v1/events/evt-2', { name: 'Off' });
  await putItem(shop, 'seat', 5, { eventId: 'evt-2' });
  const { id } = await openBasket(shop, { items: [{ itemId: 'seat', quantity: 2 }] });
  await checkout(shop, id);
  t.equal((await shop.owner.request('POST', '/v1/events/evt-2/cancel')).status, 200);
  t.match(await readBasket(shop, id), { status: 'cancelled', statusReason: 'event_cancelled' });
  t.match(await complete(shop, id, { orderId: 'order-off' }), { status: 409, body: { code: 'event_cancelled' } });
  t.match(await checkout(shop, id), {
    status: 409,
    body: { code: 'basket_not_live', statusReason: 'event_cancelled' },
  });
  t.same(await shop.availability('seat'), { capacity: 5, held: 0, sold: 0, available: 5 });
});

t.test('after all of this the books are sound', async (t) => {
  await t.resolves(audit(pool));
});
