import type { Queryable } from '../../platform/postgres.ts';

const live = `b.status IN ('open', 'activated', 'checkout')`;

/** The ids of a customer's baskets that have not ended. */
export async function readLiveIds(db: Queryable, shopId: string, customerId: string): Promise<string[]> {
  const { rows } = await db.query<{ basket_id: string }>(
    `SELECT b.basket_id FROM baskets b
     WHERE b.shop_id = $1 AND b.customer_id = $2 AND ${live} AND b.expires_at > now() ORDER BY b.basket_id`,
    [shopId, customerId],
  );
  return rows.map(({ basket_id }) => basket_id);
}

/** How a basket has ended: as its row says, or by its time, and nobody has swept it yet. Each has an index of its own. */
const endings = {
  overdue: `${live} AND b.expires_at <= now()`,
  ended: `b.status IN ('completed', 'expired', 'cancelled')`,
};
export type Ending = keyof typeof endings;

/** Locks the next of a customer's baskets that have ended so and were not erased yet, and gives their ids. */
export async function lockUnerased(
  tx: Queryable,
  shopId: string,
  customerId: string,
  ending: Ending,
  after: string,
  limit: number,
): Promise<string[]> {
  const { rows } = await tx.query<{ basket_id: string }>(
    `SELECT b.basket_id FROM baskets b
     WHERE b.shop_id = $1 AND b.customer_id = $2 AND ${endings[ending]} AND b.content ->> 'erasedAt' IS NULL
       AND b.basket_id > $3 COLLATE "C"
     ORDER BY b.basket_id LIMIT $4 FOR UPDATE`,
    [shopId, customerId, after, limit],
  );
  return rows.map(({ basket_id }) => basket_id);
}

/** Content and lines without what tells of a person, of a jsonb document `d` that has both. */
const erased = `jsonb_build_object(
  'content', d -> 'content' || jsonb_build_object('erasedAt', now(), 'customer', '{}'::jsonb, 'ipAddress', NULL,
    'custom', '{}'::jsonb),
  'lines', (SELECT coalesce(jsonb_agg(line || '{"variables": {}, "custom": {}}' ORDER BY at), '[]')
    FROM jsonb_array_elements(d -> 'lines') WITH ORDINALITY AS l(line, at)))`;

/**
 * Removes what tells of a person from locked baskets and from every snapshot of them, which changes and stored answers are
 * made from. The baskets get their next versions, so that nobody's copy passes for new.
 */
export async function eraseBaskets(tx: Queryable, shopId: string, basketIds: readonly string[]): Promise<void> {
  // OFFSET 0: a document is read once, not wherever a part of it is asked for.
  await tx.query(
    `WITH snapshots AS (
       UPDATE outbox o SET data = (SELECT d || ${erased} FROM (SELECT o.data::jsonb AS d OFFSET 0) AS snapshot)::json
       WHERE o.shop_id = $1 AND o.subject_id = ANY($2)
     )
     UPDATE baskets b SET (content, lines) = (
         SELECT (e -> 'content')::json, (e -> 'lines')::json FROM (
           SELECT ${erased} AS e FROM (
             SELECT jsonb_build_object('content', b.content::jsonb, 'lines', b.lines::jsonb) AS d OFFSET 0
           ) AS row OFFSET 0
         ) AS erased
       ), version = b.version + 1, updated_at = date_trunc('milliseconds', now())
     WHERE b.shop_id = $1 AND b.basket_id = ANY($2)`,
    [shopId, basketIds],
  );
}
