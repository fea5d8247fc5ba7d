import t from 'tap';
import { audit } from '../support/audit.ts';
import {
  activate,
  type CheckedOut,
  createBasket,
  letExpire,
  pressLink,
  type Redeemed,
  redeem,
} from '../support/journey.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);

const read = ({ session, basket }: Redeemed) => shop.as(session.token).request('GET', `/v1/baskets/${basket.id}`);
const superseded = { status: 409, body: { code: 'session_superseded' } };

t.test('the session of the newest click is the valid one and an older one is told so', async (t) => {
  const { startBasketUrl } = await createBasket(shop, { customer: { id: 'cus-1' } });
  const older = await activate(shop, startBasketUrl);
  t.equal((await read(older)).status, 200);
  const newer = await activate(shop, startBasketUrl);
  t.equal((await read(newer)).status, 200);
  t.match(await read(older), superseded);
  const checkout = await shop.as(older.session.token).request('POST', `/v1/baskets/${older.basket.id}/checkout`);
  t.match(checkout, superseded, 'for changes too');
});

t.test('a token from before the click behind the present session has been overtaken', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop);
  const older = await pressLink(startBasketUrl);
  // Two clicks of one millisecond have no order.
  let newer = await pressLink(startBasketUrl);
  while (issuedAtMs(newer) === issuedAtMs(older)) newer = await pressLink(startBasketUrl);
  const { body: session } = await redeem(shop, newer);
  const problemUrl = `https://tickets.roxy.example/basket/problem?error=confirmation_used&basket_id=${id}`;
  t.match(await redeem(shop, older), { status: 410, body: { code: 'confirmation_used', redirectUrl: problemUrl } });
  t.equal((await read(session)).status, 200);
});

t.test('a browser that owns the basket already is sent to it when its token turns out to be used', async (t) => {
  const { startBasketUrl } = await createBasket(shop);
  const token = await pressLink(startBasketUrl);
  const { body } = await redeem(shop, token);
  const again = await redeem(shop, token, { sessionToken: body.session.token });
  t.match(again, {
    status: 410,
    body: { code: 'confirmation_used', redirectUrl: 'https://tickets.roxy.example/basket' },
  });
  const other = await activate(shop, (await createBasket(shop)).startBasketUrl);
  for (const sessionToken of [other.session.token, 'ses_forged', '']) {
    const stranger = await redeem(shop, token, { sessionToken });
    t.match(stranger.body.redirectUrl, /error=confirmation_used/, sessionToken);
  }
});

t.test('two browsers that redeem at once both get in, and exactly one session is the valid one', async (t) => {
  for (const round of [1, 2, 3, 4, 5]) {
    const { startBasketUrl } = await createBasket(shop);
    const tokens = await Promise.all([pressLink(startBasketUrl), pressLink(startBasketUrl)]);
    const answers = await Promise.all(tokens.map((token) => redeem(shop, token)));
    const sessions = answers.filter(({ status }) => status === 200).map(({ body }) => body);
    t.ok(sessions.length >= 1, `round ${round}: ${answers.map(({ text }) => text).join('\n')}`);
    const reads = await Promise.all(sessions.map(read));
    t.equal(reads.filter(({ status }) => status === 200).length, 1);
    // The earlier click may have come too late; nobody is told anything else.
    t.same(
      answers.filter(({ status, body }) => status !== 200 && body.code !== 'confirmation_used'),
      [],
    );
  }
});

t.test('opening the link again while the basket is being paid leaves checkout and lease as they are', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop);
  const first = await activate(shop, startBasketUrl);
  const checkout = () => shop.payments.request<CheckedOut>('POST', `/v1/baskets/${id}/checkout`);
  const before = await checkout();
  const again = await activate(shop, startBasketUrl);
  t.equal(again.basket.status, 'checkout');
  t.equal(again.basket.activatedAt, first.basket.activatedAt);
  t.equal(again.basket.expiresAt, before.body.basket.expiresAt);
  t.equal((await checkout()).body.leaseId, before.body.leaseId);
});

t.test('a session sees the e-mail masked and neither shares, address nor partner', async (t) => {
  const partner = await shop.withScope('baskets:write customers:login', 'acme');
  const { id, startBasketUrl } = await createBasket(
    shop,
    {
      customer: { id: 'cus-2', email: 'anna@b.example' },
      ipAddress: '203.0.113.7',
      revenueShare: [{ walletRef: 'w', amount: 50 }],
    },
    partner,
  );
  const opened = await activate(shop, startBasketUrl);
  t.match(opened.basket, { partner: 'acme', ipAddress: '203.0.113.7' }, 'the front end’s server sees them');
  const session = shop.as(opened.session.token);
  const answers = [
    await session.request<Record<string, unknown>>('GET', `/v1/baskets/${id}`),
    await session.request<{ basket: object }>('POST', `/v1/baskets/${id}/checkout`),
    await session.request<{ basket: object }>('DELETE', `/v1/baskets/${id}/checkout`),
  ];
  for (const { status, body, text } of answers) {
    t.equal(status, 200, text);
    const shown = ('basket' in body ? body.basket : body) as Record<string, unknown>;
    t.same(
      ['partner', 'ipAddress', 'revenueShare'].filter((name) => name in shown),
      [],
    );
    t.match(shown.customer, { id: 'cus-2', email: 'a…@b.example' });
  }
});

t.test('a session may do nothing to its basket that is not the customer’s business', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop);
  const session = shop.as((await activate(shop, startBasketUrl)).session.token);
  const forbidden: [string, string, object?][] = [
    ['POST', `/v1/baskets/${id}/cancel`],
    ['POST', `/v1/baskets/${id}/complete`, { orderId: 'order-1' }],
    ['POST', `/v1/baskets/${id}/checkout/fail`],
    ['POST', `/v1/baskets/${id}/link`],
    ['DELETE', `/v1/baskets/${id}/link`],
    ['PATCH', `/v1/baskets/${id}`, { custom: {} }],
    ['GET', '/v1/baskets'],
    ['POST', '/v1/baskets', { items: [{ itemId: 'stalls', quantity: 1 }] }],
    ['POST', '/v1/confirmations', { token: 'x' }],
    ['GET', '/v1/items/stalls'],
    ['GET', '/v1/shops/roxy'],
  ];
  for (const [method, path, body] of forbidden) {
    const { status, text } = await session.request(method, path, body);
    t.equal(status, 403, `${method} ${path}: ${text}`);
  }
  const named = await session.request('POST', `/v1/baskets/${id}/checkout`, { customerId: 'cus-3' });
  t.equal(named.status, 403, 'to name a customer is the back end’s');
});

t.test('a session finds no other basket, whether it exists or not', async (t) => {
  const other = await createBasket(shop);
  const session = shop.as((await activate(shop, (await createBasket(shop)).startBasketUrl)).session.token);
  const unknown = other.id.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
  const texts = await Promise.all(
    [other.id, unknown].map(async (id) => {
      const { status, body, text } = await session.request<{ requestId: string }>('GET', `/v1/baskets/${id}`);
      t.equal(status, 404);
      return text.replace(body.requestId, '');
    }),
  );
  t.equal(new Set(texts).size, 1);
});

t.test('a session says how long the basket can live and reads it for a day after its end', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop);
  const opened = await activate(shop, startBasketUrl);
  const { extendableUntil } = opened.basket;
  t.equal(Date.parse(opened.session.expiresAt) - Date.parse(extendableUntil), 900_000, 'the lifetime and one checkout');
  await shop.payments.request('POST', `/v1/baskets/${id}/complete`, { orderId: `order-${id}` });
  const endedAgo = (age: string) =>
    shop.service.pool.query('UPDATE baskets SET ended_at = now() - $2::interval WHERE basket_id = $1', [id, age]);
  await endedAgo('23 hours 59 minutes');
  t.match(await read(opened), { status: 200, body: { status: 'completed' } });
  await endedAgo('24 hours 1 second');
  t.match(await read(opened), { status: 401, body: { code: 'unauthorized' } });
});

t.test('the day counts from the moment that a basket expired, swept or not', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop);
  const opened = await activate(shop, startBasketUrl);
  await letExpire(shop, id);
  t.match(await read(opened), { status: 200, body: { status: 'expired', statusReason: 'timeout' } });
  await shop.service.pool.query(
    `UPDATE baskets SET expires_at = now() - interval '25 hours', ended_at = now() - interval '25 hours' WHERE basket_id = $1`,
    [id],
  );
  t.equal((await read(opened)).status, 401);
});

t.test('after all of this the books are sound', async (t) => {
  await t.resolves(audit(shop.service.pool));
});

/** When a confirmation token was made: 6 bytes behind version, key id, shop, basket and generation. */
function issuedAtMs(token: string): number {
  const bytes = Buffer.from(token, 'base64url');
  return bytes.readUIntBE(2 + (bytes[1] ?? 0) + 28, 6);
}
