import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { type Keyring, sha256, unseal } from '../platform/crypto.ts';
import type { LaravelKeys, Shop } from '../shops/index.ts';
import { signUrl, verifySignedUrl } from './signed-url.ts';

/** What a proven link in Laravel's format says. One that a shop has signed without `expires` never expires. */
export type LaravelLink = { generation: number; expiresAt: Date };

/** Gives the keys that a shop has registered, or null. */
export type ReadLaravelKeys = (shop: Shop) => Promise<LaravelKeys | null>;

/** Opens the reader of shops' keys, which are stored encrypted; it remembers what it has decrypted. */
export function openLaravelKeys(sealKeys: Keyring): ReadLaravelKeys {
  const known = new LRUCache<string, LaravelKeys>({ max: 1000 });
  return async ({ sealedLaravelKeys: sealed }) => {
    if (sealed === null) return null;
    const text = known.has(sealed) ? null : await unseal(sealKeys, sealed);
    if (text !== null) known.set(sealed, JSON.parse(text) as LaravelKeys);
    return known.get(sealed) ?? null;
  };
}

/** No key of LINK_KEYS has a name with a colon. */
export const laravelKidPrefix = 'laravel:';

/** What names a shop's key in a stored answer, so that a replay is signed with the same. */
export function laravelKidOf(key: string): string {
  return laravelKidPrefix + sha256(key).toString('hex').slice(0, 8);
}

/** Writes a link: `{PUBLIC_URL}/basket/start/{basketId}?expires=…&g=…&shop=…&signature=…`. */
export function writeLaravelLink(
  publicUrl: string,
  key: string,
  link: LaravelLink & { shopId: string; basketId: string },
): string {
  const url = new URL(`/basket/start/${link.basketId}`, publicUrl);
  url.searchParams.set('g', String(link.generation));
  url.searchParams.set('shop', link.shopId);
  return signUrl(url.href, { key, expiresAt: link.expiresAt });
}

/** Stands in for the keys of a shop that has none: its links take the same path, and none is good. */
const dummyKeys: LaravelKeys = { keys: [randomBytes(32).toString('base64')], ignoredParameters: [] };
/** The last moment that a Date can be. */
const endOfTimeMs = 8.64e15;

/** The shop that a link names, before anything of it is proven. */
export function shopNamedIn(url: string): string {
  return new URL(url).searchParams.getAll('shop').at(-1) ?? '';
}

/**
 * Proves a link by the keys of the shop that it names: what it says, `expired` for one that says so itself, or null for
 * one that these keys did not sign.
 */
export function proveLaravelLink(url: string, keys: LaravelKeys | null, now: Date): LaravelLink | 'expired' | null {
  const verified = verifySignedUrl(url, { ...(keys ?? dummyKeys), now });
  const { searchParams } = new URL(url);
  const generation = searchParams.get('g') ?? '';
  if (!verified.ok && verified.reason === 'signature') return null;
  if (!/^\d{1,15}$/.test(generation)) return null;
  if (!verified.ok) return 'expired';
  const expires = searchParams.get('expires');
  // To the end of the second that it names, as Laravel has it.
  const expiresAtMs = expires === null ? endOfTimeMs : Math.min((Number(expires) + 1) * 1000, endOfTimeMs);
  return { generation: Number(generation), expiresAt: new Date(expiresAtMs) };
}
