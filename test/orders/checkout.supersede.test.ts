import t from 'tap';
import { activate, createBasket, readBasket } from '../support/journey.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

t.test('a checkout does not end a basket that is taken from its customer while it waits for it', async (t) => {
  const shop = await openShop(t, { settings: { customer: { login: 'signIn' } } });
  const customer = { id: 'cus-1' };
  const other = await createBasket(shop, { customer });
  const paid = await createBasket(shop, { customer });
  await activate(shop, paid.startBasketUrl);
  const { pool } = shop.service;
  const holder = await pool.connect();
  await holder.query('BEGIN');
  await holder.query('UPDATE baskets SET customer_id = NULL WHERE basket_id = $1', [other.id]);
  const checkout = shop.payments.request('POST', `/v1/baskets/${paid.id}/checkout`, { customerId: customer.id });
  await until('the checkout waits for it', 1500, async () => {
    const { rowCount } = await pool.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return (rowCount ?? 0) > 0;
  });
  await holder.query('COMMIT');
  holder.release();
  t.equal((await checkout).status, 200);
  t.equal((await readBasket(shop, other.id)).status, 'open');
});
