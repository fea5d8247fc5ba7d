import type pg from 'pg';
import {
  type Answered,
  type BasketCaller,
  type Change,
  type Conditions,
  changeBasket,
  frozen,
  saveBasket,
} from '../../baskets/index.ts';
import { isRefusal, type Refusal, refuse } from '../../errors.ts';
import type { Keyring } from '../../platform/crypto.ts';
import { allowedRedirectUrl, type Shop, type ShopCache } from '../../shops/index.ts';
import type { AuthorizeRequest } from './model.ts';
import { readState } from './state.ts';

/** What baskets are authorized with. */
export type AuthorizeDeps = { pool: pg.Pool; shops: ShopCache; stateKeys: Keyring };

/**
 * Attributes a basket to a user whom the shop's sign-in page knows now, in place of whom it was attributed to before, and
 * `basket.authenticated` goes out. With the `state` of the sign-in the answer has its `returnUrl`, else null. Refusals:
 * those of changeBasket, `basket_not_live`, `basket_in_checkout`, `state_invalid`, `state_expired`,
 * `redirect_not_allowed` (the shop has taken the URL's origin off its list meanwhile).
 */
export async function authorizeBasket(
  deps: AuthorizeDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  { username, usernameId, state }: AuthorizeRequest,
): Promise<Answered | Refusal> {
  const shop = await deps.shops.fresh(caller.shopId);
  if (shop === null) return refuse('not_found');
  return changeBasket(deps.pool, caller, basketId, conditions, async (change) => {
    const refusal = frozen(change);
    if (refusal) return refusal;
    const returnUrl = state === undefined ? null : returnUrlOf(deps.stateKeys, shop, change, state);
    if (isRefusal(returnUrl)) return returnUrl;
    const { tx, basket } = change;
    const content = { ...basket.content, customer: { ...basket.content.customer, username, usernameId } };
    return { basket: await saveBasket(tx, basket, { content }, 'basket.authenticated'), answer: { returnUrl } };
  });
}

/** Where a sign-in for this basket was to lead. Who has another basket's state may not have signed in for this one. */
function returnUrlOf(
  stateKeys: Keyring,
  shop: Shop,
  { basket, now }: Pick<Change, 'basket' | 'now'>,
  token: string,
): string | Refusal {
  const state = readState(stateKeys, token);
  if (state?.shopNumber !== shop.shopNumber || state.basketId !== basket.basketId) return refuse('state_invalid');
  if (state.expiresAt <= now) return refuse('state_expired');
  if (allowedRedirectUrl(state.returnUrl, shop.allowedRedirectOrigins) === null) {
    const errors = [{ pointer: '/state', detail: 'leads to a URL that is not allowed any more' }];
    return refuse('redirect_not_allowed', { extensions: { errors } });
  }
  return state.returnUrl;
}
