import t from 'tap';
import { deriveKeyring } from '../../src/platform/crypto.ts';
import { paymentPurpose, writePaymentSecret } from '../../src/tebex/ident.ts';
import { activate, checkout, complete, openBasket } from '../support/journey.ts';
import { startReceiver } from '../support/receiver.ts';
import { assertRefused } from '../support/refusal.ts';
import { until } from '../support/until.ts';
import { createInStore, openWebStore, type TebexBasket } from '../support/web-store.ts';

type Payment = Record<string, unknown> & { customer: Record<string, unknown>; revenue_share: object[] };

const store = await openWebStore(t, { config: { webhookAllowPrivate: true } });
const { anybody, service, shopId, payments } = store;
const { linkKeys, publicUrl } = service.config;
const keys = deriveKeyring(linkKeys, paymentPurpose);
const pathOf = (url = '') => url.slice(`${publicUrl}/api`.length);
const read = async ({ ident }: TebexBasket) =>
  (await anybody.request<{ data: TebexBasket }>('GET', `/baskets/${ident}`)).body.data;
const refund = (basketId: string, body: object) => payments.request('POST', `/v1/baskets/${basketId}/refund`, body);

const said = { username: 'Anna', email: 'anna@mail.example', ip_address: '203.0.113.7', custom: { booking: 7 } };
let orders = 0;

/** A basket with two mugs and one for somebody else, on its way to being paid. */
async function inCheckout(): Promise<TebexBasket> {
  const basket = await createInStore(store, 'storeBackEnd', said);
  const add = (body: object) =>
    anybody.request('POST', `/baskets/${basket.ident}/packages`, { package_id: 6, ...body });
  await add({ quantity: 2, variable_data: { server_id: '7' } });
  await add({ target_username_id: 12345, target_username: 'Ben' });
  await activate(store, (await read(basket)).links.checkout ?? '');
  await checkout(store, basket.id);
  return basket;
}

/** The path of the payment of a basket that was paid. */
async function paid(basket: TebexBasket): Promise<string> {
  orders += 1;
  await complete(store, basket.id, { orderId: `order-${orders}` });
  return pathOf((await read(basket)).links.payment);
}

t.test('the payment is the one that webhooks tell of, without what only back ends are told', async (t) => {
  const receiver = await startReceiver(t, ({ text }) => ({ status: 200, body: text }));
  const hooks = await store.withScope('webhooks:write');
  const webhook = { url: receiver.url, format: 'tebex', types: ['basket.completed'] };
  t.equal((await hooks.request('PUT', '/v1/webhooks/hook-1', webhook)).status, 200);
  const answer = await anybody.request<Payment>('GET', await paid(await inCheckout()));
  t.equal(answer.status, 200);
  t.equal(answer.headers.get('access-control-allow-origin'), '*');
  t.match(answer.body, {
    transaction_id: /^tbx-[0-9a-z]{26}$/,
    status: { id: 1, description: 'Complete' },
    price: { amount: 29.97, currency: 'GBP' },
    custom: { booking: 7 },
    products: [
      { name: 'Mug', quantity: 2, username: { username: 'Anna' }, variables: [{ identifier: 'server_id' }] },
      { name: 'Mug', quantity: 1, username: { id: '12345', username: 'Ben' }, variables: [] },
    ],
  });
  const told = await until('the webhook is told', 20_000, async () => {
    const message = receiver.received.find(({ type }) => type === 'payment.completed');
    return message === undefined ? null : (JSON.parse(message.text) as { subject: Payment }).subject;
  });
  t.match(told.customer, { email: 'anna@mail.example', ip: '203.0.113.7' });
  t.same(answer.body, {
    ...told,
    customer: { ...told.customer, email: 'a…@mail.example', ip: null },
    revenue_share: [],
  });
});

t.test('who has the link is not told who else earns by the sale', async (t) => {
  const { id } = await openBasket(store, { revenueShare: [{ walletRef: 'w-1', amount: 50 }] });
  await complete(store, id, { orderId: 'order-shared' });
  // Nobody is told a link to the payment of a basket that no web store has made: it would be this one.
  const { ident } = await createInStore(store, 'anybody');
  const secret = writePaymentSecret(keys, { shopNumber: Number.parseInt(ident, 16), basketId: id });
  t.match(await anybody.request('GET', `/payments/${secret}`), { status: 200, body: { revenue_share: [] } });
});

t.test('a payment is a refund once all of it was given back', async (t) => {
  const basket = await inCheckout();
  const path = await paid(basket);
  const status = async () => (await anybody.request<Payment>('GET', `${path}/`)).body.status;
  await refund(basket.id, { lines: [{ lineId: '1', quantity: 2 }] });
  t.same(await status(), { id: 1, description: 'Complete' });
  await refund(basket.id, {});
  t.same(await status(), { id: 2, description: 'Refund' });
});

t.test('no other text shows a payment, and none shows one before it is made', async (t) => {
  const basket = await inCheckout();
  const shopNumber = Number.parseInt(basket.ident, 16);
  const named = { shopNumber, basketId: basket.id };
  const secret = writePaymentSecret(keys, named);
  const notFound = { status: 404, code: 'not_found' } as const;
  const show = (text: string) => anybody.request('GET', `/payments/${text}`);
  await assertRefused(t, store, 'not paid', notFound, () => show(secret));
  t.equal(await paid(basket), `/payments/${secret}`);
  const cut = secret.slice(0, -1);
  const others = {
    nothing: 'x',
    cut,
    changed: `${cut}${secret.endsWith('0') ? '1' : '0'}`,
    'in capitals': secret.toUpperCase(),
    'without its prefix': secret.slice('tbx-'.length),
    'the ident': basket.ident,
    'the ident with the prefix': `tbx-${basket.ident}`,
    'the number of the transaction': `tbx-${basket.id.slice('bkt_'.length)}`,
    'another shop’s': writePaymentSecret(keys, { ...named, shopNumber: shopNumber + 1 }),
    'a basket that nobody has': writePaymentSecret(keys, { ...named, basketId: 'bkt_01h455vb4pex5vsknk084sn02q' }),
  };
  for (const [what, text] of Object.entries(others)) {
    await assertRefused(t, store, what, notFound, () => show(text));
  }
  const opened = await anybody.request('GET', `/baskets/${secret.slice('tbx-'.length)}`);
  t.match([opened.status, opened.body], [404, { error_code: 'basket_not_found' }], 'nor does it open the basket');
  await store.owner.request('PATCH', `/v1/shops/${shopId}`, { tebex: { enabled: false } });
  await assertRefused(t, store, 'of a web store that is closed', notFound, () => show(secret));
});
