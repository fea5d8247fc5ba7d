import type pg from 'pg';
import { isRefusal, type Refusal, refuse } from '../../errors.ts';
import { type IdempotencyKey, runOnce } from '../../http/idempotency.ts';
import { type Keyring, seal, unseal } from '../../platform/crypto.ts';
import { newId } from '../../platform/ids.ts';
import { withTransaction } from '../../platform/postgres.ts';
import { readShop } from '../store.ts';
import { type ApiKey, insertApiKey } from './store.ts';
import { hashApiKey, makeApiKey } from './verify.ts';

/** What its creation answers: the only time that a key is shown. */
export type CreatedApiKey = Omit<ApiKey, 'shopId' | 'createdAt'> & { apiKey: string; createdAt: string };

/**
 * Makes an API key for a shop. What a replay shows again is stored encrypted. Refusals: `not_found`,
 * `idempotent_answer_lost`, and those of the idempotency key.
 */
export async function createApiKey(
  { pool, sealKeys }: { pool: pg.Pool; sealKeys: Keyring },
  shopId: string,
  wanted: Pick<ApiKey, 'name' | 'scopes' | 'partner'>,
  key: IdempotencyKey | null,
): Promise<{ created: CreatedApiKey; replayed: boolean } | Refusal> {
  const result = await withTransaction(pool, (tx) =>
    runOnce(tx, key, async () => {
      const shop = await readShop(tx, shopId);
      if (shop === null) return refuse('not_found');
      const apiKey = makeApiKey(shop.shopNumber);
      const kept = await insertApiKey(tx, { ...wanted, shopId, apiKeyId: newId('key') }, hashApiKey(apiKey));
      const { apiKeyId, name, scopes, partner, createdAt } = kept;
      const created: CreatedApiKey = { apiKeyId, apiKey, name, scopes, partner, createdAt: createdAt.toISOString() };
      const sealed = await seal(sealKeys, JSON.stringify(created));
      return { status: 201, basketId: null, sequence: null, answer: { sealed } };
    }),
  );
  if (isRefusal(result)) return result;
  const created = await unseal(sealKeys, String(result.answer.sealed));
  if (created === null) return refuse('idempotent_answer_lost');
  return { created: JSON.parse(created) as CreatedApiKey, replayed: result.replayed };
}
