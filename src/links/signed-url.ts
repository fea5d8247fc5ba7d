import { createHmac, timingSafeEqual } from 'node:crypto';

/*
 * Laravel's signed URLs, byte for byte: what Laravel 11 to 13 signs verifies here, and the reverse. A key is the literal
 * text of APP_KEY, `base64:` and all. https://laravel.com/docs/urls#signed-urls
 */

type SignOptions = { key: string; expiresAt?: Date; relative?: boolean };
type VerifyOptions = { keys: readonly string[]; now?: Date; ignoredParameters?: readonly string[]; relative?: boolean };

/** `expired` is said only of a URL whose signature is right. */
export type Verified = { ok: true } | { ok: false; reason: 'signature' | 'expired' };

/**
 * Signs a URL as `URL::signedRoute` does, or `temporarySignedRoute` with `expiresAt`: its parameters are sorted by name,
 * `expires` (Unix seconds) among them, and `signature` comes last. With `relative` only path and parameters are signed,
 * so that the URL is good on every host. Throws TypeError for a URL with a fragment or a parameter of these two names.
 */
export function signUrl(url: string, { key, expiresAt, relative = false }: SignOptions): string {
  const { origin, path, query, hasFragment } = split(url);
  if (hasFragment) throw new TypeError('A signed URL has no fragment.');
  if (origin === '' && !relative) throw new TypeError('A URL without a host can be signed with `relative` only.');
  const parameters = parametersOf(query).map(({ part }) => pairOf(part));
  const taken = parameters.find(([name]) => name === 'signature' || name === 'expires');
  if (taken) throw new TypeError(`A signed URL cannot have a parameter named ${taken[0]}.`);
  if (expiresAt) parameters.push(['expires', String(Math.floor(expiresAt.getTime() / 1000))]);
  const sorted = parameters.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const signedQuery = sorted.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
  const signed = `${baseOf(origin, path, relative)}${signedQuery && `?${signedQuery}`}`;
  return `${relative ? origin : ''}${signed}${signedQuery ? '&' : '?'}signature=${hmac(key, signed)}`;
}

/**
 * Verifies a URL as Laravel's `signed` middleware does: the parameters in the order and spelling in which they came,
 * without `signature` and those that are ignored, must have been signed with any of the keys. Anybody may change an
 * ignored parameter. Unlike in Laravel, a signed `expires` that is not a positive integer has expired.
 */
export function verifySignedUrl(url: string, options: VerifyOptions): Verified {
  const { keys, now = new Date(), ignoredParameters = [], relative = false } = options;
  const { origin, path, query } = split(url);
  const parameters = parametersOf(query);
  const left = parameters.filter(({ name }) => name !== 'signature' && !ignoredParameters.includes(name));
  const signed = trimEnd(`${baseOf(origin, path, relative)}?${left.map(({ part }) => part).join('&')}`, '?');
  const given = parameters.findLast(({ name }) => name === 'signature');
  const signature = given === undefined ? '' : pairOf(given.part)[1];
  // Every key is tried, so that the time tells nothing of which one it was.
  const matches = keys.filter((key) => isEqual(hmac(key, signed), signature));
  if (matches.length === 0) return { ok: false, reason: 'signature' };

  const expiries = parameters.map(({ part }) => pairOf(part)).filter(([name]) => /^expires(\[|$)/.test(name));
  const last = expiries.at(-1);
  if (last === undefined) return { ok: true };
  const isInteger = last[0] === 'expires' && /^[1-9]\d*$/.test(last[1]);
  const expired = !isInteger || Math.floor(now.getTime() / 1000) > Number(last[1]);
  return expired ? { ok: false, reason: 'expired' } : { ok: true };
}

/** The parts of a URL as they were written; only what HTTP itself does not tell apart is made equal. */
function split(url: string) {
  const found = /^(?:([a-z][a-z0-9+.-]*):\/\/(?:[^/?#@]*@)?([^/?#]*))?([^?#]*)(?:\?([^#]*))?(#.*)?$/is.exec(url);
  const [, scheme = '', host = '', path = '', query = '', fragment] = found ?? [];
  const protocol = scheme.toLowerCase();
  const defaultPort = protocol === 'https' ? ':443' : protocol === 'http' ? ':80' : ':';
  const authority = host.toLowerCase();
  const origin =
    scheme && `${protocol}://${authority.endsWith(defaultPort) ? authority.slice(0, -defaultPort.length) : authority}`;
  return { origin, path, query, hasFragment: fragment !== undefined };
}

/** What is signed before the parameters: Laravel puts no slash at the end of a path. */
function baseOf(origin: string, path: string, relative: boolean): string {
  return relative ? `/${trimEnd(path.replace(/^\/+/, ''), '/')}` : trimEnd(`${origin}${path}`, '/');
}

/** Not a regular expression: `x+$` takes the square of the time for a text full of `x` that ends otherwise. */
function trimEnd(text: string, char: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === char) end -= 1;
  return text.slice(0, end);
}

/** The parts between the `&`, with their names as they were written. None of an empty query. */
function parametersOf(query: string): { name: string; part: string }[] {
  if (query === '') return [];
  return query.split('&').map((part) => ({ name: part.split('=', 1)[0] ?? '', part }));
}

/** Name and value of a part, decoded as PHP does: `+` is a space, and what is no valid escape stays as it is. */
function pairOf(part: string): [name: string, value: string] {
  const at = part.indexOf('=');
  const [name, value] = at === -1 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
  return [decode(name), decode(value)];
}

function decode(text: string): string {
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}

/** As RFC 3986 has it: all but letters, digits and `-_.~`. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

function hmac(key: string, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex');
}

function isEqual(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}
