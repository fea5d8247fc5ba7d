import type { Queryable } from '../platform/postgres.ts';

/** An order: a basket that was paid, exactly once. Amounts are minor units. */
export type Order = {
  shopId: string;
  orderId: string;
  basketId: string;
  amountMinor: number;
  feesMinor: number;
  currency: string;
  paymentReference: string | null;
  customerId: string | null;
  createdAt: Date;
};

/** What is given back of a line: so many units, and their share of what it came to, in minor units. */
export type RefundedLine = { lineId: string; itemId: string; stockId: string; quantity: number; amount: number };

/** A refund that was made elsewhere. `restocked`: the units are on sale again. */
export type Refund = {
  refundId: string;
  paymentReference: string | null;
  lines: RefundedLine[];
  restocked: boolean;
  createdAt: Date;
};

/** The refunds of a basket. */
export async function readRefunds(db: Queryable, shopId: string, basketId: string): Promise<Refund[]> {
  const { rows } = await db.query<Refund>(
    `SELECT refund_id AS "refundId", payment_reference AS "paymentReference", lines, restocked, created_at AS "createdAt"
     FROM refunds WHERE shop_id = $1 AND basket_id = $2`,
    [shopId, basketId],
  );
  return rows;
}

/** Records a refund of a locked basket. */
export async function insertRefund(tx: Queryable, shopId: string, basketId: string, refund: Refund): Promise<void> {
  const { refundId, paymentReference, lines, restocked, createdAt } = refund;
  await tx.query(
    `INSERT INTO refunds (shop_id, basket_id, refund_id, payment_reference, lines, restocked, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [shopId, basketId, refundId, paymentReference, JSON.stringify(lines), restocked, createdAt],
  );
}

/**
 * Records orders of baskets, but for those whose id belongs to another basket already. Gives the baskets whose order was
 * recorded, by `shopId/basketId`. An id that another transaction is about to commit is waited for.
 */
export async function insertOrders(tx: Queryable, orders: readonly Order[]): Promise<Set<string>> {
  const column = <T>(value: (order: Order) => T) => orders.map(value);
  const { rows } = await tx.query<{ shop_id: string; basket_id: string }>(
    `INSERT INTO orders (shop_id, order_id, basket_id, amount, fees, currency, payment_reference, customer_id, created_at)
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[],
       $9::timestamptz[])
     ORDER BY 1, 2 ON CONFLICT (shop_id, order_id) DO NOTHING RETURNING shop_id, basket_id`,
    [
      column(({ shopId }) => shopId),
      column(({ orderId }) => orderId),
      column(({ basketId }) => basketId),
      column(({ amountMinor }) => amountMinor),
      column(({ feesMinor }) => feesMinor),
      column(({ currency }) => currency),
      column(({ paymentReference }) => paymentReference),
      column(({ customerId }) => customerId),
      column(({ createdAt }) => createdAt),
    ],
  );
  return new Set(rows.map(({ shop_id, basket_id }) => `${shop_id}/${basket_id}`));
}
