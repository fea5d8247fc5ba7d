import { liveStatuses } from '../../holds/index.ts';
import type { Queryable } from '../../platform/postgres.ts';

const linkBits = 32;

/** Whose links would stop working if the epoch were raised now, and which epoch it is. */
export async function countOutOfDateLinks(db: Queryable): Promise<{ epoch: number; baskets: number }> {
  const { rows } = await db.query<{ epoch: number; baskets: number }>(
    `SELECT s.epoch, (
       SELECT count(*) /* across shops: a backup is of all of them */ FROM baskets WHERE status = ANY($1)
     ) AS baskets FROM service_state s`,
    [liveStatuses],
  );
  return onlyRow(rows);
}

/**
 * Raises the epoch, the high part of every link generation, and brings live baskets into it: their links and unspent
 * confirmation tokens stop working, also those that the backup has not heard of. Ended baskets stay as they are. Gives
 * the epoch and how many baskets it were.
 */
export async function raiseEpoch(tx: Queryable): Promise<{ epoch: number; baskets: number }> {
  const { rows } = await tx.query<{ epoch: number }>('UPDATE service_state SET epoch = epoch + 1 RETURNING epoch');
  const { epoch } = onlyRow(rows);
  const { rowCount } = await tx.query(
    `UPDATE /* across shops: a backup is of all of them */ baskets
     SET link_generation = ($1::bigint << ${linkBits}) + (link_generation & ${2 ** linkBits - 1})
     WHERE status = ANY($2)`,
    [epoch, liveStatuses],
  );
  return { epoch, baskets: rowCount ?? 0 };
}

function onlyRow<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new Error('service_state has no row');
  return row;
}
