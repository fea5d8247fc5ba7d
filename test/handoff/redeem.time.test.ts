import t from 'tap';
import { activate, createBasket, readBasket } from '../support/journey.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t, {
  settings: { basket: { ttlSeconds: 300, maxLifetimeSeconds: 900, checkoutSeconds: 600 } },
});
const secondsBetween = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 1000;

/** As if the basket had been created so many seconds earlier. */
async function age(basketId: string, seconds: number): Promise<void> {
  await shop.service.pool.query(
    `UPDATE baskets SET created_at = created_at - $2::int * interval '1 second',
       lifetime_ends_at = lifetime_ends_at - $2::int * interval '1 second',
       expires_at = expires_at - $2::int * interval '1 second' WHERE basket_id = $1`,
    [basketId, seconds],
  );
}

t.test(
  'the first activation gives the customer the whole time, however long the link lay in the mailbox',
  async (t) => {
    const { id, startBasketUrl } = await createBasket(shop, { ttlSeconds: 240 });
    await age(id, 230);
    const { basket, session } = await activate(shop, startBasketUrl);
    const activatedAt = basket.activatedAt ?? '';
    t.equal(secondsBetween(activatedAt, basket.expiresAt), 240);
    t.equal(secondsBetween(activatedAt, basket.extendableUntil), 900, 'its lifetime begins anew too');
    t.equal(secondsBetween(activatedAt, session.expiresAt), 1500, 'and the session lasts as long as it can');
  },
);

t.test('an activation shortens no time that a basket has', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop, { ttlSeconds: 900 });
  await shop.service.pool.query('UPDATE baskets SET ttl_seconds = 60 WHERE basket_id = $1', [id]);
  const before = await readBasket(shop, id);
  const { basket } = await activate(shop, startBasketUrl);
  t.equal(basket.expiresAt, before.expiresAt);
});

t.test('an activation gives no more than the shop’s longest lifetime', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop);
  await shop.service.pool.query('UPDATE baskets SET ttl_seconds = 5000 WHERE basket_id = $1', [id]);
  const { basket } = await activate(shop, startBasketUrl);
  t.equal(secondsBetween(basket.activatedAt ?? '', basket.expiresAt), 900);
});

t.test('opening the link again gives no more time', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop);
  const first = await activate(shop, startBasketUrl);
  await age(id, 100);
  const aged = await readBasket(shop, id);
  const again = await activate(shop, startBasketUrl);
  t.equal(again.basket.expiresAt, aged.expiresAt);
  t.equal(again.basket.extendableUntil, aged.extendableUntil);
  t.equal(again.basket.version, first.basket.version, 'nothing changed that the basket shows');
});
