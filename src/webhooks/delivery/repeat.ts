import type pg from 'pg';
import { isRefusal, type Refusal, refuse } from '../../errors.ts';
import { type IdempotencyKey, runOnce } from '../../http/idempotency.ts';
import { withTransaction } from '../../platform/postgres.ts';
import { type DeliveryAnswer, sentTypes, toDeliveryAnswer, type Webhook } from '../model.ts';
import { announceWebhook } from '../outbox.ts';
import { findWebhook, forgetMissed, type Owner } from '../store.ts';
import { hasName } from './message.ts';
import { deliverUndelivered, findUndelivered, hasDelivery, insertDelivery, repeatDelivery } from './store.ts';

/** The webhook of a call, by its owner's id for it, and the idempotency key of the call. */
export type Repeat = { owner: Owner; webhookId: string; key: IdempotencyKey | null };

type Repeated<Answer> = Promise<{ answer: Answer; replayed: boolean } | Refusal>;

/** What was found to be sent again. `more`: there is more of it, which the same call finds when it is made again. */
export type RetriedSince = { retried: number; more: boolean };

/** As many as are written well within the time that a caller waits for. */
const retriedAtOnce = 10_000;

/**
 * Sends a webhook a message of the type `webhook.test`, which is tried like any other. Refusals: `not_found`,
 * `webhook_disabled`, those of the key.
 */
export function testWebhook(pool: pg.Pool, repeat: Repeat): Repeated<DeliveryAnswer> {
  const type = 'webhook.test';
  return onWebhook(pool, repeat, async (tx, webhook) => {
    if (webhook.disabledAt !== null) return refuse('webhook_disabled');
    const announced = await announceWebhook(tx, webhook, type, { webhookId: webhook.webhookId });
    return toDeliveryAnswer(await insertDelivery(tx, webhook, announced, type));
  });
}

/**
 * Sends a delivery again, whatever became of it, and tries it like a new one. Refusals: `not_found`, `webhook_disabled`,
 * those of the key.
 */
export function retryDelivery(pool: pg.Pool, repeat: Repeat, deliveryId: string): Repeated<DeliveryAnswer> {
  return onWebhook(pool, repeat, async (tx, webhook) => {
    if (!(await hasDelivery(tx, webhook, deliveryId))) return refuse('not_found');
    if (webhook.disabledAt !== null) return refuse('webhook_disabled');
    return toDeliveryAnswer(await repeatDelivery(tx, webhook, deliveryId));
  });
}

/**
 * Sends again what a webhook was not told of since a moment: deliveries that failed, and changes of its types that were
 * never sent, because it was disabled or not registered then. Refusals: `not_found`, `webhook_disabled`, those of the key.
 */
export function retrySince(pool: pg.Pool, repeat: Repeat, since: Date): Repeated<RetriedSince> {
  return onWebhook(pool, repeat, async (tx, webhook) => {
    if (webhook.disabledAt !== null) return refuse('webhook_disabled');
    const types = sentTypes.filter((type) => wants(webhook, type));
    const found = await findUndelivered(tx, webhook, types, since, retriedAtOnce + 1);
    const changes = found.slice(0, retriedAtOnce);
    await deliverUndelivered(tx, webhook, changes);
    const more = found.length > retriedAtOnce;
    if (!more) await forgetMissed(tx, webhook, since);
    return { retried: changes.length, more };
  });
}

/** Whether changes of this type are sent to a webhook. */
function wants({ types, format }: Webhook, type: string): boolean {
  return (types.includes('*') || types.includes(type)) && hasName(format, type);
}

/** Runs `work` on a webhook that stays as it is meanwhile, once per key. */
async function onWebhook<Answer extends Record<string, unknown>>(
  pool: pg.Pool,
  { owner, webhookId, key }: Repeat,
  work: (tx: pg.PoolClient, webhook: Webhook) => Promise<Answer | Refusal>,
): Repeated<Answer> {
  const result = await withTransaction(pool, (tx) =>
    runOnce(tx, key, async () => {
      const webhook = await findWebhook(tx, owner, webhookId, 'lock');
      const answer = webhook === null ? refuse('not_found') : await work(tx, webhook);
      return isRefusal(answer) ? answer : { status: 202, basketId: null, sequence: null, answer };
    }),
  );
  return isRefusal(result) ? result : { answer: result.answer as Answer, replayed: result.replayed };
}
