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
  // Sent together, but a statement each: the second must begin when the locks are had.
  const [, { rows }] = await Promise.all([
    tx.query('SELECT FROM baskets b WHERE b.shop_id = $1 AND b.basket_id = ANY($2) ORDER BY b.basket_id FOR UPDATE', [
      shopId,
      basketIds,
    ]),
    tx.query<{ row: BasketRow; now: Date }>(
      `SELECT row_to_json(b) AS row, date_trunc('milliseconds', clock_timestamp()) AS now
       FROM baskets b WHERE b.shop_id = $1 AND b.basket_id = ANY($2)`,
      [shopId, basketIds],
    ),
  ]);
  return new Map(rows.map(({ row, now }) => [row.basket_id, { basket: toBasket(row), now }]));
}

/** A basket that nobody else worked on, locked now, with the status of each event that it is for. */
export type FreeBasket = BasketAt & { eventStatuses: string[] };

/**
 * Locks those of the named baskets that nobody else has locked, in the caller's transaction, and gives them as their rows
 * say, by `shopId/basketId`. It waits for nobody, so the order does not matter, and the time of the statement will do.
 */
export async function lockFreeBaskets(
  tx: Queryable,
  names: readonly { shopId: string; basketId: string }[],
): Promise<Map<string, FreeBasket>> {
  const { rows } = await tx.query<{ row: BasketRow; now: Date; eventStatuses: string[] }>(
    `SELECT row_to_json(b) AS row, date_trunc('milliseconds', clock_timestamp()) AS now, ARRAY(
       SELECT e.status FROM events e WHERE e.shop_id = b.shop_id AND e.event_id = ANY(b.event_ids)
     ) AS "eventStatuses"
     FROM baskets b WHERE (b.shop_id, b.basket_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
     FOR UPDATE OF b SKIP LOCKED`,
    [names.map(({ shopId }) => shopId), names.map(({ basketId }) => basketId)],
  );
  return new Map(
    rows.map(({ row, ...found }) => [`${row.shop_id}/${row.basket_id}`, { ...found, basket: toBasket(row) }]),
  );
}

/**
 * What a change of a basket may touch, with its column and type. Lines and hold change in a transaction that changes stock
 * with them.
 */
const changeable = {
  status: ['status', 'text'],
  statusReason: ['status_reason', 'text'],
  customerId: ['customer_id', 'text'],
  reference: ['reference', 'text'],
  orderId: ['order_id', 'text'],
  holdStockIds: ['hold_stock_ids', 'text[]'],
  holdQuantities: ['hold_quantities', 'integer[]'],
  eventIds: ['event_ids', 'text[]'],
  lines: ['lines', 'json'],
  lastLineNumber: ['last_line_number', 'integer'],
  codes: ['codes', 'json'],
  giftCards: ['gift_cards', 'json'],
  content: ['content', 'json'],
  linkGeneration: ['link_generation', 'bigint'],
  waiting: ['waiting', 'boolean'],
  lifetimeEndsAt: ['lifetime_ends_at', 'timestamptz'],
  extensionsLeft: ['extensions_left', 'integer'],
  customerSetterMayLogIn: ['customer_setter_may_log_in', 'boolean'],
  linkMinterMayLogIn: ['link_minter_may_log_in', 'boolean'],
  sessionId: ['session_id', 'bytea'],
  sessionIssuedAt: ['session_issued_at', 'timestamptz'],
  sessionCustomerId: ['session_customer_id', 'text'],
  leaseId: ['lease_id', 'text'],
  expiresAtBeforeCheckout: ['expires_at_before_checkout', 'timestamptz'],
  expiresAt: ['expires_at', 'timestamptz'],
  activatedAt: ['activated_at', 'timestamptz'],
  completedAt: ['completed_at', 'timestamptz'],
  endedAt: ['ended_at', 'timestamptz'],
  refundedAt: ['refunded_at', 'timestamptz'],
  late: ['late', 'boolean'],
  completionRefused: ['completion_refused', 'boolean'],
} as const satisfies Partial<Record<keyof Basket, readonly [column: string, type: string]>>;

type Changeable = Pick<Basket, keyof typeof changeable>;
const changeableFields = Object.keys(changeable) as (keyof Changeable)[];

/** A value as an element of an array of texts. Ids have no character that an array would write otherwise than JSON. */
function written(value: unknown, type: string): unknown {
  if (type === 'json') return JSON.stringify(value);
  return Array.isArray(value) ? `{${value.map((element) => JSON.stringify(element)).join(',')}}` : value;
}

/**
 * The version of a changed basket. One past its time has been read as expired, with the next version, before a late
 * completion changes it: the same version again would make a reader keep the expired basket (304).
 */
const nextVersion = `b.version + CASE
  WHEN b.status IN ('open', 'activated', 'checkout') AND b.expires_at <= clock_timestamp() THEN 2 ELSE 1 END`;

/** A change of a locked basket. */
type BasketChange = { basket: Basket; change: Partial<Changeable> };

/**
 * Saves changes of locked baskets together with their outbox rows, and gives the baskets as they now are, in the same
 * order. `type` is the event that goes out of each; null when nothing changed that the baskets show (a newer session,
 * say): then version and sequence stay.
 */
export async function saveBaskets(
  tx: Queryable,
  changes: readonly BasketChange[],
  type: `basket.${string}` | null,
): Promise<Basket[]> {
  if (changes.length === 0) return [];
  const baskets = changes.map(({ basket, change }) => ({ ...basket, ...change }));
  const fields = changeableFields.filter((field) => changes.some(({ change }) => field in change));
  const columns = fields.map((field) => changeable[field]);
  const assignments = columns.map(([column, as]) => `${column} = c.${column}::${as}`);
  const from = `FROM unnest($1::text[], $2::text[]${fields.map((_, at) => `, $${at + 3}::text[]`).join('')})
      AS c(shop_id, basket_id${columns.map(([column]) => `, ${column}`).join('')})
    WHERE b.shop_id = c.shop_id AND b.basket_id = c.basket_id`;
  const values = [
    baskets.map(({ shopId }) => shopId),
    baskets.map(({ basketId }) => basketId),
    ...fields.map((field) => baskets.map((basket) => written(basket[field], changeable[field][1]))),
  ];
  const { rows } =
    type === null
      ? await tx.query<{ row: BasketRow }>(
          `UPDATE baskets b SET ${assignments.join(', ')} ${from} RETURNING row_to_json(b) AS row`,
          values,
        )
      : await tx.query<{ row: BasketRow }>(
          `WITH changed AS (
             UPDATE baskets b SET ${[...assignments, `version = ${nextVersion}`].join(', ')}, sequence = b.sequence + 1,
               updated_at = date_trunc('milliseconds', now())
             ${from} RETURNING b.*
           ),
           announced AS (${announceBaskets('changed', `$${values.length + 1}`)} RETURNING data)
           SELECT data AS row FROM announced`,
          [...values, type],
        );
  const saved = new Map(rows.map(({ row }) => [`${row.shop_id}/${row.basket_id}`, toBasket(row)]));
  return baskets.map(({ shopId, basketId }) => {
    const basket = saved.get(`${shopId}/${basketId}`);
    if (basket === undefined) throw new Error('a locked basket is gone');
    return basket;
  });
}

/** The same of one basket. */
export async function saveBasket(
  tx: Queryable,
  basket: Basket,
  change: Partial<Changeable>,
  type: `basket.${string}` | null,
): Promise<Basket> {
  const [saved] = await saveBaskets(tx, [{ basket, change }], type);
  if (saved === undefined) throw new Error('a change gave no basket');
  return saved;
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

const overdue = `(b.status IN ('open', 'activated', 'checkout') AND b.expires_at <= now())`;

/** The SQL of each filter, of which `value` is the parameter. */
const filters: Record<keyof BasketFilter | 'before', (value: string) => string> = {
  before: (value) => `b.basket_id < ${value} COLLATE "C"`,
  partner: (value) => `b.partner = ${value}`,
  // An index has the live ones of customers, another those that have ended.
  customerId: (value) => `b.customer_id = ${value}
    AND (b.status IN ('open', 'activated', 'checkout') OR b.status IN ('completed', 'expired', 'cancelled'))`,
  status: (value) => `CASE WHEN ${overdue} THEN 'expired' ELSE b.status END = ${value}`,
  reference: (value) => `b.reference = ${value}`,
  // The order has an index, and is of one basket.
  orderId: (value) => `b.order_id = ${value}
    AND b.basket_id = (SELECT o.basket_id FROM orders o WHERE o.shop_id = $1 AND o.order_id = ${value})`,
  campaign: (value) => `b.campaign = ${value}`,
  updatedAfter: (value) => `CASE WHEN ${overdue} THEN b.expires_at ELSE b.updated_at END > ${value}`,
};

/**
 * One page of a shop's baskets, newest first, after the basket `before`. The statement has the filters alone that are asked
 * for: with all of them, each switched off by a null, a plan that serves every call would use no index.
 */
export async function listBaskets(
  db: Queryable,
  shopId: string,
  filter: BasketFilter,
  before: string | null,
  limit: number,
): Promise<BasketAt[]> {
  const asked = { ...filter, before };
  const values: unknown[] = [shopId, limit];
  const conditions = Object.entries(filters).flatMap(([name, sql]) => {
    const value = asked[name as keyof typeof filters];
    return value === null ? [] : [`AND ${sql(`$${values.push(value)}`)}`];
  });
  const { rows } = await db.query<{ row: BasketRow; now: Date }>(
    `SELECT row_to_json(b) AS row, ${nowMs} FROM baskets b
     WHERE b.shop_id = $1 ${conditions.join(' ')}
     ORDER BY b.basket_id DESC LIMIT $2`,
    values,
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

/** A basket that is to be its customer's only one. */
type OnlyBasket = { shopId: string; basketId: string; customerId: string };

/**
 * Locks customers as lockCustomer does, but waits for nobody. Gives those baskets, by `shopId/basketId`, whose customer is
 * locked now and has no other live basket, but for those that wait.
 */
export async function lockLoneCustomers(tx: Queryable, baskets: readonly OnlyBasket[]): Promise<Set<string>> {
  if (baskets.length === 0) return new Set();
  const columns = [
    baskets.map(({ shopId }) => shopId),
    baskets.map(({ basketId }) => basketId),
    baskets.map(({ customerId }) => customerId),
  ];
  const given = 'unnest($1::text[], $2::text[], $3::text[]) AS g(shop_id, basket_id, customer_id)';
  const name = `g.shop_id || '/' || g.basket_id AS name`;
  // Sent together, but a statement each: others are looked for when the locks are had.
  const [locked, lone] = await Promise.all([
    tx.query<{ name: string }>(
      `SELECT ${name} FROM ${given}
       WHERE pg_try_advisory_xact_lock(hashtextextended(g.shop_id || '/' || g.customer_id, 0))`,
      columns,
    ),
    tx.query<{ name: string }>(
      `SELECT ${name} FROM ${given} WHERE NOT EXISTS (
         SELECT FROM baskets b
         WHERE b.shop_id = g.shop_id AND b.customer_id = g.customer_id AND b.basket_id <> g.basket_id
           AND b.status IN ('open', 'activated', 'checkout') AND b.expires_at > now() AND NOT b.waiting
       )`,
      columns,
    ),
  ]);
  const names = new Set(locked.rows.map((row) => row.name));
  return new Set(lone.rows.flatMap((row) => (names.has(row.name) ? [row.name] : [])));
}
