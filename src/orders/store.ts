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
 * Records the order of a basket. Gives false when the order id belongs to another basket already; one that another
 * transaction is about to commit is waited for.
 */
export async function insertOrder(tx: Queryable, order: Order): Promise<boolean> {
  const { rowCount } = await tx.query(
    `INSERT INTO orders (shop_id, order_id, basket_id, amount, fees, currency, payment_reference, customer_id, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (shop_id, order_id) DO NOTHING`,
    [
      order.shopId,
      order.orderId,
      order.basketId,
      order.amountMinor,
      order.feesMinor,
      order.currency,
      order.paymentReference,
      order.customerId,
      order.createdAt,
    ],
  );
  return rowCount === 1;
}
