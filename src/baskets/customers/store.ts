import type { Queryable } from '../../platform/postgres.ts';

/** The ids of a customer's baskets that have not ended. */
export async function readLiveIds(db: Queryable, shopId: string, customerId: string): Promise<string[]> {
  const { rows } = await db.query<{ basket_id: string }>(
    `SELECT b.basket_id FROM baskets b
     WHERE b.shop_id = $1 AND b.customer_id = $2 AND b.status IN ('open', 'activated', 'checkout')
       AND b.expires_at > now()
     ORDER BY b.basket_id`,
    [shopId, customerId],
  );
  return rows.map(({ basket_id }) => basket_id);
}

/** Locks the next of a customer's baskets that have ended, swept or not, and were not erased yet. Gives their ids. */
export async function lockUnerased(
  tx: Queryable,
  shopId: string,
  customerId: string,
  after: string,
  limit: number,
): Promise<string[]> {
  const { rows } = await tx.query<{ basket_id: string }>(
    `SELECT b.basket_id FROM baskets b
     WHERE b.shop_id = $1 AND b.customer_id = $2 AND b.basket_id > $3 COLLATE "C"
       AND (b.status IN ('completed', 'expired', 'cancelled')
         OR b.status IN ('open', 'activated', 'checkout') AND b.expires_at <= now())
       AND b.content ->> 'erasedAt' IS NULL
     ORDER BY b.basket_id LIMIT $4 FOR UPDATE`,
    [shopId, customerId, after, limit],
  );
  return rows.map(({ basket_id }) => basket_id);
}

const erasedContent = (content: string) =>
  `(${content})::jsonb || jsonb_build_object('customer', '{}'::jsonb, 'ipAddress', NULL, 'custom', '{}'::jsonb,
    'erasedAt', now())`;
const erasedLines = (lines: string) =>
  `(SELECT coalesce(jsonb_agg(line || '{"variables": {}, "custom": {}}' ORDER BY at), '[]')
    FROM jsonb_array_elements((${lines})::jsonb) WITH ORDINALITY AS l(line, at))`;

/**
 * Removes what tells of a person from locked baskets and from every snapshot of them, which changes and stored answers are
 * made from. The baskets get their next versions, so that nobody's copy passes for new.
 */
export async function eraseBaskets(tx: Queryable, shopId: string, basketIds: readonly string[]): Promise<void> {
  await tx.query(
    `WITH snapshots AS (
       UPDATE outbox o SET data = (o.data::jsonb || jsonb_build_object(
         'content', ${erasedContent(`o.data -> 'content'`)}, 'lines', ${erasedLines(`o.data -> 'lines'`)}))::json
       WHERE o.shop_id = $1 AND o.subject_id = ANY($2)
     )
     UPDATE baskets b SET content = (${erasedContent('b.content')})::json, lines = (${erasedLines('b.lines')})::json,
       version = b.version + 1, updated_at = date_trunc('milliseconds', now())
     WHERE b.shop_id = $1 AND b.basket_id = ANY($2)`,
    [shopId, basketIds],
  );
}
