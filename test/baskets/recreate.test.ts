import t from 'tap';
import { audit } from '../support/audit.ts';
import {
  activate,
  complete,
  createBasket,
  letExpire,
  openBasket,
  pressLink,
  putItem,
  readBasket,
  redeem,
  type ShownBasket,
  type ShownProblem,
} from '../support/journey.ts';
import { cancel } from '../support/races.ts';
import { assertRefused } from '../support/refusal.ts';
import type { api } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

type Recreated = ShownBasket &
  ShownProblem & { unavailable: object[]; droppedCodes: string[]; session?: { token: string; expiresAt: string } };

const shop = await openShop(t);
const { pool } = shop.service;
const recreate = (id: string, client: ReturnType<typeof api> = shop.backEnd, headers: Record<string, string> = {}) =>
  client.request<Recreated>('POST', `/v1/baskets/${id}/recreate`, {}, headers);
const of = (itemId: string, quantity: number, more: object = {}) => ({ itemId, quantity, ...more });

t.test('a new basket has what is left of the ended one at today’s prices, and names the rest', async (t) => {
  await putItem(shop, 'plenty', 10);
  await putItem(shop, 'scarce', 4);
  await putItem(shop, 'closed', 10);
  const { id } = await createBasket(shop, {
    items: [of('plenty', 2, { custom: { row: 'A' } }), of('scarce', 3), of('closed', 1)],
    customer: { id: 'cus-1', email: 'a@b.example' },
    successRedirectUrl: 'https://partner.example/paid',
    failureRedirectUrl: 'https://partner.example/failed',
    reference: 'r-1',
    campaign: 'spring',
    custom: { seats: 'together' },
  });
  await cancel(shop, id);
  await createBasket(shop, { items: [of('scarce', 3)] });
  await putItem(shop, 'plenty', 10, { price: 150 });
  await putItem(shop, 'closed', 10, { saleEndsAt: '2020-01-01T00:00:00Z' });
  await shop.owner.request('PATCH', '/v1/shops/roxy', { allowedRedirectOrigins: ['https://partner.example'] });

  const made = await recreate(id);
  t.equal(made.status, 201, made.text);
  t.equal(made.headers.get('location'), `/v1/baskets/${made.body.id}`);
  t.not(made.body.id, id);
  t.match(made.body, {
    status: 'open',
    version: 1,
    items: [
      { itemId: 'plenty', quantity: 2, unitPrice: 150, custom: { row: 'A' } },
      { itemId: 'scarce', quantity: 1 },
    ],
    customer: { id: 'cus-1', email: 'a@b.example' },
    successRedirectUrl: 'https://partner.example/paid',
    reference: 'r-1',
    campaign: 'spring',
    custom: { seats: 'together' },
  });
  t.same(made.body.unavailable, [
    { itemId: 'scarce', requested: 3, available: 1, code: 'insufficient_stock' },
    { itemId: 'closed', requested: 1, available: 0, code: 'sale_closed' },
  ]);
  t.notOk('session' in made.body, 'a back end gets none');
  t.match(await shop.availability('scarce'), { held: 4, available: 0 });
  t.match(await readBasket(shop, id), { status: 'cancelled', version: 2 }, 'the ended one stays as it was');

  const again = await recreate(id);
  t.equal(again.status, 201);
  t.equal(again.text, made.text, 'once: asked again it gives the same answer');
  t.equal(again.headers.get('idempotent-replayed'), 'true');
  await audit(pool);
});

t.test('many who ask at once get one basket', async (t) => {
  const { id } = await createBasket(shop);
  await letExpire(shop, id);
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, at) => recreate(id, shop.backEnd, at % 2 ? { 'idempotency-key': `k-${at}` } : {})),
  );
  t.same(new Set(answers.map(({ status }) => status)), new Set([201]));
  t.equal(new Set(answers.map(({ text }) => text)).size, 1);
  await audit(pool);
});

t.test('what an expired basket still holds, unswept, is there for the new one', async (t) => {
  await putItem(shop, 'last', 2);
  const { id } = await createBasket(shop, { items: [of('last', 2)] });
  await letExpire(shop, id);
  t.match((await recreate(id)).body, { unavailable: [], items: [{ quantity: 2 }] });
  t.match(await shop.availability('last'), { held: 2 });
  await audit(pool);
});

t.test('a session goes on in the basket that it made, which is activated at once', async (t) => {
  const { id, session } = await openBasket(shop, { customer: { id: 'cus-2' }, ttlSeconds: 300 });
  const old = shop.as(session.token);
  await letExpire(shop, id);
  const made = await recreate(id, old);
  t.match(made, { status: 201, body: { status: 'activated', unavailable: [] } });
  t.notOk('partner' in made.body, 'it sees no more than a session does');
  const { token = '', expiresAt = '' } = made.body.session ?? {};
  const ofNew = shop.as(token);
  t.equal((await ofNew.request('GET', `/v1/baskets/${made.body.id}`)).status, 200);
  t.equal((await ofNew.request('GET', `/v1/baskets/${id}`)).status, 404, 'and in no other');
  t.equal((await ofNew.request('POST', `/v1/baskets/${made.body.id}/lines`, of('stalls', 1))).status, 200);
  t.equal(Date.parse(expiresAt), Date.parse(made.body.extendableUntil) + 900_000);
  t.equal((await recreate(id, old)).text, made.text, 'the same session when it asks again');
  const seenByBackEnd = await recreate(id);
  t.match(seenByBackEnd.body, { id: made.body.id, status: 'activated' });
  t.notOk('session' in seenByBackEnd.body);
  t.equal((await complete(shop, made.body.id, { orderId: 'order-1' })).status, 200);
  await audit(pool);
});

t.test('the link of a new basket logs in only if whoever made it may', async (t) => {
  const mayNot = await shop.withScope('baskets:read baskets:write');
  for (const [client, login] of [
    [shop.backEnd, 'auto'],
    [mayNot, 'signIn'],
  ] as const) {
    const { id } = await createBasket(shop, { customer: { id: 'cus-3' } });
    await cancel(shop, id);
    const made = await recreate(id, client);
    const link = await shop.backEnd.request<{ startBasketUrl: string }>('POST', `/v1/baskets/${made.body.id}/link`);
    const opened = await redeem(shop, await pressLink(link.body.startBasketUrl));
    t.match(opened.body.customer, { id: 'cus-3', login });
  }
});

t.test('of a basket that ended with its event the other events remain', async (t) => {
  await shop.owner.request('PUT', '/v1/events/off', { name: 'Off' });
  await putItem(shop, 'off', 5, { eventId: 'off' });
  const { id } = await createBasket(shop, { items: [of('off', 1), of('stalls', 1)] });
  await shop.owner.request('POST', '/v1/events/off/cancel');
  const made = await recreate(id);
  t.match(made.body, { items: [{ itemId: 'stalls' }], unavailable: [{ itemId: 'off', code: 'event_cancelled' }] });
  const { id: alone } = await createBasket(shop, { items: [of('stalls', 1)] });
  await cancel(shop, alone);
  await audit(pool);
});

t.test('codes go with it while they can be used', async (t) => {
  const put = (path: string, body: object) => shop.owner.request('PUT', path, body);
  await put('/v1/discount-codes/TENTH', { type: 'percent', value: 1000 });
  await put('/v1/discount-codes/ONCE', { type: 'percent', value: 1000, maxUses: 1 });
  const { id } = await createBasket(shop, { discountCodes: ['TENTH', 'ONCE'] });
  await cancel(shop, id);
  await createBasket(shop, { discountCodes: ['ONCE'] });
  const made = await recreate(id);
  t.match(made.body, { discountCodes: ['TENTH'], droppedCodes: ['ONCE'], unavailable: [], totals: { due: 2700 } });
  await audit(pool);
});

t.test('a gift card pays for it with what is left on it', async (t) => {
  const card = await shop.owner.request('PUT', '/v1/gift-cards/6006491234567890', { balance: 5000, currency: 'GBP' });
  t.equal(card.status, 200, card.text);
  const { id } = await createBasket(shop, { giftCards: ['6006491234567890'] });
  await cancel(shop, id);
  const other = await createBasket(shop, { giftCards: ['6006491234567890'] });
  t.equal(other.totals.due, 0);
  const made = await recreate(id);
  t.match(made.body, { giftCards: [{ last4: '7890', applied: 2000 }], totals: { due: 1000 } });
  await audit(pool);
});

t.test('what cannot be made anew is refused, and nothing is written', async (t) => {
  await putItem(shop, 'gone', 1);
  const live = await createBasket(shop);
  const inUse = await openBasket(shop);
  const paid = await openBasket(shop);
  await complete(shop, paid.id, { orderId: 'order-2' });
  const soldOut = await createBasket(shop, { items: [of('gone', 1)] });
  await cancel(shop, soldOut.id);
  await createBasket(shop, { items: [of('gone', 1)] });
  const errors = [{ itemId: 'gone', requested: 1, available: 0, code: 'insufficient_stock' }];
  const refuses = async (what: string, id: string, code: 'not_recreatable' | 'insufficient_stock', more: object) => {
    const refused = await assertRefused(t, shop, what, { status: 409, code }, () => recreate(id));
    t.match(refused.body, more);
  };
  await refuses('one that is open', live.id, 'not_recreatable', { basketStatus: 'open' });
  await refuses('one that is in use', inUse.id, 'not_recreatable', { basketStatus: 'activated' });
  await refuses('one that is paid', paid.id, 'not_recreatable', { basketStatus: 'completed' });
  await refuses('one of which nothing is left', soldOut.id, 'insufficient_stock', { errors });
  await assertRefused(t, shop, 'a body', { status: 400, code: 'invalid_request' }, () =>
    shop.backEnd.request('POST', `/v1/baskets/${soldOut.id}/recreate`, { evil: 1 }),
  );
  const stranger = await shop.withScope('baskets:write', 'acme');
  await assertRefused(t, shop, 'somebody else’s', { status: 404, code: 'not_found' }, () =>
    recreate(soldOut.id, stranger),
  );
});

t.test('a session makes its basket anew for a day, and only while it is the newest', async (t) => {
  const opened = await openBasket(shop);
  const older = shop.as(opened.session.token);
  const newer = shop.as((await activate(shop, opened.startBasketUrl)).session.token);
  await cancel(shop, opened.id);
  t.match(await recreate(opened.id, older), { status: 409, body: { code: 'session_superseded' } });
  await pool.query(`UPDATE baskets SET ended_at = ended_at - interval '25 hours' WHERE basket_id = $1`, [opened.id]);
  t.match(await recreate(opened.id, newer), { status: 401 });
  await pool.query(`UPDATE baskets SET ended_at = ended_at + interval '2 hours' WHERE basket_id = $1`, [opened.id]);
  t.equal((await recreate(opened.id, newer)).status, 201);
});
