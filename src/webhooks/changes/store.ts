import type { Queryable } from '../../platform/postgres.ts';
import type { ChangeRow } from '../delivery/message.ts';
import { changesKeptDays } from '../rules.ts';
import { seesNothing } from '../snapshots.ts';

/**
 * A place in the feed. What `seen` sees has been given. A page that was cut short goes on among what `page` sees, behind
 * the change with the number `last`.
 */
export type Position = { seen: string; page: { snapshot: string; last: number } | null };

export const beginning: Position = { seen: seesNothing, page: null };

/** Whose changes, of which types, are read. */
export type Wanted = { shopId: string; partner: string | null; types: readonly string[] };

/**
 * Reads the next changes of a shop, oldest first, and where they end; fewer than `limit` only when there are no more now. A
 * partner gets those of its own baskets and webhooks.
 *
 * What comes next is what the last page's snapshot did not see and this one's does: a change that commits late is in
 * neither until it is in the later, so that nothing is missed and nothing given twice. Changes of one basket wait for each
 * other, and are numbered then: so their numbers have the order of their commits. Not used: the number alone as the place
 * to go on from, since one that commits late would lie before it; the order of transactions, since one that began early
 * and waited for another would stand before it; numbering what is committed in a second step, since that writes each row
 * twice.
 */
export async function readChanges(
  db: Queryable,
  { shopId, partner, types }: Wanted,
  { seen, page }: Position,
  limit: number,
): Promise<{ changes: ChangeRow[]; next: Position }> {
  type Row = ChangeRow & { snapshot: string; changeNumber: number | null };
  const { rows } = await db.query<Row>(
    `WITH this AS (SELECT coalesce($3::pg_snapshot, pg_current_snapshot()) AS snapshot)
     SELECT this.snapshot::text, o.change_number AS "changeNumber", o.type, o.created_at AS "createdAt", o.epoch,
       o.sequence, o.subject_id AS "subjectId", o.data
     FROM this LEFT JOIN LATERAL (
       SELECT * FROM outbox o
       WHERE o.shop_id = $1 AND o.xact >= pg_snapshot_xmin($2) AND NOT pg_visible_in_snapshot(o.xact, $2)
         AND o.xact < pg_snapshot_xmax(this.snapshot) AND pg_visible_in_snapshot(o.xact, this.snapshot)
         AND o.change_number > $4 AND o.created_at > now() - $5 * interval '1 day'
         AND o.type = ANY($6) AND ($7::text IS NULL OR o.partner = $7)
       ORDER BY o.change_number LIMIT $8
     ) o ON true
     ORDER BY o.change_number`,
    [shopId, seen, page?.snapshot ?? null, page?.last ?? 0, changesKeptDays, types, partner, limit + 1],
  );
  const [first] = rows;
  if (first === undefined) throw new Error('a snapshot was asked for and not given');
  // Without a change, a row says the snapshot alone.
  const found = first.changeNumber === null ? [] : rows;
  const changes = found.slice(0, limit);
  const last = found.length > limit ? (changes.at(-1)?.changeNumber ?? null) : null;
  const { snapshot } = first;
  if (last !== null) return { changes, next: { seen, page: { snapshot, last } } };
  const next = { seen: snapshot, page: null };
  if (page === null || changes.length === limit) return { changes, next };
  // Whoever gets fewer than asked for takes it for the end.
  const further = await readChanges(db, { shopId, partner, types }, next, limit - changes.length);
  return { changes: [...changes, ...further.changes], next: further.next };
}

/** How often the service came back from a backup, counted from 1. */
export async function readEpoch(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ epoch: number }>('SELECT epoch FROM service_state');
  const [row] = rows;
  if (row === undefined) throw new Error('service_state has no row');
  return row.epoch;
}
