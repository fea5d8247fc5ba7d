import type pg from 'pg';
import {
  type Answered,
  asOf,
  type Basket,
  type BasketCaller,
  type Conditions,
  changeBasket,
  isLive,
  notLive,
  saveBasket,
} from '../baskets/index.ts';
import type { Refusal } from '../errors.ts';
import type { Keyring } from '../platform/crypto.ts';
import type { ShopCache } from '../shops/index.ts';
import { outerExpiry } from './click.ts';
import { writeStartToken } from './token.ts';

/** What start links are made with. */
export type MintDeps = { pool: pg.Pool; shops: ShopCache; startLinkKeys: Keyring; publicUrl: string };

/**
 * The start link of a basket: of the generation it is in, signed with the key `kid`, or the first when that is no longer
 * listed. The same basket and key always give the same link.
 */
export async function startLinkOf(
  deps: Pick<MintDeps, 'shops' | 'startLinkKeys' | 'publicUrl'>,
  basket: Basket,
  kid: string,
): Promise<string> {
  const shop = await deps.shops.get(basket.shopId);
  if (shop === null) throw new Error('a basket lost its shop');
  const { basketId, linkGeneration: generation } = basket;
  const link = { shopNumber: shop.shopNumber, basketId, generation, expiresAt: outerExpiry(basket) };
  return `${deps.publicUrl}/b/${writeStartToken(deps.startLinkKeys, link, kid)}`;
}

/**
 * Mints a new start link; the earlier ones stop working. The link logs its customer in only if this caller may.
 * Refusals: those of changeBasket, `basket_not_live`.
 */
export function mintStartLink(
  deps: MintDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
): Promise<Answered | Refusal> {
  const linkMinterMayLogIn = caller.kind === 'api' && caller.scopes.has('customers:login');
  return newGeneration(deps, caller, basketId, conditions, { linkMinterMayLogIn });
}

/**
 * Makes every start link of a basket stop working, and the confirmation tokens that came from them; with `sessions` the
 * open session too. Refusals: those of changeBasket, `basket_not_live`.
 */
export function revokeStartLinks(
  deps: MintDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  sessions: boolean,
): Promise<Answered | Refusal> {
  return newGeneration(deps, caller, basketId, conditions, sessions ? { sessionId: null } : {});
}

function newGeneration(
  deps: MintDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  change: { linkMinterMayLogIn?: boolean; sessionId?: null },
): Promise<Answered | Refusal> {
  return changeBasket(deps.pool, caller, basketId, conditions, async ({ tx, basket, now }) => {
    const seen = asOf(basket, now);
    if (!isLive(seen)) return notLive(seen);
    const next = { ...change, linkGeneration: basket.linkGeneration + 1 };
    const saved = await saveBasket(tx, basket, next, 'basket.updated');
    return { basket: saved, answer: { linkKid: deps.startLinkKeys.signing.kid } };
  });
}
