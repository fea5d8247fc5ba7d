import type { Queryable } from '../platform/postgres.ts';

/** Whether a confirmation token was spent. */
export async function isSpent(tx: Queryable, shopId: string, confirmationId: Buffer): Promise<boolean> {
  const { rows } = await tx.query<{ spent: boolean }>(
    `SELECT EXISTS (SELECT FROM spent_confirmations WHERE shop_id = $1 AND confirmation_id = $2) AS spent`,
    [shopId, confirmationId],
  );
  return rows[0]?.spent ?? false;
}

/** Spends a confirmation token, in the transaction of what it was spent for. */
export async function spend(tx: Queryable, shopId: string, confirmationId: Buffer): Promise<void> {
  await tx.query('INSERT INTO spent_confirmations (shop_id, confirmation_id) VALUES ($1, $2)', [
    shopId,
    confirmationId,
  ]);
}
