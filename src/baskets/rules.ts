import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import { allowedRedirectUrl, isLocale, type Shop } from '../shops/index.ts';
import type { BasketContent, BasketDetails, CreateBasketRequest } from './model.ts';

const maxCustomBytes = 16 * 1024;
const maxCustomDepth = 8;
const dayMs = 24 * 60 * 60 * 1000;
const defaultLinkMs = 7 * dayMs;
const maxLinkMs = 90 * dayMs;

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
 * Until when a basket waits for its activation, by default for seven days; null for one that does not. Refusals:
 * `invalid_request` (a time for a link, where the stock is held from the creation on), `link_expiry_not_allowed`.
 */
export function linkExpiryOf(
  { reserve, linkExpiresAt }: Pick<CreateBasketRequest, 'reserve' | 'linkExpiresAt'>,
  now: Date,
): Date | null | Refusal {
  if (reserve === 'creation') {
    return linkExpiresAt === null ? null : invalid('/linkExpiresAt', 'goes with reserve `activation` alone');
  }
  if (linkExpiresAt === null) return new Date(now.getTime() + defaultLinkMs);
  const expiresAt = new Date(linkExpiresAt);
  const aheadMs = expiresAt.getTime() - now.getTime();
  return aheadMs > 0 && aheadMs <= maxLinkMs ? expiresAt : refuse('link_expiry_not_allowed');
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

/** The same content for another basket in the shop as it is now: without redirects that it does not allow any more. */
export function contentAnew(shop: Shop, content: BasketContent): BasketContent {
  const still = (url: string | null) => (url === null ? null : allowedRedirectUrl(url, shop.allowedRedirectOrigins));
  return {
    ...content,
    successRedirectUrl: still(content.successRedirectUrl),
    failureRedirectUrl: still(content.failureRedirectUrl),
    cancelRedirectUrl: still(content.cancelRedirectUrl),
    currency: shop.currency,
    taxMode: shop.tax.mode,
  };
}

type Redirects = Pick<BasketDetails, 'successRedirectUrl' | 'failureRedirectUrl' | 'cancelRedirectUrl'>;

/** Refuses `custom` data that is larger or deeper than is kept: `invalid_request` with this JSON pointer. */
export function checkCustom(pointer: string, custom: Record<string, unknown>): Refusal | null {
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
