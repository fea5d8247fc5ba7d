import type { Static } from '@sinclair/typebox';
import { type Refusal, refuse } from '../errors.ts';
import type { Caller } from '../http/access.ts';
import { currencyExponent } from '../money/index.ts';
import { type LaravelKeys, laravelParameters, type Settings, type ShopSettings } from './model.ts';
import { normaliseUrl } from './urls.ts';

/**
 * Checks what a schema cannot say of settings and gives them with nothing left out and URLs in WHATWG form.
 * Refusals: `unknown_currency`, `invalid_settings` with `errors`.
 */
export function completeSettings(written: Static<typeof ShopSettings>): Settings | Refusal {
  if (currencyExponent(written.currency) === null) return refuse('unknown_currency');
  const errors: { pointer: string; detail: string }[] = [];
  const url = (pointer: string, text: string) => {
    const normalised = normaliseUrl(text);
    if (normalised === null) {
      errors.push({
        pointer,
        detail: 'must be an absolute https URL without userinfo, fragment or our own parameters',
      });
    }
    return normalised ?? text;
  };
  const { ttlSeconds } = written.basket;
  const maxLifetimeSeconds = written.basket.maxLifetimeSeconds ?? 3 * ttlSeconds;
  if (maxLifetimeSeconds < ttlSeconds) {
    errors.push({ pointer: '/basket/maxLifetimeSeconds', detail: 'must be at least ttlSeconds' });
  }
  if (!isLocale(written.locale)) errors.push({ pointer: '/locale', detail: 'must be a BCP 47 language tag' });
  const settings: Settings = {
    ...written,
    supportUrl: written.supportUrl === null ? null : url('/supportUrl', written.supportUrl),
    frontend: {
      confirmUrl: url('/frontend/confirmUrl', written.frontend.confirmUrl),
      basketUrl: url('/frontend/basketUrl', written.frontend.basketUrl),
      errorUrl: url('/frontend/errorUrl', written.frontend.errorUrl),
    },
    allowedRedirectOrigins: written.allowedRedirectOrigins.map((text, index) => {
      const pointer = `/allowedRedirectOrigins/${index}`;
      const normalised = url(pointer, text);
      if (normaliseUrl(text) === null) return text;
      const { origin, href } = new URL(normalised);
      if (href !== `${origin}/`) errors.push({ pointer, detail: 'must be an origin: scheme, host and port only' });
      return origin;
    }),
    basket: { ...written.basket, maxLifetimeSeconds },
    customer: {
      ...written.customer,
      authProviders: written.customer.authProviders.map((provider, index) => ({
        ...provider,
        url: url(`/customer/authProviders/${index}/url`, provider.url),
      })),
    },
  };
  return errors.length > 0 ? refuse('invalid_settings', { extensions: { errors } }) : settings;
}

/** Whether a text is a BCP 47 language tag, such as en-GB. */
export function isLocale(text: string): boolean {
  try {
    return Intl.getCanonicalLocales(text).length === 1;
  } catch {
    return false;
  }
}

/** Applies a JSON merge patch. Source: RFC 7396, section 2. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a caller manages a shop: `platform` every one, `shop:write` its own. */
export function mayManage(caller: Caller, shopId: string): boolean {
  return caller.kind === 'api' && (caller.scopes.has('platform') || caller.shopId === shopId);
}

/** Of the parameters that shall be ignored, those that a link in Laravel's format cannot do without. */
export function notIgnorable({ ignoredParameters }: LaravelKeys): string[] {
  return ignoredParameters.filter((name) => laravelParameters.includes(name));
}
