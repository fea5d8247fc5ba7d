import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import type { Queryable } from '../platform/postgres.ts';
import type { Adjustment, Item, Pool, SellableItem, ShopEvent, WrittenItem } from './model.ts';

type EventRow = {
  event_id: string;
  name: string;
  starts_at: Date | null;
  status: ShopEvent['status'];
  created_at: Date;
  updated_at: Date;
};

function toEvent(row: EventRow): ShopEvent {
  return {
    eventId: row.event_id,
    name: row.name,
    startsAt: row.starts_at,
    status: row.status,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

const eventColumns = 'event_id, name, starts_at, status, created_at, updated_at';

const eventLocks = { lock: 'FOR UPDATE', share: 'FOR SHARE', 'no lock': '' };

/** Reads events; with `lock` or `share` they stay as they are until the transaction ends. */
export async function readEvents(
  db: Queryable,
  shopId: string,
  eventIds: readonly string[],
  lock: 'lock' | 'share' | 'no lock' = 'no lock',
): Promise<Map<string, ShopEvent>> {
  // A click and an activation ask this of every basket, also of those that are of no event.
  if (eventIds.length === 0) return new Map();
  const { rows } = await db.query<EventRow>(
    `SELECT ${eventColumns} FROM events WHERE shop_id = $1 AND event_id = ANY($2) ORDER BY event_id ${eventLocks[lock]}`,
    [shopId, eventIds],
  );
  return new Map(rows.map((row) => [row.event_id, toEvent(row)]));
}

/** All events of a shop, in the order of their creation. */
export async function listEvents(db: Queryable, shopId: string): Promise<ShopEvent[]> {
  const { rows } = await db.query<EventRow>(
    `SELECT ${eventColumns} FROM events WHERE shop_id = $1 ORDER BY created_at, event_id`,
    [shopId],
  );
  return rows.map(toEvent);
}

/** Creates or replaces an event. */
export async function putEvent(
  tx: Queryable,
  shopId: string,
  event: Pick<ShopEvent, 'eventId' | 'name' | 'startsAt' | 'status'>,
): Promise<ShopEvent> {
  const { rows } = await tx.query<EventRow>(
    `INSERT INTO events (shop_id, event_id, name, starts_at, status) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (shop_id, event_id) DO UPDATE
       SET name = excluded.name, starts_at = excluded.starts_at, status = excluded.status, updated_at = now()
     RETURNING ${eventColumns}`,
    [shopId, event.eventId, event.name, event.startsAt, event.status],
  );
  const [row] = rows;
  if (!row) throw new Error('an upsert gave no row');
  return toEvent(row);
}

/** The stock rows that items of an event take from. */
export async function readStockIdsOfEvent(db: Queryable, shopId: string, eventId: string): Promise<string[]> {
  const { rows } = await db.query<{ stock_id: string }>(
    'SELECT DISTINCT stock_id FROM items WHERE shop_id = $1 AND event_id = $2',
    [shopId, eventId],
  );
  return rows.map(({ stock_id }) => stock_id);
}

/** Cancelled events whose live baskets have not all been ended yet, of every shop. */
export async function eventsToEnd(db: Queryable): Promise<{ shopId: string; eventId: string }[]> {
  const { rows } = await db.query<{ shop_id: string; event_id: string }>(
    `SELECT /* across shops: the sweeper ends the baskets of every cancelled event */ shop_id, event_id
     FROM events WHERE status = 'cancelled' AND NOT baskets_ended`,
  );
  return rows.map(({ shop_id, event_id }) => ({ shopId: shop_id, eventId: event_id }));
}

/** Notes that a cancelled event has no live baskets any more. */
export async function markBasketsEnded(db: Queryable, shopId: string, eventId: string): Promise<void> {
  await db.query(
    `UPDATE events SET baskets_ended = true WHERE shop_id = $1 AND event_id = $2 AND status = 'cancelled'`,
    [shopId, eventId],
  );
}

type ItemRow = {
  item_id: string;
  name: string;
  event_id: string | null;
  pool_id: string | null;
  stock_id: string;
  price: number;
  tax_rate_e4: number;
  max_per_basket: number;
  type: Item['type'];
  sale_starts_at: Date | null;
  sale_ends_at: Date | null;
  access_required: boolean;
  description: string;
  image: string | null;
  package_id: number | null;
  variables: Item['variables'];
  created_at: Date;
  updated_at: Date;
};

const itemColumns = `i.item_id, i.name, i.event_id, i.pool_id, i.stock_id, i.price, i.tax_rate_e4, i.max_per_basket, i.type,
  i.sale_starts_at, i.sale_ends_at, i.access_required, i.description, i.image, i.package_id, i.variables, i.created_at,
  i.updated_at`;

function toItem(row: ItemRow): Item {
  return {
    itemId: row.item_id,
    name: row.name,
    eventId: row.event_id,
    poolId: row.pool_id,
    stockId: row.stock_id,
    price: row.price,
    taxRateTenThousandths: row.tax_rate_e4,
    maxPerBasket: row.max_per_basket,
    type: row.type,
    saleStartsAt: row.sale_starts_at,
    saleEndsAt: row.sale_ends_at,
    accessRequired: row.access_required,
    description: row.description,
    image: row.image,
    packageId: row.package_id,
    variables: row.variables,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Reads items by id; with `lock` they stay as they are until the transaction ends. */
export async function readItems(
  db: Queryable,
  shopId: string,
  itemIds: readonly string[],
  lock: 'lock' | 'no lock' = 'no lock',
): Promise<Map<string, Item>> {
  const { rows } = await db.query<ItemRow>(
    `SELECT ${itemColumns} FROM items i WHERE i.shop_id = $1 AND i.item_id = ANY($2)
     ORDER BY i.item_id ${lock === 'lock' ? 'FOR UPDATE' : ''}`,
    [shopId, itemIds],
  );
  return new Map(rows.map((row) => [row.item_id, toItem(row)]));
}

/** The id of the item that a web store sells under this number, or null. */
export async function findItemOfPackage(db: Queryable, shopId: string, packageId: number): Promise<string | null> {
  const { rows } = await db.query<{ item_id: string }>(
    'SELECT item_id FROM items WHERE shop_id = $1 AND package_id = $2',
    [shopId, packageId],
  );
  return rows[0]?.item_id ?? null;
}

/** An item that a web store sells. */
export type PackageItem = Item & { packageId: number };

const isPackage = (item: Item): item is PackageItem => item.packageId !== null;

/** The packages of a shop, in the order of their numbers, without those whose itemIds begin with `hiddenPrefix`. */
export async function listPackages(db: Queryable, shopId: string, hiddenPrefix: string): Promise<PackageItem[]> {
  // Two ranges of the primary key, so that what is hidden is not read: no character of an itemId sorts after the tilde.
  const { rows } = await db.query<ItemRow>(
    `SELECT ${itemColumns} FROM items i
     WHERE i.shop_id = $1 AND i.package_id IS NOT NULL AND (i.item_id < $2 OR i.item_id > $2 || '~')
     ORDER BY i.package_id`,
    [shopId, hiddenPrefix],
  );
  return rows.map(toItem).filter(isPackage);
}

/** Those of some numbers that no item has as its packageId. */
export async function freePackageIds(db: Queryable, shopId: string, packageIds: readonly number[]): Promise<number[]> {
  const { rows } = await db.query<{ id: number }>(
    `SELECT c.id FROM unnest($2::int[]) AS c(id)
     WHERE NOT EXISTS (SELECT FROM items i WHERE i.shop_id = $1 AND i.package_id = c.id)`,
    [shopId, packageIds],
  );
  return rows.map(({ id }) => id);
}

/** One page of items, newest first, after the item at `position` (created, id). */
export async function listItems(
  db: Queryable,
  shopId: string,
  eventId: string | null,
  position: { createdAt: string; itemId: string } | null,
  limit: number,
): Promise<Item[]> {
  const { rows } = await db.query<ItemRow>(
    `SELECT ${itemColumns} FROM items i
     WHERE i.shop_id = $1 AND ($2::text IS NULL OR i.event_id = $2)
       AND ($3::timestamptz IS NULL OR (i.created_at, i.item_id) < ($3, $4 COLLATE "C"))
     ORDER BY i.created_at DESC, i.item_id DESC LIMIT $5`,
    [shopId, eventId, position?.createdAt ?? null, position?.itemId ?? null, limit],
  );
  return rows.map(toItem);
}

/** Creates or replaces items whose stock rows exist and are locked. */
export async function putItems(
  tx: Queryable,
  shopId: string,
  items: readonly (WrittenItem & { itemId: string; stockId: string; taxRateTenThousandths: number })[],
): Promise<void> {
  await tx.query(
    `INSERT INTO items (shop_id, item_id, name, event_id, pool_id, stock_id, price, tax_rate_e4, max_per_basket, type,
       sale_starts_at, sale_ends_at, access_required, description, image, package_id, variables)
     SELECT $1, w."itemId", w.name, w."eventId", w."poolId", w."stockId", w.price, w."taxRateTenThousandths",
       w."maxPerBasket", w.type, w."saleStartsAt", w."saleEndsAt", w."accessRequired", w.description, w.image,
       w."packageId", w.variables
     FROM json_to_recordset($2) AS w("itemId" text, name text, "eventId" text, "poolId" text, "stockId" text,
       price integer, "taxRateTenThousandths" integer, "maxPerBasket" integer, type text, "saleStartsAt" timestamptz,
       "saleEndsAt" timestamptz, "accessRequired" boolean, description text, image text, "packageId" integer,
       variables json)
     ORDER BY w."itemId"
     ON CONFLICT (shop_id, item_id) DO UPDATE SET
       name = excluded.name, event_id = excluded.event_id, pool_id = excluded.pool_id, stock_id = excluded.stock_id,
       price = excluded.price, tax_rate_e4 = excluded.tax_rate_e4, max_per_basket = excluded.max_per_basket,
       type = excluded.type, sale_starts_at = excluded.sale_starts_at, sale_ends_at = excluded.sale_ends_at,
       access_required = excluded.access_required, description = excluded.description, image = excluded.image,
       package_id = excluded.package_id, variables = excluded.variables, updated_at = now()`,
    [shopId, JSON.stringify(items)],
  );
}

type PoolRow = { pool_id: string; name: string; created_at: Date; updated_at: Date };

function toPool(row: PoolRow): Pool {
  return { poolId: row.pool_id, name: row.name, createdAt: row.created_at, updatedAt: row.updated_at };
}

/** Creates a pool or changes its name. */
export async function putPool(tx: Queryable, shopId: string, poolId: string, name: string): Promise<Pool> {
  const { rows } = await tx.query<PoolRow>(
    `INSERT INTO pools (shop_id, pool_id, name) VALUES ($1, $2, $3)
     ON CONFLICT (shop_id, pool_id) DO UPDATE SET name = excluded.name, updated_at = now()
     RETURNING pool_id, name, created_at, updated_at`,
    [shopId, poolId, name],
  );
  const [row] = rows;
  if (!row) throw new Error('an upsert gave no row');
  return toPool(row);
}

/** Reads pools by id. */
export async function readPools(db: Queryable, shopId: string, poolIds: readonly string[]): Promise<Map<string, Pool>> {
  const { rows } = await db.query<PoolRow>(
    'SELECT pool_id, name, created_at, updated_at FROM pools WHERE shop_id = $1 AND pool_id = ANY($2)',
    [shopId, poolIds],
  );
  return new Map(rows.map((row) => [row.pool_id, toPool(row)]));
}

/** All pools of a shop, in the order of their creation. */
export async function listPools(db: Queryable, shopId: string): Promise<Pool[]> {
  const { rows } = await db.query<PoolRow>(
    'SELECT pool_id, name, created_at, updated_at FROM pools WHERE shop_id = $1 ORDER BY created_at, pool_id',
    [shopId],
  );
  return rows.map(toPool);
}

/** Notes an adjustment of a capacity, and what it came to. */
export async function insertAdjustment(
  tx: Queryable,
  shopId: string,
  stockId: string,
  { delta, capacity, reason, madeBy }: Adjustment & { capacity: number },
): Promise<void> {
  await tx.query(
    `INSERT INTO stock_adjustments (shop_id, stock_id, delta, capacity, reason, made_by)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [shopId, stockId, delta, capacity, reason, madeBy],
  );
}

/** Reads items with their events and the version of the catalogue that both belong to. */
export async function readSellable(db: Queryable, shopId: string, itemIds: readonly string[]): Promise<SellableItem[]> {
  type Row = ItemRow & { catalogue_version: number } & { [Name in keyof EventRow as `e_${Name}`]: EventRow[Name] };
  // One statement, one snapshot: the version belongs to exactly what is read beside it.
  const { rows } = await db.query<Row>(
    `SELECT ${itemColumns}, s.catalogue_version, e.event_id AS e_event_id, e.name AS e_name, e.starts_at AS e_starts_at,
       e.status AS e_status, e.created_at AS e_created_at, e.updated_at AS e_updated_at
     FROM items i
     JOIN stock s ON s.shop_id = i.shop_id AND s.stock_id = i.stock_id
     LEFT JOIN events e ON e.shop_id = i.shop_id AND e.event_id = i.event_id
     WHERE i.shop_id = $1 AND i.item_id = ANY($2)`,
    [shopId, itemIds],
  );
  return rows.map((row) => ({
    ...toItem(row),
    catalogueVersion: row.catalogue_version,
    event:
      row.event_id === null
        ? null
        : toEvent({
            event_id: row.e_event_id,
            name: row.e_name,
            starts_at: row.e_starts_at,
            status: row.e_status,
            created_at: row.e_created_at,
            updated_at: row.e_updated_at,
          }),
  }));
}

/** Items as they were when last read. May be old: a creation's commit compares the catalogue version. */
export type ItemCache = {
  get(shopId: string, itemIds: readonly string[]): Promise<Map<string, SellableItem>>;
  /** Reads past the cache: for when what it gave turned out to be old, or would lead to a refusal. */
  fresh(shopId: string, itemIds: readonly string[]): Promise<Map<string, SellableItem>>;
};

/** Opens the cache, of the 100,000 items used last. */
export function openItemCache(pool: pg.Pool): ItemCache {
  const items = new LRUCache<string, SellableItem>({ max: 100_000 });
  const keyOf = (shopId: string, itemId: string) => `${shopId}/${itemId}`;

  async function fresh(shopId: string, itemIds: readonly string[]) {
    const found = await readSellable(pool, shopId, itemIds);
    for (const item of found) items.set(keyOf(shopId, item.itemId), item);
    return new Map(found.map((item) => [item.itemId, item]));
  }
  return {
    fresh,
    async get(shopId, itemIds) {
      const known = new Map<string, SellableItem>();
      for (const itemId of itemIds) {
        const item = items.get(keyOf(shopId, itemId));
        if (item === undefined) return fresh(shopId, itemIds);
        known.set(itemId, item);
      }
      return known;
    },
  };
}
