/** A category as Tebex' Headless API writes it. What we know nothing of has the value that Tebex has for nothing. */
export type Category = {
  id: number;
  name: string;
  slug: string;
  parent: null;
  tiered: false;
  active_tier: null;
  description: string;
  packages: Package[];
  order: number;
  display_type: 'list';
  image_url: null;
  dynamic: boolean;
};

/** A package as Tebex' Headless API writes it; prices are decimals of the currency, of one unit. */
export type Package = {
  id: number;
  name: string;
  description: string;
  image: string | null;
  type: 'single' | 'subscription';
  category: { id: number; name: string };
  base_price: number;
  sales_tax: number;
  total_price: number;
  currency: string;
  prorate_price: null;
  discount: number;
  disable_quantity: boolean;
  disable_gifting: boolean;
  expiration_date: null;
  media: { type: 'image'; name: null; url: string; featured: boolean; primary: boolean }[];
  order: number;
  slug: string;
  user_limit: number;
  creator_meta_data: object;
  options: never[];
  /** Left out where there are none. */
  variables?: PackageVariable[];
  created_at: string;
  updated_at: string;
};

/** What a customer says of a package. SPEC leaves it open; this is how Tebex' templates read it. */
export type PackageVariable = {
  id: number;
  identifier: string;
  description: string;
  type: string;
  options: { id: number; name: string; value: string }[];
};

/** What makes a category: `event:<id>`, `pool:<id>`, or `none` for items with neither. */
export type CategoryKey = `event:${string}` | `pool:${string}` | 'none';

/** A package on sale now or soon, with what decides who sees it. */
type ListedPackage = { itemId: string; accessRequired: boolean; shown: Package };

/** A category with its own packages, in their order: all but those of single baskets. */
export type ListedCategory = {
  key: CategoryKey;
  id: number;
  name: string;
  slug: string;
  order: number;
  /** Whether it has no packages of its own, and is there for those of single baskets. */
  dynamic: boolean;
  packages: ListedPackage[];
};
