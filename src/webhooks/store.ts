import type { Queryable } from '../platform/postgres.ts';
import type { Webhook } from './model.ts';
import { changesKeptDays } from './rules.ts';

/** Whose webhooks: a partner's are its own, with null those of the shop itself. */
export type Owner = Pick<Webhook, 'shopId' | 'partner'>;

const columns = `shop_id AS "shopId", webhook_number AS "webhookNumber", webhook_id AS "webhookId", partner, url, types,
  format, sealed_secret AS "sealedSecret", former_sealed_secret AS "formerSealedSecret",
  former_secret_until AS "formerSecretUntil", failing_since AS "failingSince", disabled_at AS "disabledAt",
  disabled_reason AS "disabledReason", created_at AS "createdAt", updated_at AS "updatedAt"`;

/**
 * Finds a webhook by its owner's id for it, or null; with `lock` it stays as it is until the transaction ends, but gets
 * deliveries.
 */
export async function findWebhook(
  db: Queryable,
  { shopId, partner }: Owner,
  webhookId: string,
  lock: 'lock' | 'no lock' = 'no lock',
): Promise<Webhook | null> {
  const { rows } = await db.query<Webhook>(
    `SELECT ${columns} FROM webhooks WHERE shop_id = $1 AND partner IS NOT DISTINCT FROM $2 AND webhook_id = $3
     ${lock === 'lock' ? 'FOR NO KEY UPDATE' : ''}`,
    [shopId, partner, webhookId],
  );
  return rows[0] ?? null;
}

/** A page of an owner's webhooks, newest first: those made before the one with the number `before`, if it is given. */
export async function listWebhooks(
  db: Queryable,
  { shopId, partner }: Owner,
  before: number | null,
  limit: number,
): Promise<Webhook[]> {
  const { rows } = await db.query<Webhook>(
    `SELECT ${columns} FROM webhooks
     WHERE shop_id = $1 AND partner IS NOT DISTINCT FROM $2 AND ($3::bigint IS NULL OR webhook_number < $3)
     ORDER BY webhook_number DESC LIMIT $4`,
    [shopId, partner, before, limit],
  );
  return rows;
}

/**
 * Says how many webhooks an owner has, and keeps others who ask, and so whoever would make one, waiting until the
 * transaction ends.
 */
export async function lockNumberOfWebhooks(tx: Queryable, { shopId, partner }: Owner): Promise<number> {
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [
    `webhooks ${JSON.stringify([shopId, partner])}`,
  ]);
  const { rows } = await tx.query<{ count: number }>(
    'SELECT count(*) AS count FROM webhooks WHERE shop_id = $1 AND partner IS NOT DISTINCT FROM $2',
    [shopId, partner],
  );
  return rows[0]?.count ?? 0;
}

/** What an owner says of a webhook. */
export type Wanted = Pick<Webhook, 'url' | 'types' | 'format'>;

/** Keeps a new webhook. */
export async function insertWebhook(
  tx: Queryable,
  { shopId, partner }: Owner,
  { webhookId, url, types, format, sealedSecret }: Wanted & Pick<Webhook, 'webhookId' | 'sealedSecret'>,
): Promise<Webhook> {
  const { rows } = await tx.query<Webhook>(
    `INSERT INTO webhooks (shop_id, partner, webhook_id, url, types, format, sealed_secret)
     VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING ${columns}`,
    [shopId, partner, webhookId, url, types, format, sealedSecret],
  );
  return only(rows);
}

/**
 * Changes a webhook, which begins anew: it is enabled and has not failed yet. What happened while it was disabled is not
 * sent to it now, but when it is asked for.
 */
export async function updateWebhook(
  tx: Queryable,
  { shopId, webhookNumber }: Webhook,
  { url, types, format }: Wanted,
): Promise<Webhook> {
  const { rows } = await tx.query<Webhook>(
    // What happened just before it was disabled may not have become a delivery any more, and something may be committed
    // while this waits for its turn.
    `UPDATE webhooks SET url = $3, types = $4, format = $5, updated_at = now(),
       missed = CASE WHEN disabled_at IS NULL THEN missed ELSE
         (missed + tstzmultirange(tstzrange(disabled_at - interval '1 minute', clock_timestamp())))
         * tstzmultirange(tstzrange(now() - interval '${changesKeptDays} days', NULL)) END,
       seen = CASE WHEN disabled_at IS NULL THEN seen ELSE pg_current_snapshot() END,
       failing_since = NULL, disabled_at = NULL, disabled_reason = NULL
     WHERE shop_id = $1 AND webhook_number = $2 RETURNING ${columns}`,
    [shopId, webhookNumber, url, types, format],
  );
  return only(rows);
}

/** Gives a webhook a new secret; the one before signs too for a day, and none before that. */
export async function replaceSecret(
  tx: Queryable,
  { shopId, webhookNumber }: Webhook,
  sealedSecret: string,
): Promise<Webhook> {
  const { rows } = await tx.query<Webhook>(
    `UPDATE webhooks SET sealed_secret = $3, former_sealed_secret = sealed_secret,
       former_secret_until = now() + interval '24 hours', updated_at = now()
     WHERE shop_id = $1 AND webhook_number = $2 RETURNING ${columns}`,
    [shopId, webhookNumber, sealedSecret],
  );
  return only(rows);
}

/** Notes that what a webhook missed since a moment has become deliveries. */
export async function forgetMissed(
  tx: Queryable,
  { shopId, webhookNumber }: Pick<Webhook, 'shopId' | 'webhookNumber'>,
  since: Date,
): Promise<void> {
  await tx.query(
    `UPDATE webhooks SET missed = missed - tstzmultirange(tstzrange($3, NULL))
     WHERE shop_id = $1 AND webhook_number = $2 AND missed && tstzrange($3, NULL)`,
    [shopId, webhookNumber, since],
  );
}

/** Deletes a webhook with its deliveries, and says whether there was one. */
export async function deleteWebhook(db: Queryable, { shopId, partner }: Owner, webhookId: string): Promise<boolean> {
  const { rowCount } = await db.query(
    'DELETE FROM webhooks WHERE shop_id = $1 AND partner IS NOT DISTINCT FROM $2 AND webhook_id = $3',
    [shopId, partner, webhookId],
  );
  return rowCount === 1;
}

type SealedSecrets = Pick<Webhook, 'shopId' | 'webhookNumber' | 'sealedSecret' | 'formerSealedSecret'>;

/** The secrets of all webhooks, encrypted as they are. */
export async function listSealedSecrets(db: Queryable): Promise<SealedSecrets[]> {
  const { rows } = await db.query<SealedSecrets>(
    `SELECT /* across shops: the secrets of all are encrypted anew when DATA_KEYS change */
       shop_id AS "shopId", webhook_number AS "webhookNumber", sealed_secret AS "sealedSecret",
       former_sealed_secret AS "formerSealedSecret" FROM webhooks`,
  );
  return rows;
}

/** Replaces a webhook's secrets by the same encrypted otherwise, unless they have changed. */
export async function replaceSealedSecrets(
  db: Queryable,
  { shopId, webhookNumber, sealedSecret, formerSealedSecret }: SealedSecrets,
  anew: string,
  formerAnew: string | null,
): Promise<void> {
  await db.query(
    `UPDATE webhooks SET sealed_secret = $5, former_sealed_secret = $6
     WHERE shop_id = $1 AND webhook_number = $2 AND sealed_secret = $3 AND former_sealed_secret IS NOT DISTINCT FROM $4`,
    [shopId, webhookNumber, sealedSecret, formerSealedSecret, anew, formerAnew],
  );
}

function only(rows: Webhook[]): Webhook {
  const [row] = rows;
  if (row === undefined) throw new Error('a change of a webhook gave no row');
  return row;
}
