import type pg from 'pg';
import type { Availability, StockKeeper } from '../catalogue/index.ts';
import { refuse } from '../errors.ts';
import { isUnavailable, type Queryable } from '../platform/postgres.ts';
import type { Admission, StockName } from './admission.ts';
import { type StockLimit, type StockTake, takesOf } from './model.ts';

type StockRow = { stock_id: string; capacity: number | null; held: number; sold: number };

function toAvailability({ capacity, held, sold }: StockRow): Availability {
  return { capacity, held, sold, available: capacity === null ? null : Math.max(0, capacity - held - sold) };
}

/** The stock rows as the catalogue needs them. */
export function stockKeeper(pool: pg.Pool, admission: Admission): StockKeeper {
  async function availability(db: Queryable, shopId: string, stockIds: readonly string[]) {
    const { rows } = await db.query<StockRow>(
      'SELECT stock_id, capacity, held, sold FROM stock WHERE shop_id = $1 AND stock_id = ANY($2)',
      [shopId, stockIds],
    );
    return new Map(rows.map((row) => [row.stock_id, toAvailability(row)]));
  }
  return {
    availability,
    async lock(tx, shopId, stockIds) {
      await tx.query(
        `INSERT INTO stock (shop_id, stock_id)
         SELECT $1, id FROM unnest($2::text[]) AS id ORDER BY id COLLATE "C" ON CONFLICT DO NOTHING`,
        [shopId, stockIds],
      );
      const { rows } = await tx.query<StockRow>(
        `WITH locked AS MATERIALIZED (
           SELECT shop_id, stock_id FROM stock WHERE shop_id = $1 AND stock_id = ANY($2) ORDER BY stock_id FOR UPDATE
         )
         UPDATE stock s SET catalogue_version = s.catalogue_version + 1 FROM locked l
         WHERE s.shop_id = $1 AND s.shop_id = l.shop_id AND s.stock_id = l.stock_id
         RETURNING s.stock_id, s.capacity, s.held, s.sold`,
        [shopId, stockIds],
      );
      return new Map(rows.map((row) => [row.stock_id, toAvailability(row)]));
    },
    async setCapacities(tx, shopId, capacities) {
      const { rows } = await tx.query<StockRow & { wanted: number }>(
        `SELECT s.stock_id, s.capacity, s.held, s.sold, w.capacity AS wanted
         FROM stock s JOIN unnest($2::text[], $3::int[]) AS w(stock_id, capacity) ON w.stock_id = s.stock_id
         WHERE s.shop_id = $1 AND s.held + s.sold > w.capacity`,
        [shopId, [...capacities.keys()], [...capacities.values()]],
      );
      if (rows.length > 0) {
        const errors = rows.map(({ stock_id, held, sold, wanted }) => ({
          ...namedStock(stock_id),
          requested: wanted,
          held,
          sold,
        }));
        return refuse('capacity_below_committed', { extensions: { errors } });
      }
      await tx.query(
        `UPDATE stock s SET capacity = w.capacity FROM unnest($2::text[], $3::int[]) AS w(stock_id, capacity)
         WHERE s.shop_id = $1 AND s.stock_id = w.stock_id`,
        [shopId, [...capacities.keys()], [...capacities.values()]],
      );
      return null;
    },
    async tellRedis(shopId, stockIds) {
      // What is committed is answered so, or callers would do it again: what Redis misses, the reconciler finds.
      const rows = await availability(pool, shopId, stockIds).catch((error: unknown) => {
        if (isUnavailable(error)) return [];
        throw error;
      });
      await admission.load([...rows].map(([stockId, row]) => ({ shopId, stockId, ...row })));
    },
  };
}

function namedStock(stockId: string): { itemId: string } | { poolId: string } | { code: string } {
  const id = stockId.slice(stockId.indexOf(':') + 1);
  if (stockId.startsWith('item:')) return { itemId: id };
  return stockId.startsWith('pool:') ? { poolId: id } : { code: id };
}

/**
 * The stock rows that `take`, a table of (shop_id, stock_id, …), names, as `s`, and locked in the order of their ids. Each
 * is looked for by itself: of a table of a thousand rows Postgres would rather read all, for three of them.
 */
export function stockLockedFor(take: string): string {
  return `(
    SELECT shop_id, stock_id FROM ${take} GROUP BY 1, 2 ORDER BY shop_id COLLATE "C", stock_id COLLATE "C"
  ) t, LATERAL (SELECT s.* FROM stock s WHERE s.shop_id = t.shop_id AND s.stock_id = t.stock_id FOR UPDATE) s`;
}

/**
 * Locks stock rows, whose shops and ids are given as two arrays. A statement of its own: the one that decides must begin
 * when the locks are had, since under load a single one was seen to decide on rows as they were when it began. They may
 * be sent together.
 */
export const lockStockSql = `
SELECT FROM ${stockLockedFor('unnest($1::text[], $2::text[]) AS take(shop_id, stock_id)')}`;

/** What each move adds to held and to sold for a unit. */
const moves = { release: [-1, 0], sell: [-1, 1], takeAndSell: [0, 1], restock: [0, -1] } as const;

/** What a basket takes of its shop's stock. */
type Hold = { shopId: string; takes: readonly StockTake[] };

/**
 * Moves the stock of baskets in the caller's transaction, which holds their rows: `release` gives held stock back, `sell`
 * turns held into sold, `takeAndSell` takes it anew and sells it at once, `restock` gives sold stock back. Rows are locked
 * in the order of their ids. Gives false, and changes nothing, when `takeAndSell` does not find all of it.
 */
export async function moveStock(tx: Queryable, holds: readonly Hold[], move: keyof typeof moves): Promise<boolean> {
  const [held, sold] = moves[move];
  const takes = holds.flatMap(({ shopId, takes }) => takes.map((take) => ({ shopId, ...take })));
  if (takes.length === 0) return true;
  const shopIds = takes.map(({ shopId }) => shopId);
  const stockIds = takes.map(({ stockId }) => stockId);
  const [, { rows }] = await Promise.all([
    tx.query(lockStockSql, [shopIds, stockIds]),
    tx.query<{ moved: boolean }>(
      `WITH take AS (
         SELECT t.shop_id, t.stock_id, sum(t.quantity)::int AS quantity
         FROM unnest($1::text[], $2::text[], $3::int[]) AS t(shop_id, stock_id, quantity) GROUP BY 1, 2
       ),
       locked AS MATERIALIZED (
         SELECT s.shop_id, s.stock_id, s.capacity, s.held, s.sold FROM ${stockLockedFor('take')}
       ),
       moved AS (
         UPDATE stock s SET held = s.held + $4::int * t.quantity, sold = s.sold + $5::int * t.quantity FROM take t
         WHERE s.shop_id = t.shop_id AND s.stock_id = t.stock_id AND NOT EXISTS (
           SELECT FROM locked x JOIN take y ON x.shop_id = y.shop_id AND x.stock_id = y.stock_id
           WHERE $4::int + $5::int > 0 AND x.held + x.sold + ($4::int + $5::int) * y.quantity > x.capacity
         )
         RETURNING s.stock_id
       )
       SELECT (SELECT count(*) FROM moved) = (SELECT count(*) FROM take) AS moved`,
      [shopIds, stockIds, takes.map(({ quantity }) => quantity), held, sold],
    ),
  ]);
  return rows[0]?.moved === true;
}

/** The stock rows that have less than this at this moment, with what they have. Takes no lock. */
export async function findShort(
  db: Queryable,
  shopId: string,
  takes: readonly StockTake[],
): Promise<Map<string, number>> {
  const { rows } = await db.query<{ stock_id: string; available: number }>(
    `SELECT s.stock_id, greatest(0, s.capacity - s.held - s.sold) AS available
     FROM stock s JOIN unnest($2::text[], $3::int[]) AS t(stock_id, quantity) ON t.stock_id = s.stock_id
     WHERE s.shop_id = $1 AND s.held + s.sold + t.quantity > s.capacity`,
    [shopId, takes.map(({ stockId }) => stockId), takes.map(({ quantity }) => quantity)],
  );
  return new Map(rows.map(({ stock_id, available }) => [stock_id, available]));
}

/** What became of a change of a hold. `stale`: an item that it was decided on has changed since it was read. */
type HoldChange = { outcome: 'changed' } | { outcome: 'short'; available: Map<string, number> } | { outcome: 'stale' };

/**
 * Changes what a basket holds in the caller's transaction, which holds the basket's row: what `to` has more of a stock
 * row than `from` is taken, if all of it fits, and what it has less is given back; else nothing changes. Rows are locked
 * in the order of their ids. `catalogueVersions` says for rows by which version the caller decided: where that is stale
 * the caller decides again, with the rows locked by now, so that the catalogue stands still. `limits` are rows among `to`
 * that are made when they are first needed.
 */
export async function changeHold(
  tx: Queryable,
  shopId: string,
  from: readonly StockTake[],
  to: readonly StockTake[],
  catalogueVersions: ReadonlyMap<string, number>,
  limits: readonly StockLimit[],
): Promise<HoldChange> {
  const given = from.map(({ stockId, quantity }) => ({ stockId, quantity: -quantity }));
  const changes = takesOf([...given, ...to]).filter(({ quantity }) => quantity !== 0);
  const stockIds = changes.map(({ stockId }) => stockId);
  const newLimits = limits.flatMap((limit) => (stockIds.includes(limit.stockId) ? [{ shopId, ...limit }] : []));
  await makeLimits(tx, newLimits);
  // A statement of its own: the one that decides must begin when the locks are had.
  await tx.query('SELECT FROM stock WHERE shop_id = $1 AND stock_id = ANY($2) ORDER BY stock_id FOR UPDATE', [
    shopId,
    stockIds,
  ]);
  await setLimits(tx, newLimits);
  const { rows } = await tx.query<{
    stock_id: string;
    available: number;
    short: boolean | null;
    stale: boolean | null;
  }>(
    `WITH change AS (SELECT * FROM unnest($2::text[], $3::int[], $4::bigint[]) AS c(stock_id, more, decided_on)),
     locked AS MATERIALIZED (
       SELECT s.stock_id, c.more, s.capacity - s.held - s.sold AS available,
         c.more > s.capacity - s.held - s.sold AS short, c.decided_on <> s.catalogue_version AS stale
       FROM stock s JOIN change c ON c.stock_id = s.stock_id
       WHERE s.shop_id = $1 ORDER BY s.stock_id FOR UPDATE OF s
     ),
     changed AS (
       UPDATE stock s SET held = s.held + l.more FROM locked l
       WHERE s.shop_id = $1 AND s.stock_id = l.stock_id AND NOT EXISTS (SELECT FROM locked x WHERE x.short OR x.stale)
     )
     SELECT stock_id, available, short, stale FROM locked WHERE short OR stale`,
    [
      shopId,
      stockIds,
      changes.map(({ quantity }) => quantity),
      stockIds.map((stockId) => catalogueVersions.get(stockId) ?? null),
    ],
  );
  if (rows.some(({ stale }) => stale)) return { outcome: 'stale' };
  if (rows.length === 0) return { outcome: 'changed' };
  return { outcome: 'short', available: new Map(rows.map(({ stock_id, available }) => [stock_id, available])) };
}

/** How much there is to take of stock rows of which there is not any amount. */
export async function readAvailable(
  db: Queryable,
  shopId: string,
  stockIds: readonly string[],
): Promise<Map<string, number>> {
  const { rows } = await db.query<{ stock_id: string; available: number }>(
    `SELECT s.stock_id, s.capacity - s.held - s.sold AS available FROM stock s
     WHERE s.shop_id = $1 AND s.stock_id = ANY($2) AND s.capacity IS NOT NULL`,
    [shopId, stockIds],
  );
  return new Map(rows.map(({ stock_id, available }) => [stock_id, available]));
}

/**
 * Locks stock rows until the transaction ends, in the order of their ids, and makes those of `limits`: for who must know
 * what there is before deciding what to take. Nothing else may be locked afterwards, so all that will change is named.
 */
export async function lockStock(
  tx: Queryable,
  shopId: string,
  stockIds: readonly string[],
  limits: readonly StockLimit[],
): Promise<void> {
  await makeLimits(
    tx,
    limits.map((limit) => ({ shopId, ...limit })),
  );
  await tx.query('SELECT FROM stock WHERE shop_id = $1 AND stock_id = ANY($2) ORDER BY stock_id FOR UPDATE', [
    shopId,
    stockIds,
  ]);
}

/** Adds to the capacity of stock rows, locked in the order of their ids. Redis hears of it from the reconciler. */
export async function addCapacity(tx: Queryable, shopId: string, additions: readonly StockTake[]): Promise<void> {
  const stockIds = additions.map(({ stockId }) => stockId);
  await lockStock(tx, shopId, stockIds, []);
  await tx.query(
    `UPDATE stock s SET capacity = s.capacity + a.more FROM unnest($2::text[], $3::int[]) AS a(stock_id, more)
     WHERE s.shop_id = $1 AND s.stock_id = a.stock_id`,
    [shopId, stockIds, additions.map(({ quantity }) => quantity)],
  );
}

/**
 * Makes the rows of limits that are needed for the first time, in the caller's transaction and before it locks any row of
 * stock: so who waits here, for somebody who is making the same row, keeps no row that the other could want.
 */
export async function makeLimits(tx: Queryable, limits: readonly (StockName & StockLimit)[]): Promise<void> {
  if (limits.length === 0) return;
  await tx.query(
    `INSERT INTO stock (shop_id, stock_id, capacity)
     SELECT * FROM unnest($1::text[], $2::text[], $3::int[]) AS l(shop_id, stock_id, capacity) ORDER BY 1, 2
     ON CONFLICT DO NOTHING`,
    columnsOf(limits),
  );
}

/** Sets locked rows to their limits, which may be others than when the rows were made, but never below what is taken. */
export async function setLimits(tx: Queryable, limits: readonly (StockName & StockLimit)[]): Promise<void> {
  if (limits.length === 0) return;
  await tx.query(
    `UPDATE stock s SET capacity = greatest(l.capacity, s.held + s.sold)
     FROM unnest($1::text[], $2::text[], $3::int[]) AS l(shop_id, stock_id, capacity)
     WHERE s.shop_id = l.shop_id AND s.stock_id = l.stock_id AND s.capacity <> greatest(l.capacity, s.held + s.sold)`,
    columnsOf(limits),
  );
}

const columnsOf = (limits: readonly (StockName & StockLimit)[]) => [
  limits.map(({ shopId }) => shopId),
  limits.map(({ stockId }) => stockId),
  limits.map(({ capacity }) => capacity),
];
