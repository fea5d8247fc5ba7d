import type { Shop } from './model.ts';

/** The parameters that we add to redirect URLs ourselves: a caller's own would let it forge them. */
const ownParameters = ['order_id', 'customer_id', 'basket_id'];

const maxUrlLength = 2048;

/**
 * The URL in WHATWG form if a customer may be sent there, else null: absolute, https (http for loopback hosts only), no
 * userinfo, backslash, control character, space at an end, fragment, trailing dot in the host or parameter of our own.
 * What WHATWG parsing would silently drop or rewrite is refused before parsing, since another parser would read it
 * differently.
 */
export function normaliseUrl(text: string): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (text.length > maxUrlLength || /[\u0000-\u0020\u007F-\u009F\\#]/.test(text)) return null;
  if (!/^https?:\/\/[^/]/i.test(text)) return null;
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return null;
  }
  const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url.protocol !== 'https:' && !loopback) return null;
  if (url.username !== '' || url.password !== '' || /^https?:\/\/[^/?]*@/i.test(text)) return null;
  if (url.hostname.endsWith('.')) return null;
  if (ownParameters.some((name) => url.searchParams.has(name))) return null;
  return url.href.length > maxUrlLength ? null : url.href;
}

/** The URL in WHATWG form if it may be used and its origin is one of the allowed, else null. */
export function allowedRedirectUrl(text: string, allowedOrigins: readonly string[]): string | null {
  const url = normaliseUrl(text);
  return url !== null && allowedOrigins.includes(new URL(url).origin) ? url : null;
}

/** The URL with these parameters set, those that are null left out; the parameters it has already stay. */
export function withParameters(url: string, parameters: Record<string, string | null>): string {
  const result = new URL(url);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null) result.searchParams.set(name, value);
  }
  return result.href;
}

/** The origins of a shop's front end: where its customers are sent, and from where its pages call. None without a shop. */
export function frontendOrigins(shop: Pick<Shop, 'frontend'> | null): string[] {
  return shop === null ? [] : [...new Set(Object.values(shop.frontend).map((url) => new URL(url).origin))];
}
