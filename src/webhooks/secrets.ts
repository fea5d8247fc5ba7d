import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { type Keyring, reseal, unseal } from '../platform/crypto.ts';
import type { Webhook } from './model.ts';
import { listSealedSecrets, replaceSealedSecrets } from './store.ts';

/** Makes the secret of a webhook, written as Standard Webhooks 1.0.0 has it: 192 random bits, which need no padding. */
export function makeSecret(): string {
  return `whsec_${randomBytes(24).toString('base64')}`;
}

/** The secrets that sign for a webhook now, the newest first; fewer where no data key opens one any more. */
export async function secretsOf(
  sealKeys: Keyring,
  webhook: Pick<Webhook, 'sealedSecret' | 'formerSealedSecret' | 'formerSecretUntil'>,
  now: Date,
): Promise<string[]> {
  const { sealedSecret, formerSealedSecret, formerSecretUntil } = webhook;
  const formerSigns = formerSealedSecret !== null && formerSecretUntil !== null && formerSecretUntil > now;
  const sealed = [sealedSecret, ...(formerSigns ? [formerSealedSecret] : [])];
  const opened = await Promise.all(sealed.map((one) => unseal(sealKeys, one)));
  return opened.filter((secret) => secret !== null);
}

/**
 * Encrypts the secrets that were encrypted with an earlier data key anew with the first, so that the earlier can be taken
 * away once every replica has started with the new one.
 */
export async function resealWebhookSecrets(pool: pg.Pool, sealKeys: Keyring): Promise<void> {
  for (const webhook of await listSealedSecrets(pool)) {
    const anew = await reseal(sealKeys, webhook.sealedSecret);
    const former = webhook.formerSealedSecret && (await reseal(sealKeys, webhook.formerSealedSecret));
    if (anew === null && former === null) continue;
    await replaceSealedSecrets(pool, webhook, anew ?? webhook.sealedSecret, former ?? webhook.formerSealedSecret);
  }
}
