import { LRUCache } from 'lru-cache';
import type { Queryable } from '../platform/postgres.ts';
import type { Settings, Shop } from './model.ts';

type Row = {
  shop_id: string;
  shop_number: number;
  version: number;
  settings: Settings;
  public_token: string;
  laravel_keys: string | null;
  created_at: Date;
  updated_at: Date;
};

const columns = 'shop_id, shop_number, version, settings, public_token, laravel_keys, created_at, updated_at';

function toShop(row: Row): Shop {
  return {
    ...row.settings,
    shopId: row.shop_id,
    shopNumber: row.shop_number,
    version: row.version,
    publicToken: row.public_token,
    sealedLaravelKeys: row.laravel_keys,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Creates the shop or replaces its settings. `publicToken` is used on creation only. */
export async function putShop(db: Queryable, shopId: string, settings: Settings, publicToken: string): Promise<Shop> {
  const { rows } = await db.query<Row>(
    `INSERT INTO shops AS s (shop_id, settings, public_token) VALUES ($1, $2, $3)
     ON CONFLICT (shop_id) DO UPDATE
       SET settings = excluded.settings, version = s.version + 1, updated_at = now()
     RETURNING ${columns}`,
    [shopId, JSON.stringify(settings), publicToken],
  );
  const [row] = rows;
  if (!row) throw new Error('an upsert gave no row');
  return toShop(row);
}

/** Keeps a shop's keys of Laravel links, encrypted; false when there is no such shop. */
export async function putLaravelKeys(db: Queryable, shopId: string, sealed: string | null): Promise<boolean> {
  const { rowCount } = await db.query('UPDATE shops SET laravel_keys = $2 WHERE shop_id = $1', [shopId, sealed]);
  return rowCount === 1;
}

/** The keys of Laravel links of all shops, encrypted as they are. */
export async function listLaravelKeys(db: Queryable): Promise<{ shopId: string; sealed: string }[]> {
  const { rows } = await db.query<{ shopId: string; sealed: string }>(
    `SELECT /* across shops: the keys of all are encrypted anew when DATA_KEYS change */
       shop_id AS "shopId", laravel_keys AS sealed FROM shops WHERE laravel_keys IS NOT NULL`,
  );
  return rows;
}

/** Replaces a shop's keys of Laravel links by the same encrypted otherwise, unless they have changed. */
export async function replaceLaravelKeys(db: Queryable, shopId: string, before: string, sealed: string): Promise<void> {
  await db.query('UPDATE shops SET laravel_keys = $3 WHERE shop_id = $1 AND laravel_keys = $2', [
    shopId,
    before,
    sealed,
  ]);
}

/** The ids of all shops. */
export async function listShopIds(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ shop_id: string }>(
    'SELECT /* across shops: what is old is removed of each */ shop_id FROM shops ORDER BY shop_id',
  );
  return rows.map(({ shop_id }) => shop_id);
}

/** Reads a shop as it is now; with `lock` it stays so until the transaction ends. */
export async function readShop(
  db: Queryable,
  shopId: string,
  lock: 'lock' | 'no lock' = 'no lock',
): Promise<Shop | null> {
  const { rows } = await db.query<Row>(
    `SELECT ${columns} FROM shops WHERE shop_id = $1 ${lock === 'lock' ? 'FOR UPDATE' : ''}`,
    [shopId],
  );
  return rows[0] ? toShop(rows[0]) : null;
}

/** The id of the shop that tokens know by this number. */
async function readShopByNumber(db: Queryable, shopNumber: number): Promise<Shop | null> {
  const { rows } = await db.query<Row>(
    `SELECT /* across shops: it finds which one a signed token or an API key is of */ ${columns}
     FROM shops WHERE shop_number = $1`,
    [shopNumber],
  );
  return rows[0] ? toShop(rows[0]) : null;
}

/** The shop whose web store has this public token. */
async function readShopByPublicToken(db: Queryable, publicToken: string): Promise<Shop | null> {
  const { rows } = await db.query<Row>(
    `SELECT /* across shops: it finds which one a web store is of */ ${columns} FROM shops WHERE public_token = $1`,
    [publicToken],
  );
  return rows[0] ? toShop(rows[0]) : null;
}

/** Shops as they were at most five seconds ago, for paths that cannot afford a query per request. */
export type ShopCache = {
  get(shopId: string): Promise<Shop | null>;
  /** Reads past the cache: for when what it gave turned out to be old, or would lead to a refusal. */
  fresh(shopId: string): Promise<Shop | null>;
  byNumber(shopNumber: number): Promise<Shop | null>;
  byPublicToken(publicToken: string): Promise<Shop | null>;
  forget(shopId: string): void;
};

const maxAgeMs = 5000;

/** Opens the cache. Unknown shops are not remembered, so a new shop works at once everywhere. */
export function openShopCache(db: Queryable): ShopCache {
  const shops = new LRUCache<string, Shop>({ max: 10_000, ttl: maxAgeMs });
  const idsByNumber = new LRUCache<number, string>({ max: 10_000 });
  const idsByPublicToken = new LRUCache<string, string>({ max: 10_000 });
  const reads = new Map<string, Promise<Shop | null>>();

  function keep(shop: Shop | null): Shop | null {
    if (shop) {
      shops.set(shop.shopId, shop);
      idsByNumber.set(shop.shopNumber, shop.shopId);
      idsByPublicToken.set(shop.publicToken, shop.shopId);
    }
    return shop;
  }

  /** However many requests find a shop too old, it is read once. What was forgotten meanwhile is not kept. */
  function readOnce(shopId: string): Promise<Shop | null> {
    const underWay = reads.get(shopId);
    if (underWay) return underWay;
    const read: Promise<Shop | null> = readShop(db, shopId)
      .then((shop) => (reads.get(shopId) === read ? keep(shop) : shop))
      .finally(() => reads.get(shopId) === read && reads.delete(shopId));
    reads.set(shopId, read);
    return read;
  }
  return {
    get: async (shopId) => shops.get(shopId) ?? readOnce(shopId),
    fresh: async (shopId) => keep(await readShop(db, shopId)),
    async byNumber(shopNumber) {
      const shopId = idsByNumber.get(shopNumber);
      return (shopId && shops.get(shopId)) || keep(await readShopByNumber(db, shopNumber));
    },
    async byPublicToken(publicToken) {
      const shopId = idsByPublicToken.get(publicToken);
      return (shopId && shops.get(shopId)) || keep(await readShopByPublicToken(db, publicToken));
    },
    forget(shopId) {
      shops.delete(shopId);
      reads.delete(shopId);
    },
  };
}
