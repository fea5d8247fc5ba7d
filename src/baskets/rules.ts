import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { SellableItem } from '../catalogue/index.ts';
import { isRefusal, type ProblemCode, type Refusal, refuse } from '../errors.ts';
import { priceLine, type TaxMode } from '../money/index.ts';
import { allowedRedirectUrl, isLocale, type Shop } from '../shops/index.ts';
import type { BasketContent, BasketDetails, BasketLine, CreateBasketRequest, WrittenLine } from './model.ts';

const maxCustomBytes = 16 * 1024;
const maxCustomDepth = 8;

type Wanted = { item: SellableItem; quantity: number; now: Date };

/** Why an item may not be sold, in the order in which it is asked; the first that holds is the answer. */
const saleChecks: readonly {
  code: ProblemCode;
  status?: number;
  fails: (wanted: Wanted) => boolean;
  explain?: (item: SellableItem) => object;
}[] = [
  { code: 'event_cancelled', status: 422, fails: ({ item }) => item.event?.status === 'cancelled' },
  { code: 'event_suspended', status: 422, fails: ({ item }) => item.event?.status === 'suspended' },
  {
    code: 'sale_not_open',
    fails: ({ item, now }) => item.saleStartsAt !== null && item.saleStartsAt > now,
    explain: ({ saleStartsAt }) => ({ saleStartsAt }),
  },
  {
    code: 'sale_closed',
    fails: ({ item, now }) => item.saleEndsAt !== null && item.saleEndsAt <= now,
    explain: ({ saleEndsAt }) => ({ saleEndsAt }),
  },
  { code: 'access_code_required', fails: ({ item }) => item.accessRequired },
  {
    code: 'quantity_limit',
    fails: ({ item, quantity }) => quantity > item.maxPerBasket,
    explain: ({ maxPerBasket }) => ({ maxPerBasket }),
  },
];

/**
 * Prices the lines of a new basket with the items as they are now, or says why it may not be sold: an item is unknown,
 * a sale check fails (an item's lines count as their sum), there are too many lines, or a variable is missing. Equal
 * lines (item, variables, custom, modifiable) are merged. Refusals name the items in `errors`.
 */
export function priceLines(
  shop: Shop,
  items: ReadonlyMap<string, SellableItem>,
  written: readonly WrittenLine[],
  now: Date,
): BasketLine[] | Refusal {
  const refusal = unsellable(items, written, now);
  if (refusal) return refusal;
  const merged = mergeEqual(written);
  if (merged.length > shop.basket.maxLines) {
    return refuse('quantity_limit', { extensions: { errors: [{ maxLines: shop.basket.maxLines }] } });
  }
  return merged.flatMap((line, at) => {
    const item = items.get(line.itemId);
    return item ? [pricedLine(String(at + 1), line, item, shop.tax.mode)] : [];
  });
}

function unsellable(
  items: ReadonlyMap<string, SellableItem>,
  written: readonly WrittenLine[],
  now: Date,
): Refusal | null {
  const quantities = new Map<string, number>();
  for (const { itemId, quantity } of written) quantities.set(itemId, (quantities.get(itemId) ?? 0) + quantity);
  const unknown = [...quantities.keys()].filter((itemId) => !items.has(itemId));
  if (unknown.length > 0)
    return refuse('unknown_item', { extensions: { errors: unknown.map((itemId) => ({ itemId })) } });
  for (const { code, status, fails, explain } of saleChecks) {
    const failing = [...items.values()].filter((item) =>
      fails({ item, quantity: quantities.get(item.itemId) ?? 0, now }),
    );
    if (failing.length === 0) continue;
    const errors = failing.map((item) => ({ itemId: item.itemId, ...explain?.(item) }));
    return refuse(code, { ...(status === undefined ? {} : { status }), extensions: { errors } });
  }
  const errors = written.flatMap(({ itemId, variables }, at) =>
    (items.get(itemId)?.variables ?? [])
      .filter(({ name, required, options }) => {
        const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
        return value === undefined ? required : options.length > 0 && !options.includes(value);
      })
      .map(({ name }) => ({ pointer: `/items/${at}/variables/${name}`, itemId, variable: name })),
  );
  return errors.length > 0 ? refuse('variable_required', { extensions: { errors } }) : null;
}

function pricedLine(lineId: string, line: WrittenLine, item: SellableItem, taxMode: TaxMode): BasketLine {
  const { itemId, eventId, stockId, name, type, price: unitPrice, taxRateTenThousandths } = item;
  const { quantity, modifiable, variables, custom } = line;
  const amounts = priceLine({ unitPriceMinor: unitPrice, quantity, discountMinor: 0, taxRateTenThousandths, taxMode });
  return {
    lineId,
    itemId,
    eventId,
    stockId,
    name,
    type,
    quantity,
    unitPrice,
    taxRateTenThousandths,
    ...amounts,
    modifiable,
    variables,
    custom,
  };
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
    const { maxLifetimeSeconds } = shop.basket;
    return refuse('ttl_not_allowed', { extensions: { maxLifetimeSeconds } });
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
