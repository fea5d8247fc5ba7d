import type pg from 'pg';
import { isSealedWith, type Keyring, seal, unseal } from '../platform/crypto.ts';
import { listLaravelKeys, replaceLaravelKeys } from './store.ts';

/**
 * Encrypts what was encrypted with an earlier key anew with the first, so that the earlier can be taken away once every
 * replica has started with the new one. What no key opens is left: it may be needed to know that it was there.
 */
export async function resealLaravelKeys(pool: pg.Pool, sealKeys: Keyring): Promise<void> {
  for (const { shopId, sealed } of await listLaravelKeys(pool)) {
    const text = isSealedWith(sealKeys.signing.kid, sealed) ? null : await unseal(sealKeys, sealed);
    if (text !== null) await replaceLaravelKeys(pool, shopId, sealed, await seal(sealKeys, text));
  }
}
