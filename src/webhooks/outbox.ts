import type { Queryable } from '../platform/postgres.ts';
import type { Webhook } from './model.ts';

/**
 * SQL that writes the outbox rows of changed baskets, as a part of the statement that changes them: either both are
 * committed or neither is. `changed` names the part of the statement that gives the rows of `baskets` as they are now,
 * `type` is an SQL expression.
 */
export function announceBaskets(changed: string, type: string): string {
  return `INSERT INTO outbox (shop_id, subject_id, sequence, type, partner, data)
    SELECT shop_id, basket_id, sequence, ${type}, partner, row_to_json(${changed}) FROM ${changed}`;
}

/**
 * SQL that says whether the changes of a basket, once they are too old for the feed, are of no more use: each enabled
 * webhook has been given them, none has a delivery of one, also not a failed one that could be asked for again, and none
 * tells of money that came too late. `basket` names the source that has its shop_id and basket_id.
 */
export function owedToNobody(basket: string): string {
  return `NOT EXISTS (
      SELECT FROM outbox o WHERE o.shop_id = ${basket}.shop_id AND o.subject_id = ${basket}.basket_id
        AND (o.type = 'basket.completion_refused'
          OR EXISTS (SELECT FROM webhooks w WHERE w.shop_id = o.shop_id AND w.disabled_at IS NULL
            AND NOT pg_visible_in_snapshot(o.xact, w.seen)))
    ) AND NOT EXISTS (
      SELECT FROM webhooks w JOIN deliveries d ON d.shop_id = w.shop_id AND d.webhook_number = w.webhook_number
      WHERE w.shop_id = ${basket}.shop_id AND d.subject_id = ${basket}.basket_id
    )`;
}

/** Writes the outbox row of an event's cancellation in the transaction that cancels it. */
export async function announceEventCancelled(
  tx: Queryable,
  shopId: string,
  event: { eventId: string; name: string; startsAt: Date | null },
): Promise<void> {
  await tx.query(
    `INSERT INTO outbox (shop_id, subject_id, sequence, type, data) VALUES ($1, $2, 1, 'event.cancelled', $3)`,
    [shopId, `event:${event.eventId}`, JSON.stringify(event)],
  );
}

/** What names the row of an outbox, and its place among the changes. */
export type Announced = { subjectId: string; sequence: number; changeNumber: number };

/**
 * Writes an outbox row about a webhook, whose row the caller's transaction has locked: that is what keeps its sequence
 * without gaps.
 */
export async function announceWebhook(
  tx: Queryable,
  { shopId, webhookNumber, partner }: Pick<Webhook, 'shopId' | 'webhookNumber' | 'partner'>,
  type: 'webhook.test' | 'webhook.disabled',
  data: { webhookId: string; url?: string; reason?: string },
): Promise<Announced> {
  const { rows } = await tx.query<Announced>(
    `INSERT INTO outbox (shop_id, subject_id, sequence, type, partner, data)
     SELECT $1, $2, coalesce(max(o.sequence), 0) + 1, $3, $4, $5::json FROM outbox o
     WHERE o.shop_id = $1 AND o.subject_id = $2
     RETURNING subject_id AS "subjectId", sequence, change_number AS "changeNumber"`,
    [shopId, `webhook:${webhookNumber}`, type, partner, JSON.stringify(data)],
  );
  const [row] = rows;
  if (row === undefined) throw new Error('an insert gave no row');
  return row;
}
