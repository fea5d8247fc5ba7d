import t from 'tap';
import type * as ShopPayments from '../../examples/shop-payments.ts';
import { importExample } from '../support/example.ts';
import { activate, createBasket } from '../support/journey.ts';
import { mintToken } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

t.test('the payments of the examples deliver once what is paid, and refund a second payment', async (t) => {
  const shop = await openShop(t);
  const { startPayment, recordPayment } = await importExample<typeof ShopPayments>('shop-payments', {
    BASKETLINK_URL: shop.service.url,
    BASKETLINK_TOKEN: await mintToken({ shop: shop.shopId, scope: 'orders:write' }),
  });
  const { startBasketUrl } = await createBasket(shop);
  const { basket, session } = await activate(shop, startBasketUrl);

  const payment = await startPayment(basket.id, session.token);
  if ('refused' in payment) throw new Error(payment.refused);
  t.equal(payment.amount, basket.totals.due);
  const paid = { ...payment, basketId: basket.id, orderId: 'order-1' };
  t.equal(await recordPayment(paid), 'deliver');
  t.equal(await recordPayment(paid), 'deliver', 'the same notification again');
  t.equal(await recordPayment({ ...paid, orderId: 'order-2' }), 'refund');
  t.same(await startPayment(basket.id, session.token), { refused: 'basket_not_live' });
  await t.rejects(recordPayment({ ...paid, basketId: `bkt_${'0'.repeat(26)}` }), /\(request /);
});
