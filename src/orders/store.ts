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
