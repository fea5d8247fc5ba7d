import type pg from 'pg';
import { findItemOfPackage } from '../../catalogue/index.ts';
import { type Refusal, refuse } from '../../errors.ts';
import type { StorefrontBasket } from '../model.ts';
import { dynamicItemPrefix } from './model.ts';
import { readDynamicPackages } from './store.ts';

/** What a package puts into a basket. */
type FoundPackage = { itemId: string; custom: Record<string, string> };

/**
 * The item of the package that a basket may have under this number, or of its dynamic package with this slug. That of
 * another basket is as unknown as one that was never made. Refusal: `package_not_found`.
 */
export async function findPackage(
  { pool }: { pool: pg.Pool },
  { shop: { shopId }, basket: { basketId } }: StorefrontBasket,
  idOrSlug: string,
): Promise<FoundPackage | Refusal> {
  const packageId = /^\d{1,10}$/.test(idOrSlug) ? Number(idOrSlug) : null;
  const found = packageId !== null && packageId < 2 ** 31 ? await findItemOfPackage(pool, shopId, packageId) : null;
  if (found !== null && !found.startsWith(dynamicItemPrefix)) return { itemId: found, custom: {} };
  const dynamic = await readDynamicPackages(pool, shopId, basketId);
  const own = dynamic.find(({ itemId }) => itemId === found) ?? dynamic.find(({ slug }) => slug === idOrSlug);
  return own ? { itemId: own.itemId, custom: own.custom } : refuse('package_not_found');
}
