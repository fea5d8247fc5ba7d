import type { PackageItem } from '../../catalogue/index.ts';
import { decimalOf, priceLine } from '../../money/index.ts';
import type { Shop } from '../../shops/index.ts';
import { tebexTime } from '../../webhooks/index.ts';
import type { Category, ListedCategory, Package, PackageVariable } from './model.ts';

/** The limit that items have unless their shop says another. */
const noLimit = 10_000;

/** A web store as Tebex' Headless API writes it. Its address is the origin of the page that shows baskets. */
export function renderWebstore({ shopNumber, name, frontend, currency, locale, createdAt }: Shop) {
  return {
    id: shopNumber,
    description: '',
    name,
    webstore_url: new URL(frontend.basketUrl).origin,
    currency,
    lang: new Intl.Locale(locale).language,
    logo: null,
    platform_type: 'Universal',
    platform_type_id: 'universal',
    disabled: false,
    created_at: tebexTime(createdAt),
  };
}

/** A category with the packages that are shown in it. */
export function renderCategory({ id, name, slug, order, dynamic }: ListedCategory, packages: Package[]): Category {
  return {
    id,
    name,
    slug,
    parent: null,
    tiered: false,
    active_tier: null,
    description: '',
    packages,
    order,
    display_type: 'list',
    image_url: null,
    dynamic,
  };
}

/**
 * An item as a package: what one unit costs, `base_price` and `sales_tax` adding up to `total_price` whether the shop's
 * prices contain tax or not. `packageId` is a number, and stands for the order, too: so the shop has a say in it.
 */
export function renderPackage(
  item: PackageItem,
  category: { id: number; name: string },
  { currency, tax }: Pick<Shop, 'currency' | 'tax'>,
  slug = item.itemId,
): Package {
  const { price: unitPriceMinor, taxRateTenThousandths, maxPerBasket, image } = item;
  const price = priceLine({
    unitPriceMinor,
    quantity: 1,
    discountMinor: 0,
    taxRateTenThousandths,
    taxMode: tax.mode,
  });
  return {
    id: item.packageId,
    name: item.name,
    description: item.description,
    image,
    type: item.type,
    category: { id: category.id, name: category.name },
    base_price: decimalOf(price.total - price.tax, currency),
    sales_tax: decimalOf(price.tax, currency),
    total_price: decimalOf(price.total, currency),
    currency,
    prorate_price: null,
    discount: 0,
    disable_quantity: maxPerBasket === 1,
    disable_gifting: false,
    expiration_date: null,
    media: image === null ? [] : [{ type: 'image', name: null, url: image, featured: false, primary: true }],
    order: item.packageId,
    slug,
    user_limit: maxPerBasket < noLimit ? maxPerBasket : 0,
    creator_meta_data: {},
    options: [],
    // Tebex' template asks for the variables of whatever has the key, were the list empty.
    ...(item.variables.length === 0 ? {} : { variables: item.variables.map(renderVariable) }),
    created_at: tebexTime(item.createdAt),
    updated_at: tebexTime(item.updatedAt),
  };
}

function renderVariable({ name, type, options }: PackageItem['variables'][number], at: number): PackageVariable {
  return {
    id: at + 1,
    identifier: name,
    description: name,
    type,
    options: options.map((option, nth) => ({ id: nth + 1, name: option, value: option })),
  };
}
