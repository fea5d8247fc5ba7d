import type { BasketRow, BasketStatus } from '../holds/index.ts';
import type { Queryable } from '../platform/postgres.ts';
import { announceBaskets } from '../webhooks/index.ts';
import { asOf, type Basket, toBasket, type Without } from './model.ts';

/** A basket as it is at `now`, Postgres' time of the statement or transaction. */
export type BasketAt = { basket: Basket; now: Date };

const nowMs = `date_trunc('milliseconds', now()) AS now`;

/** Reads a basket as it is at this moment, or null when the shop has none of this id. */
export async function readBasket(db: Queryable, shopId: string, basketId: string): Promise<BasketAt | null> {
  const { rows } = await db.query<{ row: BasketRow; now: Date }>(
    `SELECT row_to_json(b) AS row, ${nowMs} FROM baskets b WHERE b.shop_id = $1 AND b.basket_id = $2`,
    [shopId, basketId],
  );
  const [found] = rows;
  return found ? { basket: asOf(toBasket(found.row), found.now), now: found.now } : null;
}

/**
 * Locks baskets until the transaction ends, in the order of their ids, and gives them as their rows say: one that is
 * past its `expiresAt` but not swept is still live here, so that a late completion can use its hold. Use `asOf` for what
 * everybody else sees. `now` is a moment after the locks were had: who has waited for them must not extend a basket that
 * others have read as expired meanwhile.
 */
export async function lockBaskets(
  tx: Queryable,
  shopId: string,
  basketIds: readonly string[],
): Promise<Map<string, BasketAt>> {
  await tx.query(
    'SELECT FROM baskets b WHERE b.shop_id = $1 AND b.basket_id = ANY($2) ORDER BY b.basket_id FOR UPDATE',
    [shopId, basketIds],
  );
  const { rows } = await tx.query<{ row: BasketRow; now: Date }>(
    `SELECT row_to_json(b) AS row, date_trunc('milliseconds', clock_timestamp()) AS now
     FROM baskets b WHERE b.shop_id = $1 AND b.basket_id = ANY($2)`,
    [shopId, basketIds],
  );
  return new Map(rows.map(({ row, now }) => [row.basket_id, { basket: toBasket(row), now }]));
}

/** What a change of a basket may touch. Lines and hold change in a transaction that changes stock with them. */
type Changeable = Pick<
  Basket,
  | 'status'
  | 'statusReason'
  | 'customerId'
  | 'reference'
  | 'orderId'
  | 'holdStockIds'
  | 'holdQuantities'
  | 'eventIds'
  | 'lines'
  | 'lastLineNumber'
  | 'codes'
  | 'giftCards'
  | 'content'
  | 'linkGeneration'
  | 'waiting'
  | 'lifetimeEndsAt'
  | 'extensionsLeft'
  | 'customerSetterMayLogIn'
  | 'linkMinterMayLogIn'
  | 'sessionId'
  | 'sessionIssuedAt'
  | 'sessionCustomerId'
  | 'leaseId'
  | 'expiresAtBeforeCheckout'
  | 'expiresAt'
  | 'activatedAt'
  | 'completedAt'
  | 'endedAt'
  | 'refundedAt'
  | 'late'
  | 'completionRefused'
>;

const changeableColumns = `status = $3, status_reason = $4, customer_id = $5, reference = $6, order_id = $7, content = $8,
  link_generation = $9, lifetime_ends_at = $10, customer_setter_may_log_in = $11, link_minter_may_log_in = $12,
  session_id = $13, session_issued_at = $14, session_customer_id = $15, lease_id = $16,
  expires_at_before_checkout = $17, expires_at = $18, activated_at = $19, completed_at = $20, ended_at = $21,
  late = $22, completion_refused = $23, hold_stock_ids = $24, hold_quantities = $25, event_ids = $26, lines = $27,
  last_line_number = $28, extensions_left = $29, refunded_at = $30, codes = $31, waiting = $32, gift_cards = $33`;

function changeableValues(basket: Basket): unknown[] {
  return [
    basket.shopId,
    basket.basketId,
    basket.status,
    basket.statusReason,
    basket.customerId,
    basket.reference,
    basket.orderId,
    JSON.stringify(basket.content),
    basket.linkGeneration,
    basket.lifetimeEndsAt,
    basket.customerSetterMayLogIn,
    basket.linkMinterMayLogIn,
    basket.sessionId,
    basket.sessionIssuedAt,
    basket.sessionCustomerId,
    basket.leaseId,
    basket.expiresAtBeforeCheckout,
    basket.expiresAt,
    basket.activatedAt,
    basket.completedAt,
    basket.endedAt,
    basket.late,
    basket.completionRefused,
    basket.holdStockIds,
    basket.holdQuantities,
    basket.eventIds,
    JSON.stringify(basket.lines),
    basket.lastLineNumber,
    basket.extensionsLeft,
    basket.refundedAt,
    JSON.stringify(basket.codes),
    basket.waiting,
    JSON.stringify(basket.giftCards),
  ];
}

/**
 * The version of a changed basket. One past its time has been read as expired, with the next version, before a late
 * completion changes it: the same version again would make a reader keep the expired basket (304).
 */
const nextVersion = `b.version + CASE
  WHEN b.status IN ('open', 'activated', 'checkout') AND b.expires_at <= clock_timestamp() THEN 2 ELSE 1 END`;

/**
 * Saves a change of a locked basket together with its outbox row, and gives the basket as it now is. `type` is the
 * event that goes out; null when nothing changed that the basket shows (a newer session, say): then version and
 * sequence stay.
 */
export async function saveBasket(
  tx: Queryable,
  basket: Basket,
  change: Partial<Changeable>,
  type: `basket.${string}` | null,
): Promise<Basket> {
  const values = changeableValues({ ...basket, ...change });
  const { rows } =
    type === null
      ? await tx.query<{ row: BasketRow }>(
          `UPDATE baskets b SET ${changeableColumns} WHERE b.shop_id = $1 AND b.basket_id = $2
           RETURNING row_to_json(b) AS row`,
          values,
        )
      : await tx.query<{ row: BasketRow }>(
          `WITH changed AS (
             UPDATE baskets b SET ${changeableColumns}, version = ${nextVersion}, sequence = b.sequence + 1,
               updated_at = date_trunc('milliseconds', now())
             WHERE b.shop_id = $1 AND b.basket_id = $2 RETURNING b.*
           ),
           announced AS (${announceBaskets('changed', `$${values.length + 1}`)})
           SELECT row_to_json(changed) AS row FROM changed`,
          [...values, type],
        );
  const [saved] = rows;
  if (!saved) throw new Error('a locked basket is gone');
  return toBasket(saved.row);
}

/** The columns of a new basket; those that are left out have their defaults. */
export type NewBasket = Partial<BasketRow> & Pick<BasketRow, 'shop_id' | 'basket_id'>;

/**
 * Inserts a basket that was made of an ended one, with its outbox row, and notes it there, in the caller's transaction,
 * which holds the ended one's row.
 */
export async function insertRecreated(
  tx: Queryable,
  ended: Basket,
  made: NewBasket,
  without: Without,
): Promise<Basket> {
  const columns = Object.keys(made).join(', ');
  const { rows } = await tx.query<{ row: BasketRow }>(
    `WITH created AS (
       INSERT INTO baskets (${columns}, link_generation)
       SELECT ${columns}, (s.epoch::bigint << 32) + 1 FROM json_populate_record(NULL::baskets, $3), service_state s
       RETURNING *
     ),
     noted AS (
       UPDATE baskets SET recreated_as = $4, recreated_without = $5 WHERE shop_id = $1 AND basket_id = $2
     ),
     announced AS (${announceBaskets('created', `'basket.created'`)})
     SELECT row_to_json(created) AS row FROM created`,
    [ended.shopId, ended.basketId, JSON.stringify(made), made.basket_id, JSON.stringify(without)],
  );
  const [created] = rows;
  if (!created) throw new Error('an insertion gave no row');
  return toBasket(created.row);
}

/**
 * Announces, once for each order, that the completion of a locked basket was refused after money had come. It changes
 * nothing that the basket shows, so its version stays. With `final` every later completion is refused alike.
 */
export async function noteRefusedCompletion(
  tx: Queryable,
  { shopId, basketId }: Basket,
  orderId: string,
  final: boolean,
): Promise<void> {
  await tx.query(
    `WITH changed AS (
       UPDATE baskets b SET sequence = b.sequence + 1, completion_refused = b.completion_refused OR $4
       WHERE b.shop_id = $1 AND b.basket_id = $2 AND NOT EXISTS (
         SELECT FROM outbox o WHERE o.shop_id = $1 AND o.subject_id = $2
           AND o.type = 'basket.completion_refused' AND o.data ->> 'refused_order_id' = $3
       )
       RETURNING b.*
     ),
     refused AS (SELECT changed.*, $3::text AS refused_order_id FROM changed)
     ${announceBaskets('refused', `'basket.completion_refused'`)}`,
    [shopId, basketId, orderId, final],
  );
}

/** The basket as an outbox row kept it: what an answer was rendered from when it was first given. */
export async function readSnapshot(
  db: Queryable,
  shopId: string,
  basketId: string,
  sequence: number,
): Promise<Basket | null> {
  const { rows } = await db.query<{ data: BasketRow }>(
    'SELECT data FROM outbox WHERE shop_id = $1 AND subject_id = $2 AND sequence = $3',
    [shopId, basketId, sequence],
  );
  return rows[0] ? toBasket(rows[0].data) : null;
}

/** The basket as it was when a checkout of it began, by the lease of that checkout; null when it never had that lease. */
export async function readLeased(
  db: Queryable,
  shopId: string,
  basketId: string,
  leaseId: string,
): Promise<Basket | null> {
  const { rows } = await db.query<{ data: BasketRow }>(
    `SELECT data FROM outbox WHERE shop_id = $1 AND subject_id = $2 AND data ->> 'lease_id' = $3
     ORDER BY sequence LIMIT 1`,
    [shopId, basketId, leaseId],
  );
  return rows[0] ? toBasket(rows[0].data) : null;
}

/** A change of a basket: what it left the basket as, and how that differs from before; of the first, null. */
export type RecordedChange = {
  type: string;
  at: Date;
  status: BasketStatus;
  statusReason: Basket['statusReason'];
  leftCheckout: boolean | null;
  linesChanged: boolean | null;
  extended: boolean | null;
};

/** The latest thousand changes of a basket, oldest first. */
export async function readChanges(db: Queryable, shopId: string, basketId: string): Promise<RecordedChange[]> {
  const { rows } = await db.query<RecordedChange>(
    `SELECT type, created_at AS at, data ->> 'status' AS status, data ->> 'status_reason' AS "statusReason",
       lag(data ->> 'status') OVER w = 'checkout' AND data ->> 'status' <> 'checkout' AS "leftCheckout",
       lag(data ->> 'lines') OVER w <> data ->> 'lines' AS "linesChanged",
       (lag(data ->> 'extensions_left') OVER w)::integer > (data ->> 'extensions_left')::integer AS extended
     FROM outbox WHERE shop_id = $1 AND subject_id = $2 AND type <> 'basket.completion_refused'
     WINDOW w AS (ORDER BY sequence)
     ORDER BY sequence DESC LIMIT 1000`,
    [shopId, basketId],
  );
  return rows.reverse();
}

/** A person, a program that shows a preview, or a browser that fetches in advance. */
export type OpenerKind = 'person' | 'preview' | 'prefetch';

/** How often the start links of a basket were opened by one kind of visitor, while they led to it. */
export type Openings = { kind: OpenerKind; count: number; firstAt: Date; lastAt: Date };

/** The same with the basket's name. */
export type OpeningsOf = Openings & { shopId: string; basketId: string };

/** Adds openings to what was counted before, up to a million, in one order so that no two replicas deadlock. */
export async function addOpenings(db: Queryable, openings: readonly OpeningsOf[]): Promise<void> {
  const column = <T>(pick: (opening: OpeningsOf) => T) => openings.map(pick);
  await db.query(
    `INSERT INTO link_openings AS o (shop_id, basket_id, kind, count, first_at, last_at)
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::timestamptz[], $6::timestamptz[])
     ORDER BY 1, 2, 3
     ON CONFLICT (shop_id, basket_id, kind) DO UPDATE
       SET count = least(o.count + excluded.count, 1000000),
         first_at = least(o.first_at, excluded.first_at), last_at = greatest(o.last_at, excluded.last_at)`,
    [
      column(({ shopId }) => shopId),
      column(({ basketId }) => basketId),
      column(({ kind }) => kind),
      column(({ count }) => count),
      column(({ firstAt }) => firstAt),
      column(({ lastAt }) => lastAt),
    ],
  );
}

/** What was counted of a basket's openings, a row for each kind of visitor that has come. */
export async function readOpenings(db: Queryable, shopId: string, basketId: string): Promise<Openings[]> {
  const { rows } = await db.query<Openings>(
    `SELECT kind, count, first_at AS "firstAt", last_at AS "lastAt"
     FROM link_openings WHERE shop_id = $1 AND basket_id = $2`,
    [shopId, basketId],
  );
  return rows;
}

/** The filters of a list; null: any. */
export type BasketFilter = {
  partner: string | null;
  customerId: string | null;
  status: BasketStatus | null;
  reference: string | null;
  orderId: string | null;
  campaign: string | null;
  updatedAfter: string | null;
};

/** One page of a shop's baskets, newest first, after the basket `before`. */
export async function listBaskets(
  db: Queryable,
  shopId: string,
  filter: BasketFilter,
  before: string | null,
  limit: number,
): Promise<BasketAt[]> {
  const { rows } = await db.query<{ row: BasketRow; now: Date }>(
    `SELECT row_to_json(b) AS row, ${nowMs} FROM baskets b
     CROSS JOIN LATERAL (
       SELECT b.status IN ('open', 'activated', 'checkout') AND b.expires_at <= now() AS overdue
     ) AS o
     WHERE b.shop_id = $1
       AND ($2::text IS NULL OR b.partner = $2)
       AND ($3::text IS NULL OR b.customer_id = $3)
       AND ($4::text IS NULL OR CASE WHEN o.overdue THEN 'expired' ELSE b.status END = $4)
       AND ($5::text IS NULL OR b.reference = $5)
       AND ($6::text IS NULL OR b.order_id = $6)
       AND ($7::text IS NULL OR b.campaign = $7)
       AND ($8::timestamptz IS NULL OR CASE WHEN o.overdue THEN b.expires_at ELSE b.updated_at END > $8)
       AND ($9::text IS NULL OR b.basket_id < $9 COLLATE "C")
     ORDER BY b.basket_id DESC LIMIT $10`,
    [
      shopId,
      filter.partner,
      filter.customerId,
      filter.status,
      filter.reference,
      filter.orderId,
      filter.campaign,
      filter.updatedAfter,
      before,
      limit,
    ],
  );
  return rows.map(({ row, now }) => ({ basket: asOf(toBasket(row), now), now }));
}

/** What the baskets of a campaign have come to; `openedByPeople` counts baskets, not openings. */
export type CampaignCounts = Record<'created' | 'openedByPeople' | 'activated' | 'completed' | 'expired', number>;

/** Counts a shop's baskets of a campaign, with `partner` only that partner's. */
export async function countCampaign(
  db: Queryable,
  shopId: string,
  partner: string | null,
  campaign: string,
): Promise<CampaignCounts> {
  const { rows } = await db.query<CampaignCounts>(
    `SELECT count(*) AS created, count(o.basket_id) AS "openedByPeople", count(b.activated_at) AS activated,
       count(*) FILTER (WHERE b.status = 'completed') AS completed,
       count(*) FILTER (
         WHERE b.status = 'expired' OR b.status IN ('open', 'activated', 'checkout') AND b.expires_at <= now()
       ) AS expired
     FROM baskets b
     LEFT JOIN link_openings o ON o.shop_id = b.shop_id AND o.basket_id = b.basket_id AND o.kind = 'person'
     WHERE b.shop_id = $1 AND b.campaign = $3 AND ($2::text IS NULL OR b.partner = $2)`,
    [shopId, partner, campaign],
  );
  const [counts] = rows;
  if (counts === undefined) throw new Error('a count gave no row');
  return counts;
}

/**
 * How many live baskets a caller already has that wait for nothing: of one customer, or with `customerId` null
 * altogether.
 */
export async function countLiveBaskets(
  db: Queryable,
  shopId: string,
  partner: string | null,
  customerId: string | null,
): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    `SELECT count(*) AS count FROM baskets b
     WHERE b.shop_id = $1 AND b.partner IS NOT DISTINCT FROM $2 AND ($3::text IS NULL OR b.customer_id = $3)
       AND b.status IN ('open', 'activated', 'checkout') AND b.expires_at > now() AND NOT b.waiting`,
    [shopId, partner, customerId],
  );
  return rows[0]?.count ?? 0;
}

/** The ids of a customer's live baskets, but for those that wait for their activation. */
export async function liveBasketIdsOf(db: Queryable, shopId: string, customerId: string): Promise<string[]> {
  const { rows } = await db.query<{ basket_id: string }>(
    `SELECT b.basket_id FROM baskets b
     WHERE b.shop_id = $1 AND b.customer_id = $2
       AND b.status IN ('open', 'activated', 'checkout') AND b.expires_at > now() AND NOT b.waiting`,
    [shopId, customerId],
  );
  return rows.map(({ basket_id }) => basket_id);
}

/** Locks a customer until the transaction ends: the first lock of whoever works on several baskets of one customer. */
export async function lockCustomer(tx: Queryable, shopId: string, customerId: string): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`${shopId}/${customerId}`]);
}
