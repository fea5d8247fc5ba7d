import type { Queryable } from '../../platform/postgres.ts';

/** How many changes and webhooks were numbered by transactions that this server has not had; 0 and 0: none. */
export type Renumbered = { changes: number; webhooks: number };

/**
 * Has changes go on after Postgres came back from a backup, in a transaction that nobody changes baskets beside: those
 * to come carry the epoch. A database that was restored from a dump counts its transactions anew, while changes and
 * webhooks name those of the server that it was dumped from: no change to come would be sent until the new one has
 * counted as far. So all that was sent gets the number of the first transaction that there is, the rest that of this one,
 * and webhooks have seen what is before it. What one of several has been sent, and another not, may be sent again.
 */
export async function goOnAfterRestore(tx: Queryable, epoch: number): Promise<Renumbered> {
  await tx.query(`ALTER TABLE outbox ALTER COLUMN epoch SET DEFAULT ${Math.trunc(epoch)}`);
  const { rows } = await tx.query<{ foreign: boolean }>(
    `SELECT EXISTS (
       SELECT /* across shops: a backup is of all of them */ FROM shops s
       JOIN outbox o ON o.shop_id = s.shop_id AND o.xact >= ${nextXact}
     ) OR EXISTS (
       SELECT /* across shops: a backup is of all of them */ FROM webhooks WHERE pg_snapshot_xmax(seen) > ${nextXact}
     ) AS foreign`,
  );
  if (!rows[0]?.foreign) return { changes: 0, webhooks: 0 };
  const changes = await tx.query(
    `UPDATE /* across shops: a backup is of all of them */ outbox o
     SET xact = CASE WHEN EXISTS (
       SELECT FROM webhooks w WHERE w.shop_id = o.shop_id AND w.disabled_at IS NULL
         AND NOT pg_visible_in_snapshot(o.xact, w.seen)
     ) THEN pg_current_xact_id() ELSE '3'::xid8 END
     WHERE o.xact IS NOT NULL`,
  );
  const webhooks = await tx.query(
    `UPDATE /* across shops: a backup is of all of them */ webhooks
     SET seen = format('%s:%s:', pg_current_xact_id(), pg_current_xact_id())::pg_snapshot`,
  );
  return { changes: changes.rowCount ?? 0, webhooks: webhooks.rowCount ?? 0 };
}

/** The next transaction that has no number yet. */
const nextXact = 'pg_snapshot_xmax(pg_current_snapshot())';
