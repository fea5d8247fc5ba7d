import type pg from 'pg';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import { type IdempotencyKey, runOnce } from '../http/idempotency.ts';
import { withTransaction } from '../platform/postgres.ts';
import type { CatalogueDeps } from './changes.ts';
import {
  type Adjustment,
  type Availability,
  type ItemAnswer,
  maxCapacity,
  type PoolAnswer,
  toItemAnswer,
  toPoolAnswer,
} from './model.ts';
import { insertAdjustment, readItems, readPools } from './store.ts';

type Adjusted<Answer> = { answer: Answer; replayed: boolean } | Refusal;

/**
 * Changes the capacity of an item by so many units, once per idempotency key. Refusals: `not_found`,
 * `capacity_not_adjustable` (also where the item draws on a pool), `capacity_below_committed`, those of the key.
 */
export function adjustItem(
  deps: CatalogueDeps,
  shopId: string,
  itemId: string,
  adjustment: Adjustment,
  key: IdempotencyKey | null,
): Promise<Adjusted<ItemAnswer>> {
  return adjust(deps, shopId, `item:${itemId}`, adjustment, key, async (tx) => {
    const item = (await readItems(tx, shopId, [itemId], 'lock')).get(itemId);
    if (item === undefined) return refuse('not_found');
    const { poolId } = item;
    if (poolId !== null) {
      const detail = `The item draws on the pool ${poolId}: adjust that.`;
      return refuse('capacity_not_adjustable', { detail, extensions: { poolId } });
    }
    return (availability) => toItemAnswer(item, availability);
  });
}

/** The same for a pool. Refusals: as adjustItem. */
export function adjustPool(
  deps: CatalogueDeps,
  shopId: string,
  poolId: string,
  adjustment: Adjustment,
  key: IdempotencyKey | null,
): Promise<Adjusted<PoolAnswer>> {
  return adjust(deps, shopId, `pool:${poolId}`, adjustment, key, async (tx) => {
    const found = (await readPools(tx, shopId, [poolId])).get(poolId);
    return found === undefined ? refuse('not_found') : (availability) => toPoolAnswer(found, availability);
  });
}

/** Adjusts the capacity of a stock row, if `find` finds what it belongs to and how that is shown. */
async function adjust<Answer extends Record<string, unknown>>(
  { pool, stock }: CatalogueDeps,
  shopId: string,
  stockId: string,
  adjustment: Adjustment,
  key: IdempotencyKey | null,
  find: (tx: pg.PoolClient) => Promise<((availability: Availability) => Answer) | Refusal>,
): Promise<Adjusted<Answer>> {
  const work = async (tx: pg.PoolClient) => {
    const show = await find(tx);
    if (isRefusal(show)) return show;
    // The locked row makes it exact: whoever adjusts at the same time goes on from what this one leaves.
    const before = (await stock.lock(tx, shopId, [stockId])).get(stockId);
    if (before === undefined) throw new Error('a locked stock row is gone');
    if (before.capacity === null) {
      const detail = 'The capacity is unlimited: set one first.';
      return refuse('capacity_not_adjustable', { detail });
    }
    const capacity = before.capacity + adjustment.delta;
    if (capacity > maxCapacity) {
      const detail = `The capacity would be ${capacity}: it is at most ${maxCapacity}.`;
      return refuse('capacity_not_adjustable', { detail });
    }
    const refusal = await stock.setCapacities(tx, shopId, new Map([[stockId, capacity]]));
    if (refusal) return refusal;
    await insertAdjustment(tx, shopId, stockId, { ...adjustment, capacity });
    const available = capacity - before.held - before.sold;
    const answer = show({ ...before, capacity, available });
    return { status: 200, basketId: null, sequence: null, answer };
  };
  const result = await withTransaction(pool, (tx) => runOnce(tx, key, () => work(tx)));
  if (isRefusal(result)) return result;
  if (!result.replayed) await stock.tellRedis(shopId, [stockId]);
  return { answer: result.answer as Answer, replayed: result.replayed };
}
