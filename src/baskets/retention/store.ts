import type { Queryable } from '../../platform/postgres.ts';
import { owedToNobody } from '../../webhooks/index.ts';

/**
 * Baskets `b` that came to nothing and may go: they ended as expired or cancelled more than `$3` days ago, and so did
 * their links. No money has come for them, which would be refused again for as long as somebody asks, and nothing of
 * them is still to be told.
 */
const isPrunable = `b.status IN ('expired', 'cancelled')
  AND greatest(b.ended_at, b.link_expires_at) < now() - $3 * interval '1 day' AND ${owedToNobody('b')}`;

/**
 * Looks at the next baskets of a shop after the one with the id `after`: which of them may go, and the last of them. Null
 * as `last` when there are no more that are old enough. Ids of baskets have the order in which they were made.
 */
export async function findPrunable(
  db: Queryable,
  shopId: string,
  after: string,
  olderThanDays: number,
  limit: number,
): Promise<{ basketIds: string[]; last: string | null }> {
  const { rows } = await db.query<{ basketId: string; isOld: boolean; prunable: boolean }>(
    `SELECT b.basket_id AS "basketId", b.created_at < now() - $3 * interval '1 day' AS "isOld", ${isPrunable} AS prunable
     FROM baskets b WHERE b.shop_id = $1 AND b.basket_id > $2 COLLATE "C" ORDER BY b.basket_id LIMIT $4`,
    [shopId, after, olderThanDays, limit],
  );
  const last = rows.at(-1);
  return {
    basketIds: rows.filter(({ prunable }) => prunable).map(({ basketId }) => basketId),
    last: rows.length === limit && last?.isOld ? last.basketId : null,
  };
}

/** Locks those of these baskets that may still go and that nobody is working on, and gives their ids. */
export async function lockPrunable(
  tx: Queryable,
  shopId: string,
  basketIds: readonly string[],
  olderThanDays: number,
): Promise<string[]> {
  const { rows } = await tx.query<{ basket_id: string }>(
    `SELECT b.basket_id FROM baskets b WHERE b.shop_id = $1 AND b.basket_id = ANY($2) AND ${isPrunable}
     ORDER BY b.basket_id FOR UPDATE SKIP LOCKED`,
    [shopId, basketIds, olderThanDays],
  );
  return rows.map(({ basket_id }) => basket_id);
}

/** Deletes locked baskets with their changes and what was counted of their links. */
export async function deleteBaskets(tx: Queryable, shopId: string, basketIds: readonly string[]): Promise<void> {
  await tx.query(
    `WITH changes AS (DELETE FROM outbox o WHERE o.shop_id = $1 AND o.subject_id = ANY($2)),
       openings AS (DELETE FROM link_openings l WHERE l.shop_id = $1 AND l.basket_id = ANY($2))
     DELETE FROM baskets b WHERE b.shop_id = $1 AND b.basket_id = ANY($2)`,
    [shopId, basketIds],
  );
}
