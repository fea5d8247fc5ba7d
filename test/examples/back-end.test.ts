import t from 'tap';
import type * as BackEnd from '../../examples/back-end.ts';
import { importExample } from '../support/example.ts';
import { mintToken, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

t.test(
  'the back end of the examples holds the seats of a booking once, and learns that there are no more',
  async (t) => {
    const shop = await openShop(t);
    const { holdSeats } = await importExample<typeof BackEnd>('back-end', {
      BASKETLINK_URL: shop.service.url,
      BASKETLINK_TOKEN: await mintToken({ shop: shop.shopId, scope: 'baskets:write' }),
    });
    const link = await holdSeats('booking-991');
    t.equal(await holdSeats('booking-991'), link);
    t.match(await shop.availability('stalls'), { held: 2 });
    t.equal((await visit(link ?? '')).status, 303, 'the link works');

    await shop.owner.request('PATCH', '/v1/items/stalls', { capacity: 3 });
    t.equal(await holdSeats('booking-992'), undefined);
  },
);
