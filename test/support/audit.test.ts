import t from 'tap';
import { audit } from './audit.ts';
import { createBasket } from './journey.ts';
import { openShop } from './shop.ts';

const shop = await openShop(t);
const { pool } = shop.service;
const { id } = await createBasket(shop);

function refundOf(itemId: string, quantity: number, restocked: boolean): string {
  const lines = JSON.stringify([{ lineId: '1', stockId: `item:${itemId}`, quantity, amount: 3000 }]);
  return `INSERT INTO refunds (shop_id, basket_id, refund_id, lines, restocked, created_at)
    VALUES ('roxy', '${id}', 'rfd_1', '${lines}', ${restocked}, now())`;
}

const breaches: Record<string, string> = {
  'held is the sum of what live baskets hold': `UPDATE stock SET held = held + 1 WHERE stock_id = 'item:stalls'`,
  'sold of what completed ones took': `UPDATE stock SET sold = sold + 1 WHERE stock_id = 'item:stalls'`,
  'refunds did not give back': refundOf('stalls', 1, true),
  'no more of a line is refunded than was bought': refundOf('stalls', 1, false),
  'is what its lines, codes and cards take': `UPDATE baskets SET lines = '[]' WHERE basket_id = '${id}'`,
  'and nothing while it waits': `ALTER TABLE baskets DROP CONSTRAINT baskets_waiting_hold_nothing;
    UPDATE baskets SET waiting = true WHERE basket_id = '${id}'`,
  'no more is held and sold': `UPDATE stock SET capacity = 0 WHERE stock_id = 'item:stalls'`,
  'has exactly one order, its own': `INSERT INTO orders (shop_id, order_id, basket_id, amount, fees, currency, created_at)
    VALUES ('roxy', 'order-1', '${id}', 1, 0, 'GBP', now())`,
  'without a gap': `UPDATE outbox SET sequence = 2 WHERE subject_id = '${id}'`,
  'numbered from 1 to its sequence': `UPDATE baskets SET sequence = 2 WHERE basket_id = '${id}'`,
  'in the order of its sequence': `INSERT INTO outbox (shop_id, subject_id, sequence, type, data, change_number)
    VALUES ('roxy', '${id}', 2, 'basket.updated', '{"status": "open"}', 0)`,
  'what is the partner’s own': `INSERT INTO webhooks (shop_id, webhook_id, partner, url, types, format, sealed_secret)
      VALUES ('roxy', 'w', 'partner-a', 'https://partner.example', '{*}', 'standard', '');
    INSERT INTO deliveries (shop_id, webhook_number, delivery_id, subject_id, sequence, type, change_number)
      SELECT 'roxy', webhook_number, 'dlv_1', '${id}', 1, 'basket.created', 1 FROM webhooks`,
  'tells its status': `UPDATE baskets SET status = 'activated' WHERE basket_id = '${id}'`,
};

t.test('an audit of sound books finds nothing', async (t) => {
  await t.resolves(audit(pool));
});

for (const [rule, statement] of Object.entries(breaches)) {
  t.test(`an audit finds what breaks the rule: ${rule}`, async (t) => {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('ALTER TABLE stock DROP CONSTRAINT stock_not_oversold');
      await client.query(statement);
      await t.rejects(audit(client), { message: new RegExp(rule) });
      await client.query('ROLLBACK');
    } finally {
      client.release();
    }
  });
}

t.test('an audit finds an order id that two baskets carry', async (t) => {
  const other = await createBasket(shop);
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query(`UPDATE baskets SET status = 'completed', order_id = 'order-1' WHERE basket_id = ANY($1)`, [
      [id, other.id],
    ]);
    await t.rejects(audit(client), { message: /belongs to one basket/ });
    await client.query('ROLLBACK');
  } finally {
    client.release();
  }
});
