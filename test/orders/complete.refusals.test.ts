import t from 'tap';
import { audit } from '../support/audit.ts';
import { activate, createBasket, letBeSwept, letExpire, type Redirected } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { openShop, shopSettings } from '../support/shop.ts';

t.test(
  'what was not activated, was cancelled or costs something else is not completed, and nothing is written',
  async (t) => {
    const shop = await openShop(t);
    const complete = (id: string, body: object) => () =>
      shop.payments.request('POST', `/v1/baskets/${id}/complete`, { orderId: 'order-1', ...body });

    const open = await createBasket(shop);
    await assertRefused(t, shop, 'open', { status: 409, code: 'basket_not_activated' }, complete(open.id, {}));
    await letExpire(shop, open.id);
    await assertRefused(t, shop, 'never opened', { status: 409, code: 'basket_not_live' }, complete(open.id, {}));

    const cancelled = await createBasket(shop);
    await activate(shop, cancelled.startBasketUrl);
    await shop.backEnd.request('POST', `/v1/baskets/${cancelled.id}/cancel`);
    await assertRefused(t, shop, 'cancelled', { status: 409, code: 'basket_cancelled' }, complete(cancelled.id, {}));

    const { id, startBasketUrl } = await createBasket(shop, { items: [{ itemId: 'stalls', quantity: 2 }] });
    await activate(shop, startBasketUrl);
    const mismatch = { status: 422, code: 'amount_mismatch' } as const;
    for (const body of [{ amount: 5999 }, { amount: 0 }, { amount: 6000, fees: 1 }, { currency: 'EUR' }]) {
      const { body: problem } = await assertRefused(t, shop, JSON.stringify(body), mismatch, complete(id, body));
      t.match(problem, { due: 6000, currency: 'GBP' });
    }
    const malformed = { status: 400, code: 'invalid_request' } as const;
    for (const body of [{ orderId: '' }, { orderId: 'x'.repeat(10_000) }, { orderId: '../1' }, { amount: '6000' }]) {
      await assertRefused(t, shop, JSON.stringify(body).slice(0, 40), malformed, complete(id, body));
    }
    t.equal((await complete(id, { amount: 6150, fees: 150, currency: 'GBP' })()).status, 200, 'fees count');
    await audit(shop.service.pool);
  },
);

t.test(
  'money that arrives late takes the hold that is left, or stock anew, or is told for good that it is gone',
  async (t) => {
    const shop = await openShop(t);
    await shop.owner.request('PUT', '/v1/items/box', { name: 'Box', price: 5000, capacity: 1 });
    const items = [{ itemId: 'box', quantity: 1 }];
    const complete = (id: string, orderId: string) =>
      shop.payments.request<Redirected>('POST', `/v1/baskets/${id}/complete`, { orderId });

    const unswept = await createBasket(shop);
    await activate(shop, unswept.startBasketUrl);
    await letExpire(shop, unswept.id);
    t.match(await complete(unswept.id, 'order-1'), {
      status: 200,
      body: { basket: { status: 'completed', late: true } },
    });

    const swept = await createBasket(shop);
    await activate(shop, swept.startBasketUrl);
    await letBeSwept(shop, swept.id);
    t.match(await complete(swept.id, 'order-2'), {
      status: 200,
      body: { basket: { status: 'completed', late: true } },
    });
    t.match(await complete(swept.id, 'order-2'), { status: 200 }, 'once more changes nothing');
    t.match(await shop.availability('stalls'), { held: 0, sold: 2 });

    const beaten = await createBasket(shop, { items });
    await activate(shop, beaten.startBasketUrl);
    await letBeSwept(shop, beaten.id);
    const faster = await createBasket(shop, { items });
    t.match(await complete(beaten.id, 'order-3'), { status: 409, body: { code: 'expired_stock_gone' } });
    await shop.backEnd.request('POST', `/v1/baskets/${faster.id}/cancel`);
    t.match(await shop.availability('box'), { held: 0, available: 1 }, 'its stock is there again');
    t.match(
      await complete(beaten.id, 'order-3'),
      { status: 409, body: { code: 'expired_stock_gone' } },
      'and no is no',
    );
    await audit(shop.service.pool);
  },
);

t.test('a cancelled event ends a basket that is being paid, and its money is refused', async (t) => {
  const shop = await openShop(t);
  const basket = await createBasket(shop);
  await activate(shop, basket.startBasketUrl);
  await shop.payments.request('POST', `/v1/baskets/${basket.id}/checkout`);
  await shop.owner.request('POST', '/v1/events/evt-1/cancel');
  const answer = await shop.payments.request('POST', `/v1/baskets/${basket.id}/complete`, { orderId: 'order-1' });
  t.match(answer, { status: 409, body: { code: 'event_cancelled' } });
  t.match(await shop.availability('stalls'), { held: 0, sold: 0 });
  await audit(shop.service.pool);
});

t.test(
  'the customer is sent where the basket says, else to the basket page, with what is known and nothing lost',
  async (t) => {
    const shop = await openShop(t);
    const guest = await createBasket(shop, { successRedirectUrl: 'https://partner.example/done?from=us' });
    await activate(shop, guest.startBasketUrl);
    const done = await shop.payments.request('POST', `/v1/baskets/${guest.id}/complete`, { orderId: 'order-1' });
    t.match(done.body, { redirectUrl: 'https://partner.example/done?from=us&order_id=order-1' });
    const named = await createBasket(shop, { customer: { id: 'cus-7' } });
    await activate(shop, named.startBasketUrl);
    const home = await shop.payments.request('POST', `/v1/baskets/${named.id}/complete`, { orderId: 'order-2' });
    t.match(home.body, { redirectUrl: `${shopSettings.frontend.basketUrl}?order_id=order-2&customer_id=cus-7` });
  },
);
