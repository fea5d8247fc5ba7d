import type pg from 'pg';
import { type Refusal, refuse } from '../errors.ts';
import { type IdempotencyKey, runOnceSealed } from '../http/idempotency.ts';
import { type Keyring, seal } from '../platform/crypto.ts';
import type { Outbound } from '../platform/outbound.ts';
import { withTransaction } from '../platform/postgres.ts';
import { answersHandshake } from './handshake.ts';
import { toWebhookAnswer, type Webhook, type WebhookAnswer } from './model.ts';
import { maxWebhooks, webhookUrl } from './rules.ts';
import { makeSecret, secretsOf } from './secrets.ts';
import {
  findWebhook,
  insertWebhook,
  lockNumberOfWebhooks,
  type Owner,
  replaceSecret,
  updateWebhook,
  type Wanted,
} from './store.ts';

/** What the registration of webhooks works with. */
export type RegisterDeps = {
  pool: pg.Pool;
  sealKeys: Keyring;
  outbound: Outbound;
  /** Whether webhooks may go to private addresses, and without TLS. */
  allowPrivate: boolean;
  shopExists: (shopId: string) => Promise<boolean>;
};

/**
 * Registers a webhook or changes it, which enables it again. `secret` is null when it has one already. Refusals:
 * `not_found` (no such shop), `webhook_url_not_allowed`, `webhook_validation_failed`, `webhook_limit`.
 */
export async function putWebhook(
  { pool, sealKeys, outbound, allowPrivate, shopExists }: RegisterDeps,
  owner: Owner,
  webhookId: string,
  wanted: Wanted,
): Promise<{ webhook: Webhook; secret: string | null } | Refusal> {
  if (!(await shopExists(owner.shopId))) return refuse('not_found');
  const url = webhookUrl(wanted.url, allowPrivate);
  if (url === null) return refuse('webhook_url_not_allowed');
  const secret = makeSecret();
  if (wanted.format === 'tebex') {
    const known = await findWebhook(pool, owner, webhookId);
    const hasAnswered = known?.format === 'tebex' && known.url === url;
    const now = new Date();
    const secrets = known === null ? [secret] : await secretsOf(sealKeys, known, now);
    if (!hasAnswered && !(await answersHandshake(outbound, url, secrets, now))) {
      return refuse('webhook_validation_failed');
    }
  }
  const sealedSecret = await seal(sealKeys, secret);
  return withTransaction<{ webhook: Webhook; secret: string | null } | Refusal>(pool, async (tx) => {
    const count = await lockNumberOfWebhooks(tx, owner);
    const known = await findWebhook(tx, owner, webhookId, 'lock');
    if (known !== null) return { webhook: await updateWebhook(tx, known, { ...wanted, url }), secret: null };
    if (count >= maxWebhooks) return refuse('webhook_limit');
    return { webhook: await insertWebhook(tx, owner, { ...wanted, webhookId, url, sealedSecret }), secret };
  });
}

/** Gives a webhook a new secret; the one before signs too for a day. Refusals: `not_found`, those of runOnceSealed. */
export function rotateSecret(
  { pool, sealKeys }: Pick<RegisterDeps, 'pool' | 'sealKeys'>,
  owner: Owner,
  webhookId: string,
  key: IdempotencyKey | null,
): Promise<{ result: WebhookAnswer & { secret: string }; replayed: boolean } | Refusal> {
  return runOnceSealed<WebhookAnswer & { secret: string }>({ pool, sealKeys }, key, 200, async (tx) => {
    const webhook = await findWebhook(tx, owner, webhookId, 'lock');
    if (webhook === null) return refuse('not_found');
    const secret = makeSecret();
    const rotated = await replaceSecret(tx, webhook, await seal(sealKeys, secret));
    return { ...toWebhookAnswer(rotated), secret };
  });
}
