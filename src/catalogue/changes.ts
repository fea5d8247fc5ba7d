import type pg from 'pg';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import { type IdempotencyKey, runOnce } from '../http/idempotency.ts';
import { taxRateToTenThousandths } from '../money/index.ts';
import { hasSqlState, sqlState, withTransaction } from '../platform/postgres.ts';
import { readShop } from '../shops/index.ts';
import { announceEventCancelled } from '../webhooks/index.ts';
import {
  type EventAnswer,
  type EventStatus,
  type ShopEvent,
  type StockKeeper,
  toEventAnswer,
  type WrittenItem,
} from './model.ts';
import { putEvent, putItems, putPool, readEvents, readItems, readPools, readStockIdsOfEvent } from './store.ts';

/** What the changes of the catalogue work with. */
export type CatalogueDeps = {
  pool: pg.Pool;
  stock: StockKeeper;
  /** Lets no click lead to the baskets of an event that is not to be sold. */
  stopEvent: (shopId: string, eventId: string) => Promise<void>;
  /** Ends the live baskets of a cancelled event; runs again later if it is interrupted. */
  endBasketsOfEvent: (shopId: string, eventId: string) => Promise<void>;
};

/**
 * Creates or changes an event, once per idempotency key. `change` gets the event as it is (null: new) and gives it as
 * it shall be, or a refusal. A cancellation is final, goes out as `event.cancelled`, and ends the event's live baskets
 * before this returns; a replay does not wait for that. Refusals: `not_found` (no such shop), `event_cancelled`, those
 * of `change` and of the key.
 */
export async function changeEvent(
  deps: CatalogueDeps,
  shopId: string,
  eventId: string,
  change: (event: ShopEvent | null) => { name: string; startsAt: Date | null; status: EventStatus } | Refusal,
  key: IdempotencyKey | null = null,
): Promise<{ event: EventAnswer; replayed: boolean } | Refusal> {
  if ((await readShop(deps.pool, shopId)) === null) return refuse('not_found');
  let cancelled = false;
  const work = async (tx: pg.PoolClient) => {
    const before = (await readEvents(tx, shopId, [eventId], 'lock')).get(eventId) ?? null;
    const wanted = change(before);
    if (isRefusal(wanted)) return wanted;
    if (before?.status === 'cancelled' && wanted.status !== 'cancelled') {
      return refuse('event_cancelled', { status: 409, detail: 'A cancelled event stays cancelled. Create a new one.' });
    }
    await deps.stock.lock(tx, shopId, await readStockIdsOfEvent(tx, shopId, eventId));
    const event = await putEvent(tx, shopId, { eventId, ...wanted });
    cancelled = event.status === 'cancelled' && before?.status !== 'cancelled';
    if (cancelled) await announceEventCancelled(tx, shopId, event);
    return { status: 200, basketId: null, sequence: null, answer: toEventAnswer(event) };
  };
  const result = await withTransaction(deps.pool, (tx) => runOnce(tx, key, () => work(tx)));
  if (isRefusal(result)) return result;
  const event = result.answer as EventAnswer;
  if (event.status !== 'scheduled') await deps.stopEvent(shopId, eventId);
  if (cancelled) await deps.endBasketsOfEvent(shopId, eventId);
  return { event, replayed: result.replayed };
}

/**
 * Creates or replaces items, all or none. `change` gets what each item is (undefined: new) and gives what it shall be.
 * Refusals: `not_found` (no such shop), `invalid_request`, `unknown_event`, `unknown_pool`, `pool_in_use`,
 * `capacity_below_committed`, `package_id_used`, and those of `change`.
 */
export async function changeItems(
  deps: Pick<CatalogueDeps, 'pool' | 'stock'>,
  shopId: string,
  itemIds: readonly string[],
  change: (items: Map<string, WrittenItem>) => Map<string, WrittenItem> | Refusal,
): Promise<null | Refusal> {
  if ((await readShop(deps.pool, shopId)) === null) return refuse('not_found');
  try {
    const result = await withTransaction(deps.pool, (tx) => changeItemsIn(tx, deps.stock, shopId, itemIds, change));
    if (isRefusal(result)) return result;
    await deps.stock.tellRedis(shopId, result.stockIds);
    return null;
  } catch (error) {
    if (hasSqlState(error, sqlState.uniqueViolation)) return refuse('package_id_used');
    throw error;
  }
}

/**
 * The same in the caller's transaction, in a shop that there is. Locks the items, their events and then stock. Gives the
 * stock rows that Redis is to be told of after the commit. Refusals: as changeItems, but for a packageId that is used:
 * there Postgres' unique violation is thrown.
 */
export async function changeItemsIn(
  tx: pg.PoolClient,
  stock: StockKeeper,
  shopId: string,
  itemIds: readonly string[],
  change: (items: Map<string, WrittenItem>) => Map<string, WrittenItem> | Refusal,
): Promise<{ stockIds: string[] } | Refusal> {
  const before = await readItems(tx, shopId, itemIds, 'lock');
  const own = await stock.availability(
    tx,
    shopId,
    [...before.values()].map(({ stockId }) => stockId),
  );
  const written = change(
    new Map(
      [...before].map(([itemId, item]) => [
        itemId,
        {
          ...item,
          taxRate: item.taxRateTenThousandths / 10_000,
          capacity: item.poolId === null ? (own.get(item.stockId)?.capacity ?? null) : null,
          saleStartsAt: item.saleStartsAt?.toISOString() ?? null,
          saleEndsAt: item.saleEndsAt?.toISOString() ?? null,
        },
      ]),
    ),
  );
  if (isRefusal(written)) return written;

  const missing = await missingReferences(tx, shopId, [...written.values()]);
  if (missing) return missing;
  const rows = [];
  for (const [itemId, item] of written) {
    const taxRateTenThousandths = taxRateToTenThousandths(item.taxRate);
    if (taxRateTenThousandths === null) return invalid(itemId, '/taxRate', 'may have four decimals at most');
    if (item.poolId !== null && item.capacity !== null) {
      return invalid(itemId, '/capacity', 'must be null for an item that draws on a pool');
    }
    const stockId = item.poolId === null ? `item:${itemId}` : `pool:${item.poolId}`;
    rows.push({ ...item, itemId, stockId, taxRateTenThousandths });
  }

  const stockIds = new Set([...before.values(), ...rows].map(({ stockId }) => stockId));
  const rowsOfStock = await stock.lock(tx, shopId, [...stockIds]);
  for (const { itemId, stockId } of rows) {
    const old = before.get(itemId)?.stockId ?? stockId;
    const inUse = rowsOfStock.get(old);
    if (old !== stockId && inUse && inUse.held + inUse.sold > 0) return refuse('pool_in_use');
  }
  const capacities = rows.filter(({ poolId }) => poolId === null).map((row) => [row.stockId, row.capacity] as const);
  const refusal = await stock.setCapacities(tx, shopId, new Map(capacities));
  if (refusal) return refusal;
  await putItems(tx, shopId, rows);
  return { stockIds: [...stockIds] };
}

async function missingReferences(tx: pg.PoolClient, shopId: string, items: WrittenItem[]): Promise<Refusal | null> {
  const eventIds = items.flatMap(({ eventId }) => (eventId === null ? [] : [eventId]));
  // Shared locks: an event that is being cancelled must see these items, or be seen cancelled by them.
  const events = await readEvents(tx, shopId, eventIds, 'share');
  if (eventIds.some((eventId) => !events.has(eventId))) return refuse('unknown_event');
  const poolIds = items.flatMap(({ poolId }) => (poolId === null ? [] : [poolId]));
  const pools = await readPools(tx, shopId, poolIds);
  return poolIds.some((poolId) => !pools.has(poolId)) ? refuse('unknown_pool') : null;
}

function invalid(itemId: string, pointer: string, detail: string): Refusal {
  return refuse('invalid_request', {
    detail: `${pointer} of item ${itemId} ${detail}.`,
    extensions: { errors: [{ pointer, detail, itemId }] },
  });
}

/** Creates or replaces a pool. Refusals: `not_found` (no such shop), `capacity_below_committed`. */
export async function changePool(
  deps: CatalogueDeps,
  shopId: string,
  poolId: string,
  { name, capacity }: { name: string; capacity: number | null },
): Promise<null | Refusal> {
  if ((await readShop(deps.pool, shopId)) === null) return refuse('not_found');
  const stockId = `pool:${poolId}`;
  const result = await withTransaction<null | Refusal>(deps.pool, async (tx) => {
    await deps.stock.lock(tx, shopId, [stockId]);
    const refusal = await deps.stock.setCapacities(tx, shopId, new Map([[stockId, capacity]]));
    if (refusal) return refusal;
    await putPool(tx, shopId, poolId, name);
    return null;
  });
  if (result === null) await deps.stock.tellRedis(shopId, [stockId]);
  return result;
}
