import type pg from 'pg';
import { type Keyring, reseal } from '../platform/crypto.ts';
import { listLaravelKeys, replaceLaravelKeys } from './store.ts';

/**
 * Encrypts the keys that were encrypted with an earlier data key anew with the first, so that the earlier can be taken
 * away once every replica has started with the new one.
 */
export async function resealLaravelKeys(pool: pg.Pool, sealKeys: Keyring): Promise<void> {
  for (const { shopId, sealed } of await listLaravelKeys(pool)) {
    const anew = await reseal(sealKeys, sealed);
    if (anew !== null) await replaceLaravelKeys(pool, shopId, sealed, anew);
  }
}
