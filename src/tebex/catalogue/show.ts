import type pg from 'pg';
import { type Basket, unlockedBy } from '../../baskets/index.ts';
import { readItems } from '../../catalogue/index.ts';
import { type Refusal, refuse } from '../../errors.ts';
import type { Shop } from '../../shops/index.ts';
import { readDynamicPackages } from '../dynamic/store.ts';
import type { Storefront } from '../model.ts';
import type { ListingCache } from './listing.ts';
import type { Category, CategoryKey, ListedCategory, Package } from './model.ts';
import { renderCategory, renderPackage } from './render.ts';

/** What showing the catalogue works with. */
export type CatalogueDeps = { pool: pg.Pool; listings: ListingCache };

/**
 * The packages that visitors may buy now or soon: all items with a `packageId` but those whose sale has ended, whose event
 * is cancelled, or which need an access code that the basket (null: none is named) has not got. Not the dynamic ones, as
 * Tebex has it: those are in their category.
 */
export async function listPackages(
  { listings }: CatalogueDeps,
  { shop }: Storefront,
  basket: Basket | null,
): Promise<Package[]> {
  const categories = await listings.get(shop);
  return categories.flatMap((category) => visibleTo(category, basket)).sort((a, b) => a.order - b.order);
}

/** One of the packages that listPackages gives, by its number or slug. Refusal: `package_not_found`. */
export async function getPackage(
  deps: CatalogueDeps,
  storefront: Storefront,
  basket: Basket | null,
  idOrSlug: string,
): Promise<Package | Refusal> {
  return findIn(await listPackages(deps, storefront, basket), idOrSlug) ?? refuse('package_not_found');
}

/**
 * The categories in which a visitor finds something, and the events to come without packages of their own: what a basket
 * can buy there was made for it alone. `packages` is empty unless they are asked for.
 */
export async function listCategories(
  { pool, listings }: CatalogueDeps,
  { shop }: Storefront,
  basket: Basket | null,
  { includePackages }: { includePackages: boolean },
): Promise<Category[]> {
  const categories = await listings.get(shop);
  const made = basket === null || !includePackages ? [] : await readMade(pool, shop, basket, categories);
  return categories.flatMap((category) => {
    const packages = [
      ...visibleTo(category, basket),
      ...made.flatMap(({ key, shown }) => (key === category.key ? shown : [])),
    ];
    if (packages.length === 0 && !category.dynamic) return [];
    return renderCategory(category, includePackages ? packages : []);
  });
}

/** One of the categories that listCategories gives, by its number or slug. Refusal: `category_not_found`. */
export async function getCategory(
  deps: CatalogueDeps,
  storefront: Storefront,
  basket: Basket | null,
  options: { includePackages: boolean },
  idOrSlug: string,
): Promise<Category | Refusal> {
  return findIn(await listCategories(deps, storefront, basket, options), idOrSlug) ?? refuse('category_not_found');
}

/** The packages of a category itself that somebody with this basket may buy. */
function visibleTo({ packages }: ListedCategory, basket: Basket | null): Package[] {
  const unlocked = unlockedBy(basket?.codes ?? []);
  return packages.flatMap(({ itemId, accessRequired, shown }) =>
    accessRequired && !unlocked.has(itemId) ? [] : shown,
  );
}

/** The dynamic packages of a basket, each with the category that it is in. */
async function readMade(
  pool: pg.Pool,
  shop: Shop,
  { basketId }: Basket,
  categories: readonly ListedCategory[],
): Promise<{ key: CategoryKey; shown: Package }[]> {
  const { shopId } = shop;
  const made = await readDynamicPackages(pool, shopId, basketId);
  if (made.length === 0) return [];
  const itemIds = made.map(({ itemId }) => itemId);
  const items = await readItems(pool, shopId, itemIds);
  return made.flatMap(({ itemId, slug, category: key }) => {
    const item = items.get(itemId);
    const category = categories.find((each) => each.key === key);
    if (item === undefined || category === undefined || item.packageId === null) return [];
    return { key, shown: renderPackage({ ...item, packageId: item.packageId }, category, shop, slug) };
  });
}

/** What has this number, or where none has it this slug: a slug may be a number, too. */
function findIn<T extends { id: number; slug: string }>(all: readonly T[], idOrSlug: string): T | undefined {
  return all.find(({ id }) => String(id) === idOrSlug) ?? all.find(({ slug }) => slug === idOrSlug);
}
