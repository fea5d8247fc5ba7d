import type { CategoryKey } from '../catalogue/model.ts';

/** What the itemIds of dynamic packages begin with. Packages of items with such ids are not listed. */
export const dynamicItemPrefix = 'tebex-dynamic:';

/** A package that a back end has made for one basket. Name and price are those of its item. */
export type DynamicPackage = {
  slug: string;
  itemId: string;
  category: CategoryKey;
  /** Goes into the basket with the package. */
  custom: Record<string, string>;
};
