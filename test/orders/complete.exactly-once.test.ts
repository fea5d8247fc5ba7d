import t from 'tap';
import { audit } from '../support/audit.ts';
import { checkout, complete, createBasket, openBasket, patiently, readBasket } from '../support/journey.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const { pool } = shop.service;

t.test(
  'of 200 completions at once with three order ids one order comes about and everybody is told of it',
  async (t) => {
    const { id } = await openBasket(shop);
    const orderIds = ['order-a', 'order-b', 'order-c'];
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, at) => {
        const orderId = orderIds[at % 3] ?? '';
        return { orderId, ...(await patiently(() => complete(shop, id, { orderId }))) };
      }),
    );
    const { rows } = await pool.query<{ order_id: string }>('SELECT order_id FROM orders WHERE basket_id = $1', [id]);
    t.equal(rows.length, 1);
    const winner = rows[0]?.order_id;
    for (const { orderId, status, body, text } of answers) {
      const expected =
        orderId === winner
          ? { status: 200, body: { basket: { status: 'completed', version: 3, orderId } } }
          : { status: 409, body: { code: 'already_completed', orderId: winner } };
      t.match({ status, body }, expected, text);
    }
    await audit(pool);
  },
);

t.test('the same order id again gets the same answer, at any time', async (t) => {
  const { id } = await openBasket(shop, { successRedirectUrl: 'https://partner.example/done' });
  const first = await complete(shop, id, { orderId: 'order-again', customerId: 'cus-1' });
  const again = await complete(shop, id, { orderId: 'order-again', customerId: 'cus-1' });
  t.equal(again.status, 200);
  const { serverTime: _, ...basket } = first.body.basket;
  t.match(again.body, { basket, redirectUrl: first.body.redirectUrl });
  t.match(await complete(shop, id, { orderId: 'order-another' }), {
    status: 409,
    body: { code: 'already_completed', orderId: 'order-again' },
  });
});

t.test('an order id belongs to one basket', async (t) => {
  const first = await openBasket(shop);
  const second = await openBasket(shop);
  t.equal((await complete(shop, first.id, { orderId: 'order-shared' })).status, 200);
  const refused = await complete(shop, second.id, { orderId: 'order-shared' });
  t.match(refused, { status: 409, body: { code: 'order_id_used' } });
  t.equal((await readBasket(shop, second.id)).status, 'activated');
  await audit(pool);
});

t.test('of two baskets that are completed at once with one order id one gets it', async (t) => {
  for (const round of [1, 2, 3, 4, 5]) {
    const baskets = [await openBasket(shop), await openBasket(shop)];
    const answers = await Promise.all(baskets.map(({ id }) => complete(shop, id, { orderId: `order-round-${round}` })));
    t.same(answers.map(({ status, body }) => (status === 200 ? 'completed' : body.code)).sort(), [
      'completed',
      'order_id_used',
    ]);
  }
  await audit(pool);
});

t.test('another shop may use the same order id', async (t) => {
  const other = await openShop(t);
  t.equal((await complete(other, (await openBasket(other)).id, { orderId: 'order-a' })).status, 200);
});

t.test('an order records what was due, the fees and how it was paid', async (t) => {
  const { id, basket } = await openBasket(shop, { customer: { id: 'cus-2' } });
  const { due } = basket.totals;
  const paid = { orderId: 'order-paid', amount: due + 150, fees: 150, currency: 'GBP', paymentReference: 'pay-1' };
  t.equal((await complete(shop, id, paid)).status, 200);
  const { rows } = await pool.query(
    `SELECT amount, fees, currency, payment_reference, customer_id FROM orders WHERE order_id = 'order-paid'`,
  );
  t.same(rows, [{ amount: due, fees: 150, currency: 'GBP', payment_reference: 'pay-1', customer_id: 'cus-2' }]);
});

t.test('an amount or currency that is not what is due is refused and says what is', async (t) => {
  const { id, basket } = await openBasket(shop);
  const { due } = basket.totals;
  const wrong: object[] = [
    { amount: due - 1 },
    { amount: due + 1 },
    { amount: 0 },
    { amount: due, fees: 1 },
    { amount: due + 2, fees: 1 },
    { amount: due, currency: 'EUR' },
    { currency: 'gbp' },
  ];
  for (const paid of wrong) {
    const refused = await complete(shop, id, { orderId: 'order-wrong', ...paid });
    const expected = { status: 422, body: { code: 'amount_mismatch', due, currency: 'GBP' } };
    t.match(refused, expected, JSON.stringify(paid));
  }
  t.equal((await readBasket(shop, id)).status, 'activated');
  t.equal((await complete(shop, id, { orderId: 'order-wrong', amount: due, currency: 'GBP' })).status, 200);
});

t.test('a basket that nobody opened cannot be completed', async (t) => {
  const { id } = await createBasket(shop);
  t.match(await complete(shop, id, { orderId: 'order-open' }), { status: 409, body: { code: 'basket_not_activated' } });
  t.equal((await readBasket(shop, id)).status, 'open');
});

t.test('a cancelled basket cannot be completed', async (t) => {
  const { id } = await openBasket(shop);
  await shop.backEnd.request('POST', `/v1/baskets/${id}/cancel`);
  t.match(await complete(shop, id, { orderId: 'order-c' }), { status: 409, body: { code: 'basket_cancelled' } });
  await audit(pool);
});

t.test('a stale lease is accepted while lines and amount are what they were', async (t) => {
  const { id } = await openBasket(shop);
  const { leaseId } = (await checkout(shop, id)).body;
  await shop.payments.request('DELETE', `/v1/baskets/${id}/checkout`);
  t.not((await checkout(shop, id)).body.leaseId, leaseId);
  t.equal((await complete(shop, id, { orderId: 'order-stale', leaseId })).status, 200);
});

t.test('an order id that is no id is refused before anything is looked at', async (t) => {
  const { id } = await openBasket(shop);
  for (const orderId of ['', 'x'.repeat(10_000), 'a\0b', `1' OR '1'='1`, '../../etc', 'order id', 7, null]) {
    const { status, text } = await complete(shop, id, { orderId });
    t.equal(status, 400, `${JSON.stringify(orderId).slice(0, 40)}: ${text.slice(0, 200)}`);
  }
  t.equal((await readBasket(shop, id)).version, 2);
});
