import { LRUCache } from 'lru-cache';
import { type Item, listEvents, listPackages, listPools, type ShopEvent } from '../../catalogue/index.ts';
import type { DatabaseClock } from '../../platform/clock.ts';
import type { Queryable } from '../../platform/postgres.ts';
import type { Shop } from '../../shops/index.ts';
import { dynamicItemPrefix } from '../dynamic/model.ts';
import { categoryKeyOf, numberCategories } from './categories.ts';
import type { CategoryKey, ListedCategory } from './model.ts';
import { renderPackage } from './render.ts';

/**
 * The categories of shops with what is on sale, as they were at most a second ago. However many ask, each shop is read
 * once at a time.
 */
export type ListingCache = {
  get(shop: Shop): Promise<readonly ListedCategory[]>;
  /** Reads past the cache: for when what it gave would lead to a refusal. */
  fresh(shop: Shop): Promise<readonly ListedCategory[]>;
};

const maxAgeMs = 1000;

/** Opens the cache, of the 1,000 shops that were asked for last. */
export function openListingCache(db: Queryable, clock: DatabaseClock): ListingCache {
  const listings = new LRUCache<string, readonly ListedCategory[], Shop>({
    max: 1000,
    ttl: maxAgeMs,
    // Who waits for a read gets it, though its shop has been pushed out meanwhile.
    ignoreFetchAbort: true,
    fetchMethod: (_shopId, _stale, { context: shop }) => readListing(db, clock, shop),
  });
  return {
    get: (shop) => listings.forceFetch(shop.shopId, { context: shop }),
    fresh: (shop) => listings.forceFetch(shop.shopId, { context: shop, forceRefresh: true }),
  };
}

/** Reads a shop's categories, those of cancelled events left out, with the packages that may be bought now or soon. */
async function readListing(db: Queryable, clock: DatabaseClock, shop: Shop): Promise<ListedCategory[]> {
  const { shopId } = shop;
  const [now, events, pools, items] = await Promise.all([
    clock.now(),
    listEvents(db, shopId),
    listPools(db, shopId),
    listPackages(db, shopId, dynamicItemPrefix),
  ]);
  const itemsByCategory = new Map<CategoryKey, typeof items>();
  for (const item of items) {
    const key = categoryKeyOf(item);
    const others = itemsByCategory.get(key);
    if (others) others.push(item);
    else itemsByCategory.set(key, [item]);
  }
  const eventsByKey = new Map(events.map((event) => [`event:${event.eventId}`, event]));
  return numberCategories(events, pools).flatMap((category, at) => {
    const event = eventsByKey.get(category.key);
    if (event?.status === 'cancelled') return [];
    const own = itemsByCategory.get(category.key) ?? [];
    const packages = own
      .filter((item) => !isOver(item, now))
      .map((item) => {
        const { itemId, accessRequired } = item;
        return { itemId, accessRequired, shown: renderPackage(item, category, shop) };
      });
    const dynamic = event !== undefined && own.length === 0 && !isPast(event, now);
    return [{ ...category, order: at, dynamic, packages }];
  });
}

/** Whether an item's sale is over. One that has not begun is shown: adding it says when it does. */
function isOver({ saleEndsAt }: Pick<Item, 'saleEndsAt'>, now: Date): boolean {
  return saleEndsAt !== null && saleEndsAt <= now;
}

function isPast({ startsAt }: ShopEvent, now: Date): boolean {
  return startsAt !== null && startsAt <= now;
}
