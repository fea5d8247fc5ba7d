import { randomBytes, randomInt } from 'node:crypto';
import type pg from 'pg';
import { asOf, isLive, lockBaskets, notLive } from '../../baskets/index.ts';
import { changeItemsIn, freePackageIds, type StockKeeper, type WrittenItem } from '../../catalogue/index.ts';
import { isRefusal, type Refusal, refuse } from '../../errors.ts';
import { hasSqlState, sqlState, withTransaction } from '../../platform/postgres.ts';
import type { ListingCache } from '../catalogue/listing.ts';
import type { CategoryKey } from '../catalogue/model.ts';
import { type Fields, wrong } from '../fields.ts';
import type { StorefrontBasket } from '../model.ts';
import { basketNotFound } from '../problems.ts';
import { dynamicItemPrefix } from './model.ts';
import { readWanted, type WantedPackages } from './rules.ts';
import { readDynamicPackages, replaceDynamicPackages } from './store.ts';

/** What putting dynamic packages works with. */
export type DynamicDeps = { pool: pg.Pool; stock: StockKeeper; listings: ListingCache };

/**
 * Sets what is sold to one basket alone, in place of what was before: a package of the same slug stays the same package,
 * one that is not named again goes off sale. What is in the basket keeps its price. Only a back end may: whoever has the
 * ident could else sell to himself at his own price. Refusals: `unauthorized`, `forbidden`, `basket_not_found` (another
 * partner's), `invalid_request`, `username_required`, `category_not_found`, `basket_not_live`, `unavailable`.
 */
export async function putDynamicPackages(
  { pool, stock, listings }: DynamicDeps,
  { shop, caller, basket }: StorefrontBasket,
  body: Fields,
): Promise<{ message: string } | Refusal> {
  if (caller === null) return refuse('unauthorized');
  if (!caller.scopes.has('baskets:write')) {
    return refuse('forbidden', { detail: 'This call needs an API key with the scope `baskets:write`.' });
  }
  if (caller.partner !== null && caller.partner !== basket.partner) return basketNotFound();
  const wanted = readWanted(body, shop.currency);
  if (isRefusal(wanted)) return wanted;
  const ofId = ({ id }: { id: number }) => id === wanted.categoryId;
  const category = (await listings.get(shop)).find(ofId) ?? (await listings.fresh(shop)).find(ofId);
  if (category === undefined) return refuse('category_not_found');

  const { shopId } = shop;
  try {
    const result = await withTransaction(pool, (tx) =>
      replacePackages(tx, stock, shopId, basket.basketId, category.key, wanted),
    );
    if (isRefusal(result)) return result;
    await stock.tellRedis(shopId, result.stockIds);
    return { message: 'Dynamic packages created successfully.' };
  } catch (error) {
    // A number that was free was taken meanwhile.
    if (hasSqlState(error, sqlState.uniqueViolation)) return refuse('unavailable');
    throw error;
  }
}

/** Replaces the packages of a basket and puts their items; gives the stock rows that Redis is to be told of. */
async function replacePackages(
  tx: pg.PoolClient,
  stock: StockKeeper,
  shopId: string,
  basketId: string,
  category: CategoryKey,
  { username, packages: wanted }: WantedPackages,
): Promise<{ stockIds: string[] } | Refusal> {
  // Two that set the packages of one basket at once do so one after the other.
  const locked = (await lockBaskets(tx, shopId, [basketId])).get(basketId);
  if (locked === undefined) return basketNotFound();
  const { now } = locked;
  const basket = asOf(locked.basket, now);
  if (!isLive(basket)) return notLive(basket);
  const { customer } = basket.content;
  if (!customer.username) return refuse('username_required');
  if (customer.username !== username) return wrong('username', 'is not the one that the basket is for');

  const before = await readDynamicPackages(tx, shopId, basketId);
  const itemIds = new Map(before.map(({ slug, itemId }) => [slug, itemId]));
  const packages = wanted.map((each) => ({ ...each, category, itemId: itemIds.get(each.slug) ?? newItemId() }));
  const withdrawn = before.filter(({ slug }) => !packages.some((each) => each.slug === slug));
  const packageIds = await drawPackageIds(tx, shopId, packages.length);
  const all = [...withdrawn, ...packages].map(({ itemId }) => itemId);
  const changed = await changeItemsIn(tx, stock, shopId, all, (items) => {
    const written = new Map<string, WrittenItem>();
    for (const { itemId } of withdrawn) {
      const item = items.get(itemId);
      if (item) written.set(itemId, { ...item, saleEndsAt: now.toISOString() });
    }
    for (const [at, { itemId, name, priceMinor: price, description, image }] of packages.entries()) {
      const item = items.get(itemId) ?? { ...newItem, packageId: packageIds[at] ?? null };
      written.set(itemId, { ...item, name, price, description, image, eventId: eventIdOf(category) });
    }
    return written;
  });
  if (!isRefusal(changed)) await replaceDynamicPackages(tx, shopId, basketId, packages);
  return changed;
}

/**
 * An itemId that nobody can guess: it is all that keeps the customer of another basket, whose session may add any item of
 * the shop, from buying what is not his. It does not keep two customers apart who tell each other.
 */
function newItemId(): string {
  return dynamicItemPrefix + randomBytes(16).toString('hex');
}

/** What of an item a back end cannot say here. The shop may change it, and it stays so when the package is put again. */
const newItem = {
  taxRate: 0,
  capacity: null,
  poolId: null,
  maxPerBasket: 10_000,
  type: 'single',
  saleStartsAt: null,
  saleEndsAt: null,
  accessRequired: false,
  variables: [],
} as const satisfies Partial<WrittenItem>;

/** So many numbers that no package of the shop has, from the upper half of those that there are. */
async function drawPackageIds(tx: pg.PoolClient, shopId: string, count: number): Promise<number[]> {
  const drawn = new Set(Array.from({ length: 2 * count + 10 }, () => randomInt(2 ** 30, 2 ** 31)));
  const free = await freePackageIds(tx, shopId, [...drawn]);
  if (free.length < count) throw new Error('the numbers of packages are used up');
  return free.slice(0, count);
}

function eventIdOf(category: CategoryKey): string | null {
  return category.startsWith('event:') ? category.slice('event:'.length) : null;
}
