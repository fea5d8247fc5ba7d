import t from 'tap';
import type * as Changes from '../../examples/changes.ts';
import { importExample } from '../support/example.ts';
import { complete, openBasket } from '../support/journey.ts';
import { mintToken } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

t.test(
  'the reader of the examples hears of each order once, and where to begin when its place is not known',
  async (t) => {
    const shop = await openShop(t);
    const { ordersSince } = await importExample<typeof Changes>('changes', {
      BASKETLINK_URL: shop.service.url,
      BASKETLINK_TOKEN: await mintToken({ shop: shop.shopId, scope: 'webhooks:write' }),
    });
    const { id } = await openBasket(shop);
    await complete(shop, id, { orderId: 'order-1' });
    const { orders, next } = await ordersSince();
    t.match(orders, [{ type: 'basket.completed', data: { basket: { id, orderId: 'order-1' } } }]);
    t.same(await ordersSince(next), { orders: [], next });
    await t.rejects(ordersSince('elsewhere'), /begin again/);
  },
);
