import type pg from 'pg';
import { type Refusal, refuse } from '../../errors.ts';
import { type IdempotencyKey, runOnceSealed } from '../../http/idempotency.ts';
import type { Keyring } from '../../platform/crypto.ts';
import { newId } from '../../platform/ids.ts';
import { readShop } from '../store.ts';
import { type ApiKey, insertApiKey } from './store.ts';
import { hashApiKey, makeApiKey } from './verify.ts';

/** What its creation answers: the only time that a key is shown. */
type CreatedApiKey = Omit<ApiKey, 'shopId' | 'createdAt'> & { apiKey: string; createdAt: string };

/** Makes an API key for a shop. Refusals: `not_found`, and those of runOnceSealed. */
export function createApiKey(
  deps: { pool: pg.Pool; sealKeys: Keyring },
  shopId: string,
  wanted: Pick<ApiKey, 'name' | 'scopes' | 'partner'>,
  key: IdempotencyKey | null,
): Promise<{ result: CreatedApiKey; replayed: boolean } | Refusal> {
  return runOnceSealed<CreatedApiKey>(deps, key, 201, async (tx) => {
    const shop = await readShop(tx, shopId);
    if (shop === null) return refuse('not_found');
    const apiKey = makeApiKey(shop.shopNumber);
    const kept = await insertApiKey(tx, { ...wanted, shopId, apiKeyId: newId('key') }, hashApiKey(apiKey));
    const { apiKeyId, name, scopes, partner, createdAt } = kept;
    return { apiKeyId, apiKey, name, scopes, partner, createdAt: createdAt.toISOString() };
  });
}
