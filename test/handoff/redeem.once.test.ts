import { mock } from 'node:test';
import t from 'tap';
import { audit } from '../support/audit.ts';
import { createBasket, patiently, pressLink, redeem, type ShownProblem } from '../support/journey.ts';
import { api, mintToken } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';
import { forgeConfirmation } from '../support/tokens.ts';
import { until } from '../support/until.ts';

const shop = await openShop(t);
const problemUrl = (code: string, basketId: string) =>
  `https://tickets.roxy.example/basket/problem?error=${code}&basket_id=${basketId}`;

/** A client of a second shop's front end. */
async function openForeignShop() {
  const token = await mintToken({ shop: 'lux', scope: 'shop:write confirmations:redeem' });
  const client = api(shop.service.url, token);
  await client.request('PUT', '/v1/shops/lux', { ...shopSettings, name: 'Lux' });
  return client;
}

t.test('a redemption answers with the basket, its customer, a session and where to go next', async (t) => {
  const { id, startBasketUrl, createdAt } = await createBasket(shop, {
    customer: { id: 'cus-1', email: 'anna@b.example' },
    revenueShare: [{ walletRef: 'w', amount: 50 }],
  });
  const { status, headers, body, text } = await redeem(shop, await pressLink(startBasketUrl));
  t.equal(status, 200, text);
  t.match(body, {
    basket: {
      id,
      status: 'activated',
      version: 2,
      customer: { id: 'cus-1', email: 'anna@b.example' },
      revenueShare: [{ walletRef: 'w', amount: 50 }],
      createdAt,
    },
    customer: { id: 'cus-1', registered: true, login: 'auto' },
    redirectUrl: 'https://tickets.roxy.example/basket',
    expiredBasketIds: [],
  });
  t.same(Object.keys(body).sort(), ['basket', 'customer', 'expiredBasketIds', 'redirectUrl', 'session']);
  t.equal(headers.get('etag'), '"2"');
  t.equal(headers.get('cache-control'), 'no-store');
  const read = await shop.as(body.session.token).request<{ id: string }>('GET', `/v1/baskets/${id}`);
  t.equal(read.body.id, id);
});

t.test(
  'of a hundred redemptions of one token at once one succeeds and the others are told that it was used',
  async (t) => {
    const { id, startBasketUrl } = await createBasket(shop, { customer: { id: 'cus-2' } });
    const token = await pressLink(startBasketUrl);
    const answers = await Promise.all(Array.from({ length: 100 }, () => patiently(() => redeem(shop, token))));
    const lost = answers.filter(({ status }) => status !== 200);
    t.equal(lost.length, 99);
    for (const { status, body, text } of lost) {
      const expected = { code: 'confirmation_used', redirectUrl: problemUrl('confirmation_used', id) };
      t.match({ status, body }, { status: 410, body: expected }, text);
    }
  },
);

t.test('a token that is a minute old is refused, and one that is younger is not', async (t) => {
  const { id } = await createBasket(shop, { customer: { id: 'cus-3' } });
  const tooOld = await forgeConfirmation(shop, id, { ageMs: 60_000 });
  const refused = await redeem(shop, tooOld);
  t.match(refused, {
    status: 410,
    body: { code: 'confirmation_expired', redirectUrl: problemUrl('confirmation_expired', id) },
  });
  const young = await forgeConfirmation(shop, id, { ageMs: 45_000 });
  t.equal((await redeem(shop, young)).status, 200);
});

t.test('a token’s age is judged by Postgres’ clock, whatever the clock of the process says', async (t) => {
  t.teardown(() => mock.timers.reset());
  for (const jumpMs of [3_600_000, -3_600_000]) {
    const { id, startBasketUrl } = await createBasket(shop);
    const tooOld = await forgeConfirmation(shop, id, { ageMs: 61_000 });
    mock.timers.enable({ apis: ['Date'], now: Date.now() + jumpMs });
    const redeemNow = (token: string) => shop.frontEnd.request('POST', '/v1/confirmations', { token });
    t.match(await redeemNow(tooOld), { status: 410, body: { code: 'confirmation_expired' } });
    t.match(await redeemNow(await pressLink(startBasketUrl)), { status: 200 });
    mock.timers.reset();
  }
});

t.test('another shop is told the same of a token as of rubbish, and does not spend it', async (t) => {
  const lux = await openForeignShop();
  const { startBasketUrl } = await createBasket(shop);
  const token = await pressLink(startBasketUrl);
  const foreign = await lux.request<ShownProblem>('POST', '/v1/confirmations', { token });
  const rubbish = await lux.request<ShownProblem>('POST', '/v1/confirmations', { token: 'rubbish' });
  t.equal(foreign.status, 404);
  t.equal(rubbish.status, 404);
  const bytes = ({ text, body }: typeof foreign) => text.replace(body.requestId, '');
  t.equal(bytes(foreign), bytes(rubbish));
  t.equal((await redeem(shop, token)).status, 200, 'it was not spent');
});

t.test('a partner is told the same of another partner’s token as of rubbish, and does not spend it', async (t) => {
  const maker = await shop.withScope('baskets:write', 'partner-a');
  const redeemAs = async (partner: string, token: string) =>
    (await shop.withScope('confirmations:redeem', partner)).request<ShownProblem>('POST', '/v1/confirmations', {
      token,
    });
  for (const { startBasketUrl } of [await createBasket(shop, {}, maker), await createBasket(shop)]) {
    const token = await pressLink(startBasketUrl);
    const foreign = await redeemAs('partner-b', token);
    const rubbish = await redeemAs('partner-b', 'rubbish');
    t.equal(foreign.status, 404);
    t.equal(foreign.text.replace(foreign.body.requestId, ''), rubbish.text.replace(rubbish.body.requestId, ''));
    t.equal((await redeem(shop, token)).status, 200, 'it was not spent');
  }
  const own = await pressLink((await createBasket(shop, {}, maker)).startBasketUrl);
  t.equal((await redeemAs('partner-a', own)).status, 200, 'its own');
});

t.test('who may not redeem does not spend the token', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop);
  const token = await pressLink(startBasketUrl);
  const nobody = api(shop.service.url, null);
  t.equal((await nobody.request('POST', '/v1/confirmations', { token })).status, 401);
  t.equal((await shop.backEnd.request('POST', '/v1/confirmations', { token })).status, 403);
  const boxOffice = await redeem(shop, token, { context: 'box_office' });
  t.match(boxOffice, {
    status: 403,
    body: { code: 'customer_context_only', redirectUrl: problemUrl('customer_context_only', id) },
  });
  t.equal((await redeem(shop, token)).status, 200, 'it was not spent');
});

t.test('somebody signed in as another customer is refused, which spends the token and touches no basket', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop, { customer: { id: 'cus-4' } });
  const ofVictim = await createBasket(shop, { customer: { id: 'cus-5' } });
  const token = await pressLink(startBasketUrl);
  const refused = await redeem(shop, token, { customerId: 'cus-5' });
  t.match(refused, {
    status: 409,
    body: { code: 'customer_mismatch', redirectUrl: problemUrl('customer_mismatch', id) },
  });
  t.match(await redeem(shop, token, { customerId: 'cus-4' }), { status: 410, body: { code: 'confirmation_used' } });
  for (const basketId of [id, ofVictim.id]) {
    const { body } = await shop.backEnd.request('GET', `/v1/baskets/${basketId}`);
    t.match(body, { status: 'open', version: 1 });
  }
});

t.test(
  'a redemption with an idempotency key is answered again with the same bytes, but only while its token lives',
  async (t) => {
    const { id } = await createBasket(shop, { customer: { id: 'cus-6' } });
    const token = await forgeConfirmation(shop, id, { ageMs: 54_000 });
    const key = { 'idempotency-key': 'redeem-1' };
    const first = await redeem(shop, token, { customerId: 'cus-6' }, key);
    t.equal(first.status, 200, first.text);
    const again = await redeem(shop, token, { customerId: 'cus-6' }, key);
    t.equal(again.text, first.text);
    t.equal(again.headers.get('idempotent-replayed'), 'true');
    t.match(await redeem(shop, token, {}, key), { status: 422, body: { code: 'idempotency_key_reused' } });
    t.match(await redeem(shop, token, { customerId: 'cus-6' }), { status: 410, body: { code: 'confirmation_used' } });

    const late = await until('the token’s life ends', 10_000, async () => {
      const answer = await redeem(shop, token, { customerId: 'cus-6' }, key);
      return answer.status !== 200 && answer;
    });
    t.match(late, { status: 410, body: { code: 'confirmation_used' } });
    t.equal((await shop.as(first.body.session.token).request('GET', `/v1/baskets/${id}`)).status, 200);
  },
);

t.test('of redemptions at once with one idempotency key each gets the same answer', async (t) => {
  const { startBasketUrl } = await createBasket(shop);
  const token = await pressLink(startBasketUrl);
  const key = { 'idempotency-key': 'redeem-2' };
  const answers = await Promise.all(Array.from({ length: 10 }, () => redeem(shop, token, {}, key)));
  t.same(new Set(answers.map(({ status }) => status)), new Set([200]));
  t.equal(new Set(answers.map(({ text }) => text)).size, 1);
});

t.test('after all of this the books are sound', async (t) => {
  await t.resolves(audit(shop.service.pool));
});
