import type { Item, Pool, ShopEvent } from '../../catalogue/index.ts';
import { sha256 } from '../../platform/crypto.ts';
import type { CategoryKey } from './model.ts';

/** A category as it is named and numbered, whatever is in it. */
export type CategoryName = { key: CategoryKey; id: number; name: string; slug: string };

/** The category that an item belongs to: its event, else its pool, else the one for items with neither. */
export function categoryKeyOf({ eventId, poolId }: Pick<Item, 'eventId' | 'poolId'>): CategoryKey {
  if (eventId !== null) return `event:${eventId}`;
  return poolId === null ? 'none' : `pool:${poolId}`;
}

/**
 * Names and numbers the categories of a shop, from all its events and pools, in the order of their creation. An id is 31
 * bits of the key's hash, or where that is taken the next one that is free. So a category keeps its id as long as nothing
 * older goes away: events and pools never do.
 */
export function numberCategories(events: readonly ShopEvent[], pools: readonly Pool[]): CategoryName[] {
  const unnumbered: (Omit<CategoryName, 'id'> & { createdAt: Date })[] = [
    { key: 'none', name: 'Packages', slug: 'packages', createdAt: new Date(0) },
    ...events.map(({ eventId, name, createdAt }) => ({
      key: `event:${eventId}` as const,
      name,
      slug: eventId,
      createdAt,
    })),
    ...pools.map(({ poolId, name, createdAt }) => ({ key: `pool:${poolId}` as const, name, slug: poolId, createdAt })),
  ];
  const taken = new Set([0]);
  return unnumbered
    .sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime())
    .map(({ key, name, slug }) => {
      let id = sha256(key).readUInt32BE() >>> 1;
      while (taken.has(id)) id = (id + 1) % 2 ** 31;
      taken.add(id);
      return { key, id, name, slug };
    });
}
