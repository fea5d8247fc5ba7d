import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { SellableItem } from '../catalogue/index.ts';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import { priceLine } from '../money/index.ts';
import { allowedRedirectUrl, isLocale, type Shop } from '../shops/index.ts';
import type { BasketContent, BasketDetails, BasketLine, CreateBasketRequest, WrittenLine } from './model.ts';

const maxCustomBytes = 16 * 1024;
const maxCustomDepth = 8;

/**
 * Prices the lines of a new basket with the items as they are now, or says why it may not be sold. In this order:
 * every item known; no event cancelled or suspended; sale open; access; quantity and number of lines; variables. Equal
 * lines (item, variables, custom, modifiable) are merged. Refusals name the items in `errors`.
 */
export function priceLines(
  shop: Shop,
  items: ReadonlyMap<string, SellableItem>,
  written: readonly WrittenLine[],
  now: Date,
): BasketLine[] | Refusal {
  const lines = mergeEqual(written);
  const known = lines.flatMap((line) => {
    const item = items.get(line.itemId);
    return item ? [{ line, item }] : [];
  });
  type Check = {
    code: Refusal['refused'];
    bad: (item: SellableItem) => boolean;
    status?: number;
    more?: (item: SellableItem) => object;
  };
  const checks: Check[] = [
    { code: 'event_cancelled', status: 422, bad: ({ event }) => event?.status === 'cancelled' },
    { code: 'event_suspended', status: 422, bad: ({ event }) => event?.status === 'suspended' },
    {
      code: 'sale_not_open',
      bad: ({ saleStartsAt }) => saleStartsAt !== null && saleStartsAt > now,
      more: ({ saleStartsAt }) => ({ saleStartsAt }),
    },
    {
      code: 'sale_closed',
      bad: ({ saleEndsAt }) => saleEndsAt !== null && saleEndsAt <= now,
      more: ({ saleEndsAt }) => ({ saleEndsAt }),
    },
    { code: 'access_code_required', bad: ({ accessRequired }) => accessRequired },
    {
      code: 'quantity_limit',
      bad: (item) => sum(known.filter((one) => one.item === item).map(({ line }) => line.quantity)) > item.maxPerBasket,
      more: ({ maxPerBasket }) => ({ maxPerBasket }),
    },
  ];
  const unknown = lines.filter(({ itemId }) => !items.has(itemId)).map(({ itemId }) => ({ itemId }));
  if (unknown.length > 0) return refuse('unknown_item', { extensions: { errors: unknown } });
  for (const { code, bad, status, more } of checks) {
    const items = [...new Set(known.map(({ item }) => item))].filter(bad);
    if (items.length === 0) continue;
    const errors = items.map((item) => ({ itemId: item.itemId, ...more?.(item) }));
    return refuse(code, { ...(status === undefined ? {} : { status }), extensions: { errors } });
  }
  if (lines.length > shop.basket.maxLines) {
    return refuse('quantity_limit', { extensions: { errors: [{ maxLines: shop.basket.maxLines }] } });
  }
  const missing = known.flatMap(({ line, item }, at) =>
    item.variables
      .filter(({ name, required, options }) => {
        const value = line.variables[name];
        return value === undefined ? required : options.length > 0 && !options.includes(value);
      })
      .map(({ name }) => ({ pointer: `/items/${at}/variables/${name}`, itemId: item.itemId, variable: name })),
  );
  if (missing.length > 0) return refuse('variable_required', { extensions: { errors: missing } });

  return known.map(({ line, item }, at) => ({
    lineId: String(at + 1),
    itemId: item.itemId,
    eventId: item.eventId,
    stockId: item.stockId,
    name: item.name,
    type: item.type,
    quantity: line.quantity,
    unitPrice: item.price,
    taxRateTenThousandths: item.taxRateTenThousandths,
    ...priceLine({
      unitPriceMinor: item.price,
      quantity: line.quantity,
      discountMinor: 0,
      taxRateTenThousandths: item.taxRateTenThousandths,
      taxMode: shop.tax.mode,
    }),
    modifiable: line.modifiable,
    variables: line.variables,
    custom: line.custom,
  }));
}

function mergeEqual(written: readonly WrittenLine[]): WrittenLine[] {
  const merged = new Map<string, WrittenLine>();
  for (const line of written) {
    const key = JSON.stringify([line.itemId, line.variables, line.custom, line.modifiable]);
    const quantity = line.quantity + (merged.get(key)?.quantity ?? 0);
    merged.set(key, { ...line, quantity });
  }
  return [...merged.values()];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/**
 * Checks what a schema cannot say of the rest of a creation and gives it in the form that is stored. Refusals:
 * `ttl_not_allowed` and those of checkDetails.
 */
export function contentOf(shop: Shop, body: CreateBasketRequest): BasketContent | Refusal {
  for (const [at, { custom }] of body.items.entries()) {
    const refusal = checkCustom(`/items/${at}/custom`, custom);
    if (refusal) return refusal;
  }
  if (body.ttlSeconds !== undefined && body.ttlSeconds > shop.basket.maxLifetimeSeconds) {
    return refuse('ttl_not_allowed');
  }
  const details = checkDetails(shop, body);
  if (isRefusal(details)) return details;
  const { id, ...customer } = body.customer ?? {};
  return {
    ...details,
    autoRedirect: body.autoRedirect,
    linkMode: body.linkMode,
    revenueShare: body.revenueShare,
    modifiable: body.modifiable,
    currency: shop.currency,
    taxMode: shop.tax.mode,
    customer,
  };
}

/**
 * Checks what may be changed later too, and gives it in the form that is stored: redirect URLs in WHATWG form, an IPv4
 * address in IPv6 clothes as IPv4. Refusals: `invalid_request`, `redirect_not_allowed`.
 */
export function checkDetails(shop: Shop, details: BasketDetails): BasketDetails | Refusal {
  const refusal = checkCustom('/custom', details.custom);
  if (refusal) return refusal;
  const { locale, ipAddress, country, custom } = details;
  if (locale !== null && !isLocale(locale)) return invalid('/locale', 'must be a BCP 47 language tag');
  if (ipAddress !== null && isIP(ipAddress) === 0) return invalid('/ipAddress', 'must be one IPv4 or IPv6 address');
  const redirects: Redirects = { successRedirectUrl: null, failureRedirectUrl: null, cancelRedirectUrl: null };
  for (const name of Object.keys(redirects) as (keyof Redirects)[]) {
    const text = details[name];
    redirects[name] = text === null ? null : allowedRedirectUrl(text, shop.allowedRedirectOrigins);
    if (text !== null && redirects[name] === null) {
      const errors = [{ pointer: `/${name}`, detail: 'is not allowed' }];
      return refuse('redirect_not_allowed', { extensions: { errors } });
    }
  }
  return {
    ...redirects,
    ipAddress: ipAddress === null ? null : ipaddr.process(ipAddress).toString(),
    country,
    locale,
    custom,
  };
}

type Redirects = Pick<BasketDetails, 'successRedirectUrl' | 'failureRedirectUrl' | 'cancelRedirectUrl'>;

function checkCustom(pointer: string, custom: Record<string, unknown>): Refusal | null {
  if (Buffer.byteLength(JSON.stringify(custom)) > maxCustomBytes) return invalid(pointer, 'is larger than 16 KiB');
  return depthOf(custom) > maxCustomDepth ? invalid(pointer, 'is nested deeper than 8 levels') : null;
}

function invalid(pointer: string, detail: string): Refusal {
  return refuse('invalid_request', { detail: `${pointer} ${detail}.`, extensions: { errors: [{ pointer, detail }] } });
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}
