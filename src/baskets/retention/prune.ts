import type pg from 'pg';
import { withTransaction } from '../../platform/postgres.ts';
import { deleteBaskets, findPrunable, lockPrunable } from './store.ts';

/** What pruning works with. */
export type PruneDeps = {
  pool: pg.Pool;
  /** Removes what higher rooms keep of baskets, in the transaction that removes them. */
  removeBeside: (tx: pg.PoolClient, shopId: string, basketIds: readonly string[]) => Promise<void>;
};

/** Few, so that a transaction is short: each has some changes, and their rows lie anywhere. */
const atOnce = 200;

/**
 * Removes what may go of the next baskets of a shop after the one with the id `after` (at first ''), with everything that
 * is kept of them alone: those that expired or were cancelled more than `olderThanDays` ago and that nobody paid for,
 * webhooks have been told of and no link leads to any more. Stock is not touched: they gave it back when they ended.
 * Gives how many went, or with `dryRun` would, and where to go on, null at the end. Those that somebody has locked stay.
 */
export async function pruneBaskets(
  { pool, removeBeside }: PruneDeps,
  shopId: string,
  after: string,
  { olderThanDays, dryRun }: { olderThanDays: number; dryRun: boolean },
): Promise<{ removed: number; next: string | null }> {
  const found = await findPrunable(pool, shopId, after, olderThanDays, atOnce);
  const next = found.last;
  if (dryRun || found.basketIds.length === 0) return { removed: found.basketIds.length, next };
  const removed = await withTransaction(pool, async (tx) => {
    const basketIds = await lockPrunable(tx, shopId, found.basketIds, olderThanDays);
    await deleteBaskets(tx, shopId, basketIds);
    await removeBeside(tx, shopId, basketIds);
    return basketIds.length;
  });
  return { removed, next };
}
