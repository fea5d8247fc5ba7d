import { isRefusal, type Refusal, refuse } from '../../errors.ts';
import type { Keyring } from '../../platform/crypto.ts';
import { allowedRedirectUrl, type ShopCache, withParameters } from '../../shops/index.ts';
import { type Fields, required, textIn } from '../fields.ts';
import type { StorefrontBasket } from '../model.ts';
import { writeState } from './state.ts';

const stateTtlMs = 60 * 60 * 1000;

/**
 * Where the customer can sign in: the shop's providers, each called with `basket_id` and a `state` that says for an hour
 * that the sign-in was begun for this basket and leads back to `returnUrl`. Refusals: `invalid_request`,
 * `redirect_not_allowed`.
 */
export async function listProviders(
  { shops, stateKeys }: { shops: ShopCache; stateKeys: Keyring },
  { shop: known, basket: { basketId }, now }: StorefrontBasket,
  fields: Fields,
): Promise<{ name: string; url: string }[] | Refusal> {
  const wanted = required('returnUrl', textIn(fields, 'returnUrl'));
  if (isRefusal(wanted)) return wanted;
  const shop = (await shops.fresh(known.shopId)) ?? known;
  const returnUrl = allowedRedirectUrl(wanted, shop.allowedRedirectOrigins);
  if (returnUrl === null) {
    const errors = [{ pointer: '/returnUrl', detail: 'is not allowed' }];
    return refuse('redirect_not_allowed', { extensions: { errors } });
  }
  const expiresAt = new Date(now.getTime() + stateTtlMs);
  const state = writeState(stateKeys, { shopNumber: shop.shopNumber, basketId, expiresAt, returnUrl });
  return shop.customer.authProviders.map(({ name, url }) => ({
    name,
    url: withParameters(url, { state, basket_id: basketId }),
  }));
}
