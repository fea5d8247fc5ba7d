import t from 'tap';
import { audit } from '../support/audit.ts';
import {
  activate,
  createBasket,
  letExpire,
  type Redirected,
  readBasket,
  type ShownProblem,
} from '../support/journey.ts';
import { openShop } from '../support/shop.ts';

t.test('of 200 completions with three order ids one order is made, and all others are told which', async (t) => {
  const shop = await openShop(t);
  const basket = await createBasket(shop);
  await activate(shop, basket.startBasketUrl);
  const orderIds = ['order-a', 'order-b', 'order-c'];
  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, at) => {
      const orderId = orderIds[at % 3] ?? '';
      const answer = await shop.payments.request<Redirected & ShownProblem & { orderId?: string }>(
        'POST',
        `/v1/baskets/${basket.id}/complete`,
        { orderId, amount: 3000, currency: 'GBP' },
      );
      return { orderId, ...answer };
    }),
  );
  const winner = (await readBasket(shop, basket.id)).orderId;
  t.ok(orderIds.includes(winner ?? ''), `one of them won: ${winner}`);
  for (const { orderId, status, body } of answers) {
    if (orderId === winner) t.match({ status, body }, { status: 200, body: { basket: { orderId: winner } } });
    else t.match({ status, body }, { status: 409, body: { code: 'already_completed', orderId: winner } });
  }
  t.same(await shop.availability('stalls'), { capacity: 100, held: 0, sold: 1, available: 99 });
  await audit(shop.service.pool);
});

t.test('of completion, cancellation and the end of time on one basket exactly one happens', async (t) => {
  const shop = await openShop(t);
  const outcomes: Record<string, number> = {};
  for (let round = 0; round < 40; round += 1) {
    const basket = await createBasket(shop);
    await activate(shop, basket.startBasketUrl);
    const path = `/v1/baskets/${basket.id}`;
    const [completed, cancelled] = await Promise.all([
      shop.payments.request<ShownProblem>('POST', `${path}/complete`, { orderId: `order-${round}` }),
      shop.backEnd.request<ShownProblem>('POST', `${path}/cancel`),
      letExpire(shop, basket.id),
    ]);
    const { status } = await readBasket(shop, basket.id);
    const told = `${completed.status} ${completed.body.code ?? 'completed'}, ${cancelled.status} ${cancelled.body.code ?? 'cancelled'}`;
    const allowed = {
      // A late completion may follow the end of time; whoever was not first is told so.
      completed: ['200 completed, 409 basket_not_live'],
      cancelled: ['409 basket_cancelled, 200 cancelled'],
    };
    t.ok(allowed[status as keyof typeof allowed]?.includes(told), `${status}: ${told}`);
    outcomes[status] = (outcomes[status] ?? 0) + 1;
  }
  t.equal((outcomes.completed ?? 0) + (outcomes.cancelled ?? 0), 40, JSON.stringify(outcomes));
  await audit(shop.service.pool);
});

t.test('an order id that completed one basket completes no other, also when both come at once', async (t) => {
  const shop = await openShop(t);
  const baskets = await Promise.all([createBasket(shop), createBasket(shop)]);
  for (const { startBasketUrl } of baskets) await activate(shop, startBasketUrl);
  const answers = await Promise.all(
    baskets.map(({ id }) =>
      shop.payments.request<ShownProblem>('POST', `/v1/baskets/${id}/complete`, { orderId: 'order-1' }),
    ),
  );
  t.same(answers.map(({ status, body }) => `${status} ${body.code ?? ''}`).sort(), ['200 ', '409 order_id_used']);
  t.match(await shop.availability('stalls'), { held: 1, sold: 1 });
  await audit(shop.service.pool);
});
