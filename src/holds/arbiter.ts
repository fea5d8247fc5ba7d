import type pg from 'pg';
import { commitTogether, type Queryable, type Statement, withTransaction } from '../platform/postgres.ts';
import { announceBaskets } from '../webhooks/index.ts';
import type { BasketName, SettledHold, StockName } from './admission.ts';
import {
  type BasketRow,
  type BasketStatus,
  type Creation,
  type CreationOutcome,
  heldBy,
  type LinkState,
  liveSql,
  type StockLimit,
  takesOfRow,
} from './model.ts';
import { lockStockSql, makeLimits, setLimits, stockLockedFor } from './stock.ts';

type Committed = {
  redis_epoch: number;
  current: boolean;
  fits: boolean;
  created: BasketRow[] | null;
  stock: { shop_id: string; stock_id: string; available: number | null }[] | null;
};

/**
 * Decides and writes a batch of one or many creations, on stock rows that lockStockSql has locked.
 *
 * `verdict` asks whether everything fits and whether shop and catalogue are still what the creations were decided on.
 * Only if so is anything written, and stock is taken only for creations whose idempotency key was really inserted.
 * `stock_not_oversold` stands behind it.
 */
const commitSql = `
WITH clock AS (SELECT date_trunc('milliseconds', now()) AS now),
request AS (
  SELECT * FROM unnest($1::int[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::int[], $15::int[], $16::int[], $17::int[],
    $18::boolean[], $19::bytea[], $20::bytea[], $21::text[], $26::text[],
    $27::timestamptz[], $28::text[])
  AS r(ordinal, shop_id, shop_version, basket_id, partner, customer_id, reference, campaign, hold_stock_ids,
    hold_quantities, event_ids, lines, content, ttl_seconds, max_lifetime_seconds, checkout_seconds, extensions,
    may_log_in, key_hash, fingerprint, answer, codes, link_expires_at, gift_cards)
),
take AS (
  SELECT r.shop_id, t.* FROM unnest($22::int[], $23::text[], $24::int[], $25::bigint[])
    AS t(ordinal, stock_id, quantity, catalogue_version)
  JOIN request r ON r.ordinal = t.ordinal
),
locked AS MATERIALIZED (
  SELECT s.shop_id, s.stock_id, s.capacity, s.held, s.sold, s.catalogue_version FROM ${stockLockedFor('take')}
),
verdict AS MATERIALIZED (
  SELECT
    NOT EXISTS (
      SELECT FROM take t LEFT JOIN locked l ON l.shop_id = t.shop_id AND l.stock_id = t.stock_id
      WHERE l.stock_id IS NULL OR l.catalogue_version <> t.catalogue_version
    ) AND NOT EXISTS (
      SELECT FROM request r LEFT JOIN shops s ON s.shop_id = r.shop_id
      WHERE s.version IS DISTINCT FROM r.shop_version
    ) AS current,
    NOT EXISTS (
      SELECT FROM (SELECT shop_id, stock_id, sum(quantity) AS quantity FROM take GROUP BY shop_id, stock_id) t
      JOIN locked l ON l.shop_id = t.shop_id AND l.stock_id = t.stock_id
      WHERE l.held + l.sold + t.quantity > l.capacity
    ) AS fits
),
inserted_key AS (
  INSERT INTO idempotency_keys AS k (shop_id, key_hash, fingerprint, status, basket_id, sequence, answer)
  SELECT r.shop_id, r.key_hash, r.fingerprint, 201, r.basket_id, 1, r.answer::json FROM request r, verdict
  WHERE current AND fits AND r.key_hash IS NOT NULL
  ORDER BY r.shop_id, r.key_hash
  ON CONFLICT (shop_id, key_hash) DO UPDATE
    SET fingerprint = excluded.fingerprint, status = excluded.status, basket_id = excluded.basket_id,
      sequence = excluded.sequence, answer = excluded.answer, created_at = now()
    WHERE k.created_at < now() - interval '7 days'
  RETURNING k.shop_id, k.key_hash
),
accepted AS MATERIALIZED (
  SELECT r.* FROM request r, verdict
  WHERE current AND fits AND (r.key_hash IS NULL OR EXISTS (
    SELECT FROM inserted_key k WHERE k.shop_id = r.shop_id AND k.key_hash = r.key_hash))
),
taken AS (
  UPDATE stock s SET held = s.held + t.quantity
  FROM (
    SELECT t.shop_id, t.stock_id, sum(t.quantity)::int AS quantity
    FROM take t JOIN accepted a ON a.ordinal = t.ordinal WHERE t.quantity > 0 GROUP BY t.shop_id, t.stock_id
  ) t
  WHERE s.shop_id = t.shop_id AND s.stock_id = t.stock_id
),
created AS (
  INSERT INTO baskets (shop_id, basket_id, partner, status, version, sequence, customer_id, reference, campaign,
    hold_stock_ids, hold_quantities, event_ids, lines, content, link_generation, lifetime_ends_at, ttl_seconds,
    checkout_seconds, extensions_left, creator_may_log_in, customer_setter_may_log_in, link_minter_may_log_in,
    created_at, updated_at, expires_at, codes, link_expires_at, waiting, gift_cards)
  SELECT a.shop_id, a.basket_id, a.partner, 'open', 1, 1, a.customer_id, a.reference, a.campaign,
    a.hold_stock_ids::text[], a.hold_quantities::int[], a.event_ids::text[], a.lines::json, a.content::json,
    (service_state.epoch::bigint << 32) + 1, clock.now + a.max_lifetime_seconds * interval '1 second', a.ttl_seconds,
    a.checkout_seconds, a.extensions, a.may_log_in, a.may_log_in, a.may_log_in, clock.now, clock.now,
    coalesce(a.link_expires_at, clock.now + a.ttl_seconds * interval '1 second'), a.codes::json, a.link_expires_at,
    a.link_expires_at IS NOT NULL, a.gift_cards::json
  FROM accepted a, clock, service_state
  RETURNING *
),
announced AS (
  ${announceBaskets('created', `'basket.created'`)}
)
SELECT current, fits, (SELECT redis_epoch FROM service_state) AS redis_epoch,
  (SELECT json_agg(created) FROM created) AS created,
  CASE WHEN NOT fits THEN
    (SELECT json_agg(json_build_object('shop_id', shop_id, 'stock_id', stock_id, 'available', capacity - held - sold))
     FROM locked)
  END AS stock
FROM verdict`;

/**
 * Commits creations: each is either entirely in Postgres, with its stock taken, its outbox row and its idempotency key,
 * or not at all. Of a batch that does not fit as a whole only those are refused that do not, in the order given. No two
 * of a batch may have the same idempotency key. `sawRedisEpoch` hears the epoch that Postgres is at.
 */
export async function commitCreations(
  pool: pg.Pool,
  creations: readonly Creation[],
  sawRedisEpoch: (epoch: number) => void,
): Promise<CreationOutcome[]> {
  const takes = creations.flatMap(({ shopId, takes }) => takes.map(({ stockId }) => ({ shopId, stockId })));
  const limits = creations.flatMap(({ shopId, limits }) => limits.map((limit) => ({ shopId, ...limit })));
  const lock = { text: lockStockSql, values: [takes.map(({ shopId }) => shopId), takes.map(({ stockId }) => stockId)] };
  const commit = { text: commitSql, values: parametersOf(creations) };
  const row =
    limits.length === 0
      ? (await commitTogether<Committed>(pool, [lock, commit]))[1]?.[0]
      : await commitWithLimits(pool, limits, lock, commit);
  if (!row) throw new Error('the commit gave no verdict');
  sawRedisEpoch(row.redis_epoch);
  if (row.current && row.fits) {
    const created = new Map((row.created ?? []).map((basket) => [basket.basket_id, basket]));
    return creations.map(({ basketId }) => {
      const basket = created.get(basketId);
      return basket ? { outcome: 'created', row: basket } : { outcome: 'key_exists' };
    });
  }
  if (creations.length === 1 && !row.current) return [{ outcome: 'stale' }];
  const commitMore = (some: readonly Creation[]) => commitCreations(pool, some, sawRedisEpoch);
  // Which of them is stale is not known, nor whose limits were the ones set.
  if (creations.length > 1 && (!row.current || limits.length > 0)) {
    const outcomes: CreationOutcome[] = [];
    for (const creation of creations) outcomes.push(...(await commitMore([creation])));
    return outcomes;
  }
  return commitWhatFits(creations, row.stock ?? [], commitMore);
}

/**
 * Takes apart a batch that does not fit into `stock` as a whole. Who wants more than there is at all is refused at once:
 * of a crowd that comes too late nobody is asked for alone. Of the others, those that fit together in the order given
 * are committed, and then the rest is tried on what is left: fewer each time.
 */
async function commitWhatFits(
  creations: readonly Creation[],
  stock: NonNullable<Committed['stock']>,
  commit: (some: readonly Creation[]) => Promise<CreationOutcome[]>,
): Promise<CreationOutcome[]> {
  const left = new Map(stock.map((row) => [`${row.shop_id}/${row.stock_id}`, row.available ?? Infinity]));
  const leftToTake = new Map(left);
  const wants = (creation: Creation) =>
    heldBy(creation).map(({ stockId, quantity }) => ({ row: `${creation.shopId}/${stockId}`, quantity }));
  const fitsInto = (rows: ReadonlyMap<string, number>, creation: Creation) =>
    wants(creation).every(({ row, quantity }) => quantity <= (rows.get(row) ?? 0));
  const fitting: Creation[] = [];
  const rest: Creation[] = [];
  for (const creation of creations) {
    if (fitsInto(leftToTake, creation)) {
      for (const { row, quantity } of wants(creation)) leftToTake.set(row, (leftToTake.get(row) ?? 0) - quantity);
      fitting.push(creation);
    } else if (fitsInto(left, creation)) {
      rest.push(creation);
    }
  }
  const outcomes = new Map<Creation, CreationOutcome>();
  for (const some of [fitting, rest].filter(({ length }) => length > 0)) {
    for (const [at, outcome] of (await commit(some)).entries()) {
      const creation = some[at];
      if (creation) outcomes.set(creation, outcome);
    }
  }
  return creations.map((creation) => {
    const ofShop = stock.filter(({ shop_id }) => shop_id === creation.shopId);
    const available = new Map(ofShop.map(({ stock_id, available }) => [stock_id, available ?? Infinity]));
    return outcomes.get(creation) ?? { outcome: 'short', available };
  });
}

/** The same where stock rows are made that limit something; what is refused leaves no row behind that was made for it. */
function commitWithLimits(
  pool: pg.Pool,
  limits: readonly (StockName & StockLimit)[],
  lock: Statement,
  commit: Statement,
): Promise<Committed | undefined> {
  const work = async (tx: Queryable) => {
    await makeLimits(tx, limits);
    await tx.query(lock.text, lock.values);
    await setLimits(tx, limits);
    return (await tx.query<Committed>(commit.text, commit.values)).rows[0];
  };
  return withTransaction(pool, work, (verdict) => verdict?.current === true && verdict.fits);
}

function parametersOf(creations: readonly Creation[]): unknown[] {
  const column = <T>(value: (creation: Creation) => T) => creations.map(value);
  // One that waits takes nothing, but what it was decided on must be true all the same.
  const takes = creations.flatMap(({ takes, catalogueVersions, linkExpiresAt }, ordinal) =>
    takes.map(({ stockId, quantity }, at) => ({
      ordinal,
      stockId,
      quantity: linkExpiresAt === null ? quantity : 0,
      catalogueVersion: catalogueVersions[at],
    })),
  );
  // Array literals: unnest would flatten arrays of arrays. Ids have no character that would need quoting.
  const literal = (values: readonly (string | number)[]) => `{${values.join(',')}}`;
  return [
    creations.map((_, ordinal) => ordinal),
    column(({ shopId }) => shopId),
    column(({ shopVersion }) => shopVersion),
    column(({ basketId }) => basketId),
    column(({ partner }) => partner),
    column(({ customerId }) => customerId),
    column(({ reference }) => reference),
    column(({ campaign }) => campaign),
    column((creation) => literal(heldBy(creation).map(({ stockId }) => stockId))),
    column((creation) => literal(heldBy(creation).map(({ quantity }) => quantity))),
    column(({ eventIds }) => literal(eventIds.map((eventId) => `"${eventId}"`))),
    column(({ lines }) => JSON.stringify(lines)),
    column(({ content }) => JSON.stringify(content)),
    column(({ ttlSeconds }) => ttlSeconds),
    column(({ maxLifetimeSeconds }) => maxLifetimeSeconds),
    column(({ checkoutSeconds }) => checkoutSeconds),
    column(({ extensions }) => extensions),
    column(({ mayLogIn }) => mayLogIn),
    column(({ idempotency }) => idempotency?.keyHash ?? null),
    column(({ idempotency }) => idempotency?.fingerprint ?? null),
    column(({ idempotency }) => (idempotency ? JSON.stringify(idempotency.answer) : null)),
    takes.map(({ ordinal }) => ordinal),
    takes.map(({ stockId }) => stockId),
    takes.map(({ quantity }) => quantity),
    takes.map(({ catalogueVersion }) => catalogueVersion),
    column(({ codes }) => JSON.stringify(codes)),
    column(({ linkExpiresAt }) => linkExpiresAt),
    column(({ giftCards }) => JSON.stringify(giftCards)),
  ];
}

/**
 * Ends live baskets and gives their stock back, in one statement. `which` and `still` are SQL conditions on `b`, a row of
 * baskets, beside being live; `still` is asked again of the rows as they are when they have been locked. Baskets are
 * locked before stock, as everywhere, and rows that somebody else is working on are left for the next time
 * (`SKIP LOCKED`).
 */
function endSql(which: string, still: string, status: 'expired' | 'cancelled', reason: string, at: string): string {
  return `
WITH due AS MATERIALIZED (
  SELECT b.shop_id, b.basket_id FROM baskets b
  WHERE b.status IN ${liveSql} AND ${which} AND ${still}
  ORDER BY b.shop_id, b.basket_id LIMIT 500 FOR UPDATE SKIP LOCKED
),
ended AS (
  UPDATE baskets b SET status = '${status}', status_reason = '${reason}', version = b.version + 1,
    sequence = b.sequence + 1, ended_at = ${at}, updated_at = ${at}, lease_id = NULL
  FROM due d WHERE b.shop_id = d.shop_id AND b.basket_id = d.basket_id
    AND b.status IN ${liveSql} AND ${still}
  RETURNING b.*
),
announced AS (
  ${announceBaskets('ended', `'basket.${status}'`)}
),
take AS (
  SELECT e.shop_id, t.stock_id, sum(t.quantity)::int AS quantity
  FROM ended e, unnest(e.hold_stock_ids, e.hold_quantities) AS t(stock_id, quantity)
  GROUP BY e.shop_id, t.stock_id
),
locked AS MATERIALIZED (
  SELECT s.shop_id, s.stock_id, t.quantity FROM stock s JOIN take t ON t.shop_id = s.shop_id AND t.stock_id = s.stock_id
  ORDER BY s.shop_id, s.stock_id FOR UPDATE OF s
),
given_back AS (
  UPDATE stock s SET held = s.held - l.quantity FROM locked l WHERE s.shop_id = l.shop_id AND s.stock_id = l.stock_id
)
SELECT shop_id AS "shopId", basket_id AS "basketId",
  extract(epoch FROM clock_timestamp() - expires_at)::float8 AS "lateSeconds" FROM ended`;
}

const expireListedSql = endSql(
  '(b.shop_id, b.basket_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))',
  'b.expires_at <= now()',
  'expired',
  'timeout',
  'b.expires_at',
);
// One that is past its time has expired for everybody already, swept or not.
const cancelByEventSql = endSql(
  'b.shop_id = $1 AND b.event_ids @> ARRAY[$2::text]',
  'b.expires_at > now()',
  'cancelled',
  'event_cancelled',
  `date_trunc('milliseconds', now())`,
);

/**
 * Expires those of the listed baskets that are due by Postgres' clock, up to 500, and says which, and how long after they
 * were due.
 */
export async function expireListed(
  db: Queryable,
  baskets: readonly BasketName[],
): Promise<(BasketName & { lateSeconds: number })[]> {
  return (await db.query<BasketName & { lateSeconds: number }>(expireListedSql, namesOf(baskets))).rows;
}

/** Baskets that are due, whichever they are, those that are longest so first. */
export async function listDue(db: Queryable, limit: number): Promise<BasketName[]> {
  const { rows } = await db.query<{ shop_id: string; basket_id: string }>(
    `SELECT /* across shops: the sweeper expires the baskets of all of them */ b.shop_id, b.basket_id FROM baskets b
     WHERE b.status IN ${liveSql} AND b.expires_at <= now() ORDER BY b.expires_at LIMIT $1`,
    [limit],
  );
  return rows.map(({ shop_id, basket_id }) => ({ shopId: shop_id, basketId: basket_id }));
}

/** Cancels up to 500 live baskets that hold items of an event, and says which. */
export async function cancelByEvent(db: Queryable, shopId: string, eventId: string): Promise<BasketName[]> {
  return (await db.query<BasketName>(cancelByEventSql, [shopId, eventId])).rows;
}

/** What a basket holds, if it is live, as Postgres has it. */
export type HeldBasket = Pick<
  BasketRow,
  'shop_id' | 'basket_id' | 'version' | 'hold_stock_ids' | 'hold_quantities' | 'link_generation' | 'event_ids'
> & {
  status: BasketStatus;
  expires_at: Date;
  link_mode: LinkState['mode'];
  may_log_in: boolean;
  reserves_at_activation: boolean;
};

/** The query for the HeldBasket of those that an SQL condition on `b` picks. */
export function heldBasketsSql(which: string): string {
  return `SELECT b.shop_id, b.basket_id, b.version, b.status, b.expires_at, b.hold_stock_ids, b.hold_quantities,
      b.link_generation, b.event_ids, b.content ->> 'linkMode' AS link_mode,
      b.customer_id IS NOT NULL AND b.creator_may_log_in AND b.customer_setter_may_log_in AND b.link_minter_may_log_in
        AS may_log_in,
      b.link_expires_at IS NOT NULL AS reserves_at_activation
    FROM baskets b WHERE ${which}`;
}

/** A live basket's hold, as Redis is told of it. */
export function toSettledHold(basket: HeldBasket): SettledHold {
  const link = {
    generation: basket.link_generation,
    expiresAt: basket.expires_at,
    mode: basket.link_mode,
    mayLogIn: basket.may_log_in,
    reservesAtActivation: basket.reserves_at_activation,
    eventIds: basket.event_ids,
  };
  const { shop_id: shopId, basket_id: basketId, version } = basket;
  return { shopId, basketId, version, takes: takesOfRow(basket), link };
}

/** The listed baskets as they are in Postgres, by their ids; those that it does not know are left out. */
export async function readHeldBaskets(db: Queryable, baskets: readonly BasketName[]): Promise<Map<string, HeldBasket>> {
  const { rows } = await db.query<HeldBasket>(
    heldBasketsSql('(b.shop_id, b.basket_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))'),
    namesOf(baskets),
  );
  return new Map(rows.map((row) => [row.basket_id, row]));
}

/** The live baskets of a shop that hold any of these stock rows. */
export async function readHoldsOn(db: Queryable, shopId: string, stockIds: readonly string[]): Promise<HeldBasket[]> {
  const { rows } = await db.query<HeldBasket>(
    heldBasketsSql(`b.shop_id = $1 AND b.status IN ${liveSql} AND b.hold_stock_ids && $2::text[]`),
    [shopId, stockIds],
  );
  return rows;
}

const namesOf = (baskets: readonly BasketName[]) => [
  baskets.map(({ shopId }) => shopId),
  baskets.map(({ basketId }) => basketId),
];

/** Whether an event still has live baskets. */
export async function hasLiveBaskets(db: Queryable, shopId: string, eventId: string): Promise<boolean> {
  const { rows } = await db.query<{ found: boolean }>(
    `SELECT EXISTS (
       SELECT FROM baskets b WHERE b.shop_id = $1 AND b.event_ids @> ARRAY[$2::text]
         AND b.status IN ${liveSql}
     ) AS found`,
    [shopId, eventId],
  );
  return rows[0]?.found ?? false;
}
