import { createHash, createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { deriveKeyring } from '../../src/platform/crypto.ts';
import { openShopCache } from '../../src/shops/index.ts';
import { type AuthState, statePurpose, writeState } from '../../src/tebex/authorization/state.ts';
import { audit } from '../support/audit.ts';
import { checkout, createBasket, openBasket, type ShownBasket } from '../support/journey.ts';
import { type Received, startReceiver } from '../support/receiver.ts';
import { assertRefused } from '../support/refusal.ts';
import { mintToken } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';
import { until } from '../support/until.ts';

type Authorized = { basket: ShownBasket; returnUrl: string | null; code?: string };

const shop = await openShop(t, { config: { webhookAllowPrivate: true } });
const { backEnd, owner } = shop;
const stateKeys = deriveKeyring(shop.service.config.linkKeys, statePurpose);
const shopNumber = (await openShopCache(shop.service.pool).get(shop.shopId))?.shopNumber ?? 0;
const anna = { username: 'Anna', usernameId: '76561198000000001' };
const returnUrl = 'https://partner.example/basket?from=sign-in';
const minuteMs = 60_000;

t.afterEach(() => audit(shop.service.pool));

/** A state of a basket, as the sign-in page was called with it: its hour ends in a minute. */
const stateOf = (basketId: string, more: Partial<AuthState> = {}, keys = stateKeys) =>
  writeState(keys, { shopNumber, basketId, returnUrl, expiresAt: new Date(Date.now() + minuteMs), ...more });

function authorize(basketId: string, body: object = anna, headers: Record<string, string> = {}, client = backEnd) {
  return client.request<Authorized>('POST', `/v1/baskets/${basketId}/authorize`, body, headers);
}

t.test('a basket is attributed to who has signed in, and again to whoever signs in after them', async (t) => {
  const customer = { id: 'cus-1', email: 'anna@mail.example', name: 'Anna B.', username: 'nobody yet' };
  const basket = await createBasket(shop, { customer });
  const first = await authorize(basket.id);
  t.match(first, {
    status: 200,
    body: {
      basket: { id: basket.id, version: 2, expiresAt: basket.expiresAt, customer: { ...customer, ...anna } },
      returnUrl: null,
    },
  });
  t.equal(first.headers.get('etag'), '"2"');
  t.match((await authorize(basket.id)).body.basket.customer, anna, 'the same once more');
  const ben = { username: 'Ben', usernameId: 'b0b5c0de-0000-4000-8000-000000000002' };
  t.match((await authorize(basket.id, ben)).body.basket.customer, { ...customer, ...ben });
  const { body: timeline } = await backEnd.request('GET', `/v1/baskets/${basket.id}/timeline`);
  const authenticated = { type: 'authenticated', at: /Z$/ };
  t.match(timeline, { data: [{ type: 'created' }, authenticated, authenticated, authenticated] });
  t.match((await authorize((await createBasket(shop)).id)).body.basket.customer, { id: null, ...anna }, 'a guest');
});

t.test('who brings the state of the sign-in is told where the customer goes on', async (t) => {
  const { id } = await createBasket(shop);
  const answer = await authorize(id, { ...anna, state: stateOf(id) });
  t.match(answer, { status: 200, body: { basket: { customer: anna }, returnUrl } });
  const longest = `https://partner.example/${'a'.repeat(2048 - 'https://partner.example/'.length)}`;
  const state = stateOf(id, { returnUrl: longest });
  t.equal((await authorize(id, { ...anna, state })).body.returnUrl, longest, 'the longest URL that there is');
});

t.test('a state that was not made for this basket attributes nothing', async (t) => {
  const { id } = await createBasket(shop);
  const other = await createBasket(shop);
  const good = stateOf(id);
  const platform = shop.as(await mintToken({ scope: 'platform' }));
  t.equal((await platform.request('PUT', '/v1/shops/other', shopSettings)).status, 200);
  const elsewhere = await openShopCache(shop.service.pool).get('other');
  const states: Record<string, string> = {
    'no token': 'state',
    'an empty text': '',
    'a changed one': `${good.slice(0, 40)}${good[40] === 'A' ? 'B' : 'A'}${good.slice(41)}`,
    'one that was cut': good.slice(0, -1),
    'one that was padded': `${good}=`,
    'that of another basket': stateOf(other.id),
    'that of a basket which nobody has': stateOf('bkt_01h455vb4pex5vsknk084sn02q'),
    'that of another shop': stateOf(id, { shopNumber: elsewhere?.shopNumber ?? 0 }),
    'one under another secret': stateOf(id, {}, deriveKeyring([{ kid: 'l1', secret: 'nobody’s' }], statePurpose)),
    'one for another purpose': stateOf(id, {}, deriveKeyring(shop.service.config.linkKeys, 'start-link')),
  };
  for (const [what, state] of Object.entries(states)) {
    await assertRefused(t, shop, what, { status: 422, code: 'state_invalid' }, () => authorize(id, { ...anna, state }));
  }
});

t.test('a state is good until its hour is over, by Postgres’ clock', async (t) => {
  const { id } = await createBasket(shop);
  const { rows } = await shop.service.pool.query<{ now: Date }>(`SELECT now()`);
  const nowMs = (rows[0]?.now ?? new Date(0)).getTime();
  const young = { ...anna, state: stateOf(id, { expiresAt: new Date(nowMs + minuteMs) }) };
  t.equal((await authorize(id, young)).status, 200);
  // Machines set their clocks back by some milliseconds now and then.
  const old = { ...anna, state: stateOf(id, { expiresAt: new Date(nowMs - 1000) }) };
  await assertRefused(t, shop, 'an hour later', { status: 410, code: 'state_expired' }, () => authorize(id, old));
});

t.test('a state leads nowhere that the shop has taken off its list', async (t) => {
  const { id } = await createBasket(shop);
  const state = stateOf(id);
  await owner.request('PATCH', '/v1/shops/roxy', { allowedRedirectOrigins: ['https://tickets.roxy.example'] });
  t.teardown(() => owner.request('PUT', '/v1/shops/roxy', shopSettings));
  const expected = { status: 422, code: 'redirect_not_allowed' } as const;
  const refused = await assertRefused(t, shop, 'taken off', expected, () => authorize(id, { ...anna, state }));
  t.match(refused.body, { errors: [{ pointer: '/state' }] });
  t.equal((await authorize(id)).status, 200, 'without it the basket is attributed all the same');
});

t.test('a basket that has ended or is being paid is attributed to nobody else', async (t) => {
  const ended = await createBasket(shop);
  await backEnd.request('POST', `/v1/baskets/${ended.id}/cancel`);
  // Also with a state that is worth nothing: what can be mended is not said of what cannot.
  for (const body of [anna, { ...anna, state: 'state' }]) {
    await assertRefused(t, shop, 'ended', { status: 409, code: 'basket_not_live' }, () => authorize(ended.id, body));
  }
  const paying = await openBasket(shop);
  t.equal((await checkout(shop, paying.id)).status, 200);
  const expected = { status: 409, code: 'basket_in_checkout' } as const;
  await assertRefused(t, shop, 'being paid', expected, () => authorize(paying.id));
});

t.test('a body that does not name the user in text is refused', async (t) => {
  const { id } = await createBasket(shop);
  const bodies: Record<string, object> = {
    nothing: {},
    'no id': { username: 'Anna' },
    'no name': { usernameId: '1' },
    'an id that is a number': { ...anna, usernameId: 76561198 },
    null: { ...anna, username: null },
    'an empty name': { ...anna, username: '' },
    'an empty id': { ...anna, usernameId: '' },
    'a long name': { ...anna, username: 'a'.repeat(201) },
    'a state that is null': { ...anna, state: null },
    'a state that is too long': { ...anna, state: 'A'.repeat(4097) },
    'more than that': { ...anna, email: 'anna@mail.example' },
    'half a character': { ...anna, username: 'Anna \ud83d' },
    'what Postgres cannot keep': { ...anna, usernameId: '1\u0000' },
  };
  for (const [what, body] of Object.entries(bodies)) {
    await assertRefused(t, shop, what, { status: 400, code: 'invalid_request' }, () => authorize(id, body));
  }
});

t.test('an answer is given again when its state is not good any more', async (t) => {
  const { id } = await createBasket(shop);
  const key = { 'idempotency-key': 'once' };
  const body = { ...anna, state: stateOf(id) };
  const first = await authorize(id, body, key);
  t.equal(first.status, 200);
  await backEnd.request('POST', `/v1/baskets/${id}/cancel`);
  await owner.request('PATCH', '/v1/shops/roxy', { allowedRedirectOrigins: [] });
  t.teardown(() => owner.request('PUT', '/v1/shops/roxy', shopSettings));
  const again = await authorize(id, body, key);
  t.same([again.status, again.text], [first.status, first.text]);
  t.equal(again.headers.get('idempotent-replayed'), 'true');
});

t.test('an attribution that was decided on an old version is refused, and so is a partner’s of another', async (t) => {
  const acme = await shop.withScope('baskets:write', 'acme');
  const { id } = await createBasket(shop, {}, acme);
  const stale = { status: 412, code: 'version_conflict' } as const;
  await assertRefused(t, shop, 'an old one', stale, () => authorize(id, anna, { 'if-match': '"7"' }));
  t.equal((await authorize(id, anna, { 'if-match': '"1"' }, acme)).status, 200);
  const other = await shop.withScope('baskets:write', 'other');
  const unknown = { status: 404, code: 'not_found' } as const;
  await assertRefused(t, shop, 'of another', unknown, () => authorize(id, anna, {}, other));
});

t.test('where a shop needs a user name, the attribution is what checkout was waiting for', async (t) => {
  await owner.request('PATCH', '/v1/shops/roxy', { customer: { usernameRequired: true } });
  t.teardown(() => owner.request('PUT', '/v1/shops/roxy', shopSettings));
  const { id } = await openBasket(shop);
  t.match(await checkout(shop, id), { status: 422, body: { code: 'username_required' } });
  t.equal((await authorize(id)).status, 200);
  t.match(await checkout(shop, id), { status: 200, body: { basket: { status: 'checkout', customer: anna } } });
});

t.test('webhooks are told of it, in both formats', async (t) => {
  const hooks = await shop.withScope('webhooks:write');
  const receiver = await startReceiver(t, ({ text }) => ({ status: 200, body: text }));
  const put = async (format: string) => {
    const webhook = { url: `${receiver.url}/${format}`, format, types: ['basket.authenticated'] };
    const { status, body, text } = await hooks.request<{ secret: string }>('PUT', `/v1/webhooks/${format}`, webhook);
    if (status !== 200) throw new Error(text);
    return body.secret;
  };
  const secrets = { standard: await put('standard'), tebex: await put('tebex') };
  const { id } = await createBasket(shop);
  await authorize(id);
  const sent = (format: string) =>
    until(`the webhook in the format ${format} is told`, 20_000, async () => {
      const isIt = ({ path, type }: Received) => path === `/hooks/${format}` && type === 'basket.authenticated';
      return receiver.received.find(isIt) ?? null;
    });

  const standard = await sent('standard');
  const headers = Object.fromEntries(Object.entries(standard.headers).map(([name, value]) => [name, String(value)]));
  t.match(new Webhook(secrets.standard).verify(standard.text, headers), {
    type: 'basket.authenticated',
    sequence: 2,
    data: { basket: { id, status: 'open', customer: anna } },
  });

  const tebex = await sent('tebex');
  const hash = createHash('sha256').update(tebex.text).digest('hex');
  t.equal(tebex.headers['x-signature'], createHmac('sha256', secrets.tebex).update(hash).digest('hex'));
  t.match(JSON.parse(tebex.text), {
    type: 'basket.authenticated',
    subject: {
      transaction_id: `tbx-${id.slice('bkt_'.length)}`,
      status: { id: 19, description: 'Pending Checkout' },
      customer: { username: { id: anna.usernameId, username: 'Anna' } },
      products: [{ name: 'Stalls', username: { id: anna.usernameId, username: 'Anna' } }],
    },
  });
});
