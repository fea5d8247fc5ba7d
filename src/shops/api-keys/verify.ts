import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import type { ApiCaller } from '../../http/access.ts';
import { sha256 } from '../../platform/crypto.ts';
import type { ShopCache } from '../store.ts';
import { type ApiKey, findApiKey } from './store.ts';

/** `sk_<shop number>_<256 random bits>`: the number says where to look, so that no query goes over all shops. */
const format = /^sk_(\d{1,9})_[A-Za-z0-9_-]{43}$/;
/** By when every replica has forgotten a deleted key: half of what is promised. */
const maxAgeMs = 5000;

/** Makes a new key for the shop with this number. */
export function makeApiKey(shopNumber: number): string {
  return `sk_${shopNumber}_${randomBytes(32).toString('base64url')}`;
}

/** What is kept of a key. A fast hash will do: there is nothing to guess in 256 random bits. */
export function hashApiKey(apiKey: string): Buffer {
  return sha256(apiKey);
}

/** Says whose API key a text is. */
export type ApiKeyVerifier = {
  /** The caller that this key speaks for, or null for anything that is no key of a shop now. */
  verify(token: string): Promise<ApiCaller | null>;
  /** Makes this replica forget a deleted key at once. */
  forget(apiKeyId: string): void;
};

/** Opens the verifier, which remembers good keys for five seconds: a deleted one works nowhere after that. */
export function openApiKeyVerifier({ pool, shops }: { pool: pg.Pool; shops: ShopCache }): ApiKeyVerifier {
  const known = new LRUCache<string, ApiKey>({ max: 10_000, ttl: maxAgeMs });
  return {
    async verify(token) {
      const shopNumber = format.exec(token)?.[1];
      if (shopNumber === undefined) return null;
      const hash = hashApiKey(token);
      const name = hash.toString('base64url');
      let apiKey = known.get(name) ?? null;
      if (apiKey === null) {
        const shop = await shops.byNumber(Number(shopNumber));
        apiKey = shop && (await findApiKey(pool, shop.shopId, hash));
        if (apiKey === null) return null;
        known.set(name, apiKey);
      }
      const { shopId, partner, scopes, apiKeyId } = apiKey;
      return { kind: 'api', shopId, partner, scopes: new Set(scopes), subject: apiKeyId };
    },
    forget(apiKeyId) {
      for (const [name, apiKey] of known.entries()) if (apiKey.apiKeyId === apiKeyId) known.delete(name);
    },
  };
}
