import type pg from 'pg';
import { newId } from '../../platform/ids.ts';
import { type Queryable, withTransaction } from '../../platform/postgres.ts';
import { type ChangeRow, hasName } from '../delivery/message.ts';
import { type DisabledReason, type KeptAttempt, sentTypes, type Webhook } from '../model.ts';
import { announceWebhook } from '../outbox.ts';
import { changesKeptDays, deliveredKeptDays } from '../rules.ts';
import { clip } from '../snapshots.ts';

/** What names a webhook's row. */
type WebhookName = Pick<Webhook, 'shopId' | 'webhookNumber'>;

/** A delivery that this replica is to try now, and nobody else for as long as the lease lasts. */
export type Claimed = Pick<
  Webhook,
  'shopId' | 'webhookNumber' | 'url' | 'format' | 'sealedSecret' | 'formerSealedSecret' | 'formerSecretUntil'
> & {
  deliveryId: string;
  attempts: KeptAttempt[];
  attemptCount: number;
  dueAt: Date;
  change: ChangeRow;
  /** Of the request that made the change, as in the header of this name; null where it was not traced. */
  traceparent: string | null;
};

/** What became of a try. */
export type Outcome = WebhookName & {
  deliveryId: string;
  /** For when the try was. Another by now: somebody has asked for a new one meanwhile. */
  dueAt: Date;
  /** Null: there was nothing to send. */
  delivered: boolean | null;
  gone: boolean;
  /** How long to wait before the next one; null: there is none. */
  waitMs: number | null;
  attempts: readonly KeptAttempt[];
};

/** Longer than a try takes and its outcome needs to be noted. */
const leaseSeconds = 30;
/** Tries of one webhook at once, by all replicas together; one alone while nothing succeeds there. */
const atOnce = 20;
/** Of the deliveries that are due, how many of a webhook are looked at: some wait for others of their basket. */
const lookedAt = 64;
/** How many webhooks are worked for in a transaction. */
const webhooksAtOnce = 100;
/** Of the changes that a webhook has not seen, about how many become deliveries in a transaction. */
const changesAtOnce = 500;
const failingDays = 5;
/** Of deliveries that are given up or taken away. */
export const tidiedAtOnce = 1000;

/** Columns of deliveries `d` that are due and of which nobody has the lease. */
const isDue = `d.status = 'pending' AND d.next_try_at <= now()`;
const isLeased = 'coalesce(d.leased_until > now(), false)';

/**
 * Makes deliveries of what has changed, and takes at most `limit` of those that are due, each with the lease to try it.
 * Two replicas never work for one webhook at once, which is what keeps the number of its tries and the order of a basket's
 * changes. What is due beyond the limit is taken the next time.
 */
export function claimDeliveries(pool: pg.Pool, limit: number): Promise<Claimed[]> {
  return withTransaction(pool, async (tx) => {
    const webhooks = await lockWebhooks(tx);
    const unseen = webhooks.filter(({ hasUnseen }) => hasUnseen);
    if (unseen.length > 0) await fanOut(tx, unseen);
    const picked = webhooks.length === 0 ? [] : await pickDue(tx, webhooks, limit);
    return picked.length === 0 ? [] : lease(tx, picked);
  });
}

/**
 * Locks webhooks that something is to be done for, but for those that another replica works for. In no order: however many
 * have more due than they take at once, the others have their turn. A statement of its own: those that look at what is
 * due must begin when the locks are had.
 */
async function lockWebhooks(tx: Queryable): Promise<(WebhookName & { hasUnseen: boolean })[]> {
  const { rows } = await tx.query<WebhookName & { hasUnseen: boolean }>(
    `SELECT /* across shops: one relay works for all of them */ w.shop_id AS "shopId",
       w.webhook_number AS "webhookNumber", unseen.any AS "hasUnseen"
     FROM webhooks w,
       LATERAL (SELECT EXISTS (SELECT FROM outbox o WHERE o.shop_id = w.shop_id
         AND o.xact >= pg_snapshot_xmin(w.seen) AND NOT pg_visible_in_snapshot(o.xact, w.seen)) AS any) unseen,
       LATERAL (SELECT EXISTS (SELECT FROM deliveries d WHERE d.shop_id = w.shop_id
         AND d.webhook_number = w.webhook_number AND ${isDue} AND NOT ${isLeased}) AS any) due
     WHERE w.disabled_at IS NULL AND (unseen.any OR due.any)
     ORDER BY random() LIMIT $1 FOR NO KEY UPDATE OF w SKIP LOCKED`,
    [webhooksAtOnce],
  );
  return rows;
}

/**
 * Makes deliveries of the changes that locked webhooks have not seen and now are to be seen. As in the feed, what commits
 * late is seen late, and not missed. Where more has piled up than is made at once, the rest is left unseen.
 */
async function fanOut(tx: Queryable, webhooks: readonly WebhookName[]): Promise<void> {
  type Unseen = WebhookName & { snapshot: string; lastXact: number | null; format: Webhook['format'] } & Announced;
  type Announced = { subjectId: string | null; sequence: number; type: string; changeNumber: number };
  const { rows } = await tx.query<Unseen>(
    `SELECT w.shop_id AS "shopId", w.webhook_number AS "webhookNumber", w.format, pg_current_snapshot()::text AS snapshot,
       last.xact::text::bigint AS "lastXact", o.subject_id AS "subjectId", o.sequence, o.type,
       o.change_number AS "changeNumber"
     FROM webhooks w
     LEFT JOIN LATERAL (
       SELECT o.xact FROM outbox o WHERE o.shop_id = w.shop_id AND o.xact >= pg_snapshot_xmin(w.seen)
       ORDER BY o.xact OFFSET $4 LIMIT 1
     ) last ON true
     LEFT JOIN LATERAL (
       SELECT * FROM outbox o
       WHERE o.shop_id = w.shop_id AND o.xact >= pg_snapshot_xmin(w.seen) AND NOT pg_visible_in_snapshot(o.xact, w.seen)
         AND (last.xact IS NULL OR o.xact <= last.xact)
         AND o.type = ANY($3) AND (w.types = '{*}' OR o.type = ANY(w.types))
         AND (w.partner IS NULL OR o.partner = w.partner)
     ) o ON true
     WHERE (w.shop_id, w.webhook_number) IN (SELECT * FROM unnest($1::text[], $2::bigint[]))
     ORDER BY o.change_number`,
    [...namesOf(webhooks), sentTypes, changesAtOnce],
  );
  const seen = new Map(
    rows.map(({ webhookNumber, snapshot, lastXact }) => [
      webhookNumber,
      lastXact === null ? snapshot : clip(snapshot, lastXact + 1),
    ]),
  );
  const made = rows.filter(({ subjectId, format, type }) => subjectId !== null && hasName(format, type));
  await tx.query(
    `WITH moved AS (
       UPDATE webhooks w SET seen = s.seen::pg_snapshot FROM unnest($1::text[], $2::bigint[], $3::text[])
         AS s(shop_id, webhook_number, seen)
       WHERE w.shop_id = s.shop_id AND w.webhook_number = s.webhook_number
     )
     INSERT INTO deliveries (shop_id, webhook_number, delivery_id, subject_id, sequence, type, change_number, next_try_at)
     -- Not rounded up into the future: they are due at once.
     SELECT *, date_trunc('milliseconds', now())
     FROM unnest($4::text[], $5::bigint[], $6::text[], $7::text[], $8::int[], $9::text[], $10::bigint[])
     ON CONFLICT DO NOTHING`,
    [
      ...namesOf(webhooks),
      webhooks.map(({ webhookNumber }) => seen.get(webhookNumber)),
      ...namesOf(made),
      made.map(() => newId('dlv')),
      made.map(({ subjectId }) => subjectId),
      made.map(({ sequence }) => sequence),
      made.map(({ type }) => type),
      made.map(({ changeNumber }) => changeNumber),
    ],
  );
}

/** A delivery that is due, and perhaps being tried. */
type Due = WebhookName & { deliveryId: string; subjectId: string; leased: boolean; failing: boolean };

async function pickDue(tx: Queryable, webhooks: readonly WebhookName[], limit: number): Promise<Due[]> {
  const { rows } = await tx.query<Due>(
    `SELECT w.shop_id AS "shopId", w.webhook_number AS "webhookNumber", w.failing_since IS NOT NULL AS failing,
       due.delivery_id AS "deliveryId", due.subject_id AS "subjectId", due.leased
     FROM webhooks w CROSS JOIN LATERAL (
       SELECT d.delivery_id, d.subject_id, d.next_try_at, d.change_number, ${isLeased} AS leased
       FROM deliveries d WHERE d.shop_id = w.shop_id AND d.webhook_number = w.webhook_number AND ${isDue}
       ORDER BY d.next_try_at, d.change_number LIMIT $3
     ) due
     WHERE (w.shop_id, w.webhook_number) IN (SELECT * FROM unnest($1::text[], $2::bigint[]))
     ORDER BY due.next_try_at, due.change_number`,
    [...namesOf(webhooks), lookedAt],
  );
  return webhooks
    .flatMap(({ webhookNumber }) => pickOf(rows.filter((due) => due.webhookNumber === webhookNumber)))
    .slice(0, limit);
}

/**
 * What to try next of one webhook's deliveries that are due, the longest waiting first. Changes of one basket are tried one
 * after the other, so that they arrive in their order as long as none fails.
 */
function pickOf(due: readonly Due[]): Due[] {
  const leased = due.filter(({ leased }) => leased);
  const busy = new Set(leased.map(({ subjectId }) => subjectId));
  const free = Math.max(0, (due[0]?.failing ? 1 : atOnce) - leased.length);
  return due
    .filter(({ subjectId }) => {
      const isFirst = !busy.has(subjectId);
      busy.add(subjectId);
      return isFirst;
    })
    .slice(0, free);
}

async function lease(tx: Queryable, picked: readonly Due[]): Promise<Claimed[]> {
  type Row = Omit<Claimed, 'change'> & ChangeRow;
  const { rows } = await tx.query<Row>(
    `UPDATE deliveries d SET leased_until = now() + $4 * interval '1 second'
     FROM webhooks w, outbox o
     WHERE (d.shop_id, d.webhook_number, d.delivery_id) IN (SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[]))
       AND w.shop_id = d.shop_id AND w.webhook_number = d.webhook_number
       AND o.shop_id = d.shop_id AND o.subject_id = d.subject_id AND o.sequence = d.sequence
     RETURNING d.shop_id AS "shopId", d.webhook_number AS "webhookNumber", d.delivery_id AS "deliveryId", d.attempts,
       d.attempt_count AS "attemptCount", d.next_try_at AS "dueAt", w.url, w.format, w.sealed_secret AS "sealedSecret",
       w.former_sealed_secret AS "formerSealedSecret", w.former_secret_until AS "formerSecretUntil", o.type,
       o.created_at AS "createdAt", o.epoch, o.sequence, o.subject_id AS "subjectId", o.data, o.traceparent`,
    [...namesOf(picked), picked.map(({ deliveryId }) => deliveryId), leaseSeconds],
  );
  return rows.map(({ type, createdAt, epoch, sequence, subjectId, data, ...claimed }) => ({
    ...claimed,
    change: { type, createdAt, epoch, sequence, subjectId, data },
  }));
}

/**
 * Notes what became of tries, and gives their leases back. A webhook that answered 410, or where nothing has succeeded for
 * five days, is disabled, and its change `webhook.disabled` written with it.
 */
export function noteOutcomes(pool: pg.Pool, outcomes: readonly Outcome[]): Promise<{ disabled: DisabledReason[] }> {
  return withTransaction(pool, async (tx) => {
    // In one order, so that two replicas that note for the same webhooks wait for each other.
    await tx.query(
      `SELECT FROM webhooks w WHERE (w.shop_id, w.webhook_number) IN (SELECT * FROM unnest($1::text[], $2::bigint[]))
       ORDER BY w.shop_id, w.webhook_number FOR NO KEY UPDATE`,
      namesOf(outcomes),
    );
    await tx.query(
      `UPDATE deliveries d SET leased_until = NULL, attempts = t.attempts::json, attempt_count = d.attempt_count + 1,
         updated_at = now(),
         next_try_at = CASE WHEN t.wait_ms IS NULL OR d.next_try_at <> t.due_at THEN d.next_try_at
           ELSE now() + t.wait_ms * interval '1 ms' END,
         -- Somebody may have given it up meanwhile: only its arrival changes that.
         status = CASE WHEN t.delivered THEN 'delivered' WHEN t.wait_ms IS NULL AND d.next_try_at = t.due_at THEN 'failed'
           ELSE d.status END
       FROM unnest($1::text[], $2::bigint[], $3::text[], $4::boolean[], $5::float8[], $6::text[], $7::timestamptz[])
         AS t(shop_id, webhook_number, delivery_id, delivered, wait_ms, attempts, due_at)
       WHERE d.shop_id = t.shop_id AND d.webhook_number = t.webhook_number AND d.delivery_id = t.delivery_id
         AND d.status <> 'delivered'`,
      [
        ...namesOf(outcomes),
        outcomes.map(({ deliveryId }) => deliveryId),
        outcomes.map(({ delivered }) => delivered),
        outcomes.map(({ waitMs }) => waitMs),
        outcomes.map(({ attempts }) => JSON.stringify(attempts)),
        outcomes.map(({ dueAt }) => dueAt),
      ],
    );
    const ended = await noteHealth(
      tx,
      outcomes.filter(({ delivered }) => delivered !== null),
    );
    for (const { webhook, reason } of ended) await disable(tx, webhook, reason);
    return { disabled: ended.map(({ reason }) => reason) };
  });
}

/**
 * For how many seconds the oldest change has been waiting that should be on its way: for its deliveries to be made, or for
 * a delivery to be tried. Webhooks that fail are left out, since what waits there waits for them. Two looks into an index
 * for each webhook, however much waits.
 */
export async function readLagSeconds(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ lag: number }>(
    `SELECT /* across shops: one relay works for all of them */
       coalesce(extract(epoch FROM now() - min(least(unseen.since, due.since))), 0)::float8 AS lag
     FROM webhooks w
     LEFT JOIN LATERAL (
       SELECT o.created_at AS since FROM outbox o WHERE o.shop_id = w.shop_id
         AND o.xact >= pg_snapshot_xmin(w.seen) AND NOT pg_visible_in_snapshot(o.xact, w.seen)
       ORDER BY o.xact LIMIT 1
     ) unseen ON true
     LEFT JOIN LATERAL (
       SELECT d.next_try_at AS since FROM deliveries d WHERE d.shop_id = w.shop_id
         AND d.webhook_number = w.webhook_number AND ${isDue}
       ORDER BY d.next_try_at, d.change_number LIMIT 1
     ) due ON true
     WHERE w.disabled_at IS NULL AND w.failing_since IS NULL`,
  );
  return rows[0]?.lag ?? 0;
}

type ToDisable = { webhook: WebhookName; reason: DisabledReason };

/** Notes since when nothing succeeds at webhooks, and gives those that are to be disabled. */
async function noteHealth(tx: Queryable, outcomes: readonly Outcome[]): Promise<ToDisable[]> {
  const { rows } = await tx.query<WebhookName & { reason: DisabledReason | null }>(
    `UPDATE webhooks w SET failing_since = CASE WHEN NOT t.delivered THEN coalesce(w.failing_since, now()) END
     FROM (
       SELECT shop_id, webhook_number, bool_or(delivered) AS delivered, bool_or(gone) AS gone
       FROM unnest($1::text[], $2::bigint[], $3::boolean[], $4::boolean[]) AS t(shop_id, webhook_number, delivered, gone)
       GROUP BY 1, 2
     ) t
     WHERE w.shop_id = t.shop_id AND w.webhook_number = t.webhook_number AND w.disabled_at IS NULL
       AND (t.gone OR NOT t.delivered OR w.failing_since IS NOT NULL)
     RETURNING w.shop_id AS "shopId", w.webhook_number AS "webhookNumber", CASE WHEN t.gone THEN 'gone'
       WHEN w.failing_since <= now() - $5 * interval '1 day' THEN 'failing' END AS reason`,
    [...namesOf(outcomes), outcomes.map(({ delivered }) => delivered), outcomes.map(({ gone }) => gone), failingDays],
  );
  return rows.flatMap(({ reason, ...webhook }) => (reason === null ? [] : [{ webhook, reason }]));
}

/** Disables a locked webhook. What is pending there is given up apart, since it may be very much. */
async function disable(tx: Queryable, { shopId, webhookNumber }: WebhookName, reason: DisabledReason): Promise<void> {
  const { rows } = await tx.query<Pick<Webhook, 'webhookId' | 'partner' | 'url'>>(
    `UPDATE webhooks SET disabled_at = now(), disabled_reason = $3, updated_at = now()
     WHERE shop_id = $1 AND webhook_number = $2 RETURNING webhook_id AS "webhookId", partner, url`,
    [shopId, webhookNumber, reason],
  );
  for (const { partner, ...data } of rows) {
    await announceWebhook(tx, { shopId, webhookNumber, partner }, 'webhook.disabled', { ...data, reason });
  }
}

/** Gives up what is pending at disabled webhooks, a thousand at most; gives how many it were. */
export async function giveUpAtDisabled(db: Queryable): Promise<number> {
  const { rowCount } = await db.query(
    `UPDATE /* across shops: one relay works for all of them */ deliveries d
     SET status = 'failed', leased_until = NULL, updated_at = now()
     WHERE (d.shop_id, d.webhook_number, d.delivery_id) IN (
       SELECT p.shop_id, p.webhook_number, p.delivery_id
       FROM webhooks w JOIN deliveries p ON p.shop_id = w.shop_id AND p.webhook_number = w.webhook_number
       WHERE w.disabled_at IS NOT NULL AND p.status = 'pending' LIMIT $1 FOR UPDATE OF p SKIP LOCKED)`,
    [tidiedAtOnce],
  );
  return rowCount ?? 0;
}

/** Takes old deliveries away, delivered ones after 3 days, failed ones after 30, a thousand at most; gives how many. */
export async function purgeDeliveries(db: Queryable): Promise<number> {
  const { rowCount } = await db.query(
    `DELETE /* across shops: one relay works for all of them */ FROM deliveries d
     WHERE (d.shop_id, d.webhook_number, d.delivery_id) IN (
       SELECT p.shop_id, p.webhook_number, p.delivery_id
       FROM (VALUES ('delivered', $1::int), ('failed', $2::int)) AS k(status, kept_days), LATERAL (
         SELECT p.shop_id, p.webhook_number, p.delivery_id FROM deliveries p
         WHERE p.status = k.status AND p.status <> 'pending' AND p.updated_at < now() - k.kept_days * interval '1 day'
         LIMIT $3 FOR UPDATE SKIP LOCKED
       ) p LIMIT $3)`,
    [deliveredKeptDays, changesKeptDays, tidiedAtOnce],
  );
  return rowCount ?? 0;
}

/** Names of webhooks as the two parameters of an unnest. */
function namesOf(webhooks: readonly WebhookName[]): [string[], number[]] {
  return [webhooks.map(({ shopId }) => shopId), webhooks.map(({ webhookNumber }) => webhookNumber)];
}
