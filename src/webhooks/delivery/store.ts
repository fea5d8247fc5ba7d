import { newId } from '../../platform/ids.ts';
import type { Queryable } from '../../platform/postgres.ts';
import type { Delivery, DeliveryStatus, Webhook } from '../model.ts';
import type { Announced } from '../outbox.ts';
import { changesKeptDays, deliveredKeptDays } from '../rules.ts';

type OfWebhook = Pick<Webhook, 'shopId' | 'webhookNumber'>;

const columns = `shop_id AS "shopId", webhook_number AS "webhookNumber", delivery_id AS "deliveryId",
  subject_id AS "subjectId", sequence, type, change_number AS "changeNumber", status, attempts,
  next_try_at AS "nextTryAt", created_at AS "createdAt"`;

/** Whether a webhook has a delivery with this id. */
export async function hasDelivery(
  db: Queryable,
  { shopId, webhookNumber }: OfWebhook,
  deliveryId: string,
): Promise<boolean> {
  const { rowCount } = await db.query(
    'SELECT FROM deliveries WHERE shop_id = $1 AND webhook_number = $2 AND delivery_id = $3',
    [shopId, webhookNumber, deliveryId],
  );
  return rowCount === 1;
}

/** A page of a webhook's deliveries, newest first: those made before the one with the id `before`, if it is given. */
export async function listDeliveries(
  db: Queryable,
  { shopId, webhookNumber }: OfWebhook,
  status: DeliveryStatus | null,
  before: string | null,
  limit: number,
): Promise<Delivery[]> {
  const { rows } = await db.query<Delivery>(
    `SELECT ${columns} FROM deliveries
     WHERE shop_id = $1 AND webhook_number = $2 AND ($3::text IS NULL OR status = $3)
       AND ($4::text IS NULL OR delivery_id < $4 COLLATE "C")
     ORDER BY delivery_id DESC LIMIT $5`,
    [shopId, webhookNumber, status, before, limit],
  );
  return rows;
}

/** Makes the delivery of a change that is for one webhook alone. */
export async function insertDelivery(
  tx: Queryable,
  { shopId, webhookNumber }: OfWebhook,
  { subjectId, sequence, changeNumber }: Announced,
  type: string,
): Promise<Delivery> {
  const { rows } = await tx.query<Delivery>(
    `INSERT INTO deliveries (shop_id, webhook_number, delivery_id, subject_id, sequence, type, change_number)
     VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING ${columns}`,
    [shopId, webhookNumber, newId('dlv'), subjectId, sequence, type, changeNumber],
  );
  const [row] = rows;
  if (row === undefined) throw new Error('an insert gave no row');
  return row;
}

const asNew = `status = 'pending', attempt_count = 0, next_try_at = now(), updated_at = now()`;

/** Lets a delivery begin anew: it is due now. */
export async function repeatDelivery(
  tx: Queryable,
  { shopId, webhookNumber }: OfWebhook,
  deliveryId: string,
): Promise<Delivery> {
  const { rows } = await tx.query<Delivery>(
    `UPDATE deliveries SET ${asNew} WHERE shop_id = $1 AND webhook_number = $2 AND delivery_id = $3
     RETURNING ${columns}`,
    [shopId, webhookNumber, deliveryId],
  );
  const [row] = rows;
  if (row === undefined) throw new Error(`there is no delivery ${deliveryId}`);
  return row;
}

/** A change that a webhook was not told of, and the delivery that failed, if one was made. */
type Undelivered = { subjectId: string; sequence: number; type: string; changeNumber: number };

/**
 * The changes of these types since a moment that a webhook was not told of, oldest first. Where there is no delivery it was
 * never made, or has succeeded and been taken away since: the latter only of changes that are older than such are kept,
 * and only from times when the webhook was enabled.
 */
export async function findUndelivered(
  tx: Queryable,
  { shopId, webhookNumber }: OfWebhook,
  types: readonly string[],
  since: Date,
  limit: number,
): Promise<Undelivered[]> {
  const { rows } = await tx.query<Undelivered>(
    `SELECT o.subject_id AS "subjectId", o.sequence, o.type, o.change_number AS "changeNumber"
     FROM webhooks w
     JOIN outbox o ON o.shop_id = w.shop_id AND (w.partner IS NULL OR o.partner = w.partner)
     LEFT JOIN deliveries d ON d.shop_id = w.shop_id AND d.webhook_number = w.webhook_number
       AND d.subject_id = o.subject_id AND d.sequence = o.sequence
     WHERE w.shop_id = $1 AND w.webhook_number = $2 AND o.type = ANY($3)
       AND o.created_at >= greatest($4, now() - interval '${changesKeptDays} days')
       -- Of the rest, the relay makes deliveries by itself.
       AND pg_visible_in_snapshot(o.xact, w.seen)
       AND CASE WHEN d.status IS NOT NULL THEN d.status = 'failed'
         ELSE o.created_at > now() - interval '${deliveredKeptDays} days' OR w.missed @> o.created_at END
     ORDER BY o.change_number LIMIT $5`,
    [shopId, webhookNumber, types, since, limit],
  );
  return rows;
}

/** Makes the deliveries of these changes, and lets those that have failed begin anew. */
export async function deliverUndelivered(
  tx: Queryable,
  { shopId, webhookNumber }: OfWebhook,
  changes: readonly Undelivered[],
): Promise<void> {
  await tx.query(
    `INSERT INTO deliveries (shop_id, webhook_number, delivery_id, subject_id, sequence, type, change_number)
     SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::integer[], $6::text[], $7::bigint[])
     ON CONFLICT (shop_id, webhook_number, subject_id, sequence) DO UPDATE SET ${asNew}`,
    [
      shopId,
      webhookNumber,
      changes.map(() => newId('dlv')),
      changes.map(({ subjectId }) => subjectId),
      changes.map(({ sequence }) => sequence),
      changes.map(({ type }) => type),
      changes.map(({ changeNumber }) => changeNumber),
    ],
  );
}
