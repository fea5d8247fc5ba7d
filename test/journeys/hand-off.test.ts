import t from 'tap';
import { visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

t.test('a basket goes from creation through click, redemption and checkout to one order', async (t) => {
  const shop = await openShop(t);
  const created = await shop.backEnd.request<Basket>('POST', '/v1/baskets', {
    items: [{ itemId: 'stalls', quantity: 2 }],
    customer: { id: 'cus-7', email: 'anna@b.example' },
    successRedirectUrl: 'https://partner.example/done?from=us',
    linkMode: 'redirect',
  });
  t.equal(created.status, 201, created.text);
  t.equal(created.headers.get('location'), `/v1/baskets/${created.body.id}`);
  t.equal(created.body.totals.due, 6000, 'two at 25.00 with 20 % tax on top');

  const click = await visit(created.body.startBasketUrl);
  t.equal(click.status, 303);
  t.match(click.headers.location ?? '', 'https://tickets.roxy.example/basket/confirm?token=');
  const token = new URL(click.headers.location ?? '').searchParams.get('token');

  const redeemed = await shop.frontEnd.request<Redeemed>('POST', '/v1/confirmations', { token });
  t.equal(redeemed.status, 200, redeemed.text);
  t.match(redeemed.body, {
    basket: { id: created.body.id, status: 'activated' },
    customer: { id: 'cus-7', registered: true, login: 'auto' },
    redirectUrl: 'https://tickets.roxy.example/basket',
    expiredBasketIds: [],
  });

  const session = shop.as(redeemed.body.session.token);
  const read = await session.request<Basket>('GET', `/v1/baskets/${created.body.id}`);
  t.equal(read.status, 200, read.text);
  const checkout = await session.request<Checkout>('POST', `/v1/baskets/${created.body.id}/checkout`);
  t.equal(checkout.status, 200, checkout.text);
  t.equal(checkout.body.amountDue, 6000);
  const completed = await shop.payments.request<Completed>('POST', `/v1/baskets/${created.body.id}/complete`, {
    orderId: 'order-1',
    leaseId: checkout.body.leaseId,
    amount: 6000,
    currency: 'GBP',
  });
  t.equal(completed.status, 200, completed.text);
  t.equal(completed.body.basket.status, 'completed');
  t.equal(completed.body.redirectUrl, 'https://partner.example/done?from=us&order_id=order-1&customer_id=cus-7');
  t.same(await shop.availability('stalls'), { capacity: 100, held: 0, sold: 2, available: 98 });
});

type Basket = { id: string; startBasketUrl: string; totals: { due: number } };
type Redeemed = { session: { token: string } };
type Checkout = { leaseId: string; amountDue: number };
type Completed = { basket: { status: string }; redirectUrl: string };
