import type { Queryable } from '../platform/postgres.ts';

/**
 * SQL that writes the outbox rows of changed baskets, as a part of the statement that changes them: either both are
 * committed or neither is. `changed` names the part of the statement that gives the rows of `baskets` as they are now,
 * `type` is an SQL expression.
 */
export function announceBaskets(changed: string, type: string): string {
  return `INSERT INTO outbox (shop_id, subject_id, sequence, type, data)
    SELECT shop_id, basket_id, sequence, ${type}, row_to_json(${changed}) FROM ${changed}`;
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
