import type pg from 'pg';
import { eachPage, type Queryable, withTransaction } from '../platform/postgres.ts';
import type { StatedRow, StockName } from './admission.ts';
import { type HeldBasket, heldBasketsSql } from './arbiter.ts';
import { liveSql } from './model.ts';

/** What Postgres knows of Redis. `inUse`: some replica has compared the two within the last 30 seconds. */
export type RecordedRedis = {
  epoch: number;
  /** Who had each partition when the epoch began; null before the first. */
  servers: string[] | null;
  /** Who had one before, latest first. */
  former: string[];
  tick: number;
  inUse: boolean;
};

export async function readRecordedRedis(db: Queryable): Promise<RecordedRedis> {
  const { rows } = await db.query<RecordedRedis>(
    `SELECT redis_epoch AS epoch, redis_servers AS servers, redis_former AS former, redis_tick AS tick,
       redis_ticked_at > now() - interval '30 seconds' AS "inUse"
     FROM service_state`,
  );
  return onlyRow(rows);
}

/** How many former servers are remembered: those of a few fail-overs of a whole cluster. */
const remembered = 64;

/** Begins an epoch on these servers, above what Redis was seen at, and gives what of Postgres was to be seen then. */
export async function raiseRedisEpoch(
  db: Queryable,
  seen: { epoch: number; tick: number; servers: readonly string[] },
): Promise<{ epoch: number; tick: number; snapshot: string }> {
  const { rows } = await db.query<{ epoch: number; tick: number; snapshot: string }>(
    `UPDATE service_state SET
       redis_epoch = greatest(redis_epoch, $1) + 1,
       redis_former = (array(SELECT DISTINCT unnest(redis_servers)) || redis_former)[:${remembered}],
       redis_servers = $3,
       redis_tick = greatest(redis_tick, $2) + 1,
       redis_ticked_at = now()
     RETURNING redis_epoch AS epoch, redis_tick AS tick, pg_current_snapshot()::text AS snapshot`,
    [seen.epoch, seen.tick, seen.servers],
  );
  return onlyRow(rows);
}

/** Forgets which Redis there was and what it was told, so that whichever is found next is built anew. */
export async function forgetRedis(db: Queryable): Promise<void> {
  await db.query(
    `UPDATE service_state SET redis_servers = NULL, redis_former = '{}', redis_told = NULL,
       redis_ticked_at = '-infinity'`,
  );
}

/** Counts a comparison of Redis with Postgres, and gives its number. */
export async function countComparison(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ tick: number }>(
    'UPDATE service_state SET redis_tick = redis_tick + 1, redis_ticked_at = now() RETURNING redis_tick AS tick',
  );
  return onlyRow(rows).tick;
}

/** Notes that Redis may have missed what was committed until now. */
export async function doubtRedis(db: Queryable): Promise<void> {
  await db.query('UPDATE service_state SET redis_doubted_at = clock_timestamp()');
}

/** Whether Redis was doubted since all holds were last compared, and what time it is for `settleDoubts`. */
export async function readDoubts(db: Queryable): Promise<{ doubted: boolean; now: Date }> {
  const { rows } = await db.query<{ doubted: boolean; now: Date }>(
    'SELECT redis_doubted_at > redis_compared_at AS doubted, clock_timestamp() AS now FROM service_state',
  );
  return onlyRow(rows);
}

/** Notes that all holds were compared with Redis, and repaired, from `since` on: older doubts are settled. */
export async function settleDoubts(db: Queryable, since: Date): Promise<void> {
  await db.query('UPDATE service_state SET redis_compared_at = $1', [since]);
}

function onlyRow<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new Error('service_state has no row');
  return row;
}

const pageSize = 1000;

/**
 * Reads all stock rows, with nothing held, and then all holds of one moment, page by page. False, and no more is read,
 * when one of the two callbacks gives false.
 */
export function readEverything(
  pool: pg.Pool,
  eachRows: (rows: StatedRow[]) => Promise<boolean>,
  eachHolds: (baskets: HeldBasket[]) => Promise<boolean>,
): Promise<boolean> {
  return withTransaction(
    pool,
    async (tx) => {
      await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
      const unheld = `SELECT ${acrossShops} ${rowColumns('0')} FROM stock s`;
      const live = heldBasketsSql(`b.status IN ${liveSql} ${acrossShops}`);
      return (await eachPage(tx, unheld, pageSize, eachRows)) && eachPage(tx, live, pageSize, eachHolds);
    },
    () => true,
  );
}

/**
 * Changes after which a link leads nowhere, or to another customer. Of baskets whose time has run out nobody needs to be
 * told: the link says itself until when it leads on.
 */
const toldAgain = `('basket.updated', 'basket.checkout_failed', 'basket.completed', 'basket.cancelled', 'basket.expired')`;

/**
 * Gives `tell` the baskets that were so changed since Redis was last told of all, as they are now, page by page, and
 * notes that it was; not where `tell` gives false.
 */
export async function tellOfChanges(pool: pg.Pool, tell: (baskets: HeldBasket[]) => Promise<boolean>): Promise<void> {
  await withTransaction(pool, async (tx) => {
    // A database that was restored from a dump counts its transactions anew.
    const { rows } = await tx.query<{ told: string | null; now: string }>(
      `SELECT pg_current_snapshot()::text AS now,
         CASE WHEN pg_snapshot_xmin(redis_told) <= pg_snapshot_xmax(pg_current_snapshot()) THEN redis_told::text END AS told
       FROM service_state`,
    );
    const { told, now } = onlyRow(rows);
    // Nothing is known of how many there are, and the planner would rather read all of a large table.
    await tx.query('SET LOCAL enable_seqscan = off');
    const toldAll =
      told === null ||
      (await eachPage(
        tx,
        `SELECT ${acrossShops} h.* FROM shops s,
           LATERAL (
             SELECT DISTINCT o.subject_id FROM outbox o
             WHERE o.shop_id = s.shop_id AND o.xact >= pg_snapshot_xmin('${told}')
               AND NOT pg_visible_in_snapshot(o.xact, '${told}') AND o.type IN ${toldAgain}
           ) c,
           LATERAL (
             ${heldBasketsSql(`b.shop_id = s.shop_id AND b.basket_id = c.subject_id
               AND b.status_reason IS DISTINCT FROM 'timeout'`)} OFFSET 0
           ) h`,
        pageSize,
        tell,
      ));
    if (toldAll) await noteTold(tx, now);
  });
}

/** Notes that Redis was told of all that a snapshot of Postgres shows. */
export async function noteTold(db: Queryable, snapshot: string): Promise<void> {
  await db.query('UPDATE service_state SET redis_told = $1', [snapshot]);
}

/** The events whose baskets no click may lead to, but for those that have no live ones left. */
export async function readEventsToStop(db: Queryable): Promise<{ shopId: string; eventId: string }[]> {
  const { rows } = await db.query<{ shopId: string; eventId: string }>(
    `SELECT ${acrossShops} shop_id AS "shopId", event_id AS "eventId" FROM events
     WHERE status = 'suspended' OR status = 'cancelled' AND NOT baskets_ended`,
  );
  return rows;
}

const acrossShops = '/* across shops: Redis has the holds of all of them */';

const rowColumns = (held: string) =>
  `s.shop_id AS "shopId", s.stock_id AS "stockId", s.capacity, ${held} AS held, s.sold`;

/** Reads stock rows as they are now. */
export async function readStockRows(db: Queryable, which: readonly StockName[] | 'all'): Promise<StatedRow[]> {
  const { rows } =
    which === 'all'
      ? await db.query<StatedRow>(`SELECT ${acrossShops} ${rowColumns('s.held')} FROM stock s`)
      : await db.query<StatedRow>(
          `SELECT ${rowColumns('s.held')} FROM stock s
           WHERE (s.shop_id, s.stock_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))`,
          [which.map(({ shopId }) => shopId), which.map(({ stockId }) => stockId)],
        );
  return rows;
}
