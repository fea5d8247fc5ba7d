import type pg from 'pg';
import {
  type Answered,
  asOf,
  type Basket,
  type BasketCaller,
  type Conditions,
  changeAndSettle,
  isLive,
  notLive,
  saveBasket,
} from '../baskets/index.ts';
import { type Refusal, refuse } from '../errors.ts';
import type { Admission } from '../holds/index.ts';
import type { Keyring } from '../platform/crypto.ts';
import type { Shop, ShopCache } from '../shops/index.ts';
import { outerExpiry } from './click.ts';
import { laravelKidOf, laravelKidPrefix, type ReadLaravelKeys, writeLaravelLink } from './laravel.ts';
import { writeStartToken } from './token.ts';

/** What start links are signed with. */
export type LinkKeys = { startLinkKeys: Keyring; laravelKeys: ReadLaravelKeys };
/** What start links are made with. */
export type MintDeps = LinkKeys & { pool: pg.Pool; admission: Admission; shops: ShopCache; publicUrl: string };

/**
 * The id of the key that signs a shop's links now: one of its own where it has asked for Laravel's format and registered
 * keys, else the first of the service's.
 */
export async function linkKidOf({ startLinkKeys, laravelKeys }: LinkKeys, shop: Shop): Promise<string> {
  const [first] = shop.link.format === 'laravel' ? ((await laravelKeys(shop))?.keys ?? []) : [];
  return first === undefined ? startLinkKeys.signing.kid : laravelKidOf(first);
}

/**
 * The start link of a basket: of the generation it is in, signed with the key `kid`, or the first when that is no longer
 * listed. The same basket and key always give the same link.
 */
export async function startLinkOf(
  deps: Pick<MintDeps, 'shops' | 'publicUrl' | keyof LinkKeys>,
  basket: Basket,
  kid: string,
): Promise<string> {
  const shop = await deps.shops.get(basket.shopId);
  if (shop === null) throw new Error('a basket lost its shop');
  const { shopId, basketId, linkGeneration: generation } = basket;
  const link = { shopNumber: shop.shopNumber, basketId, generation, expiresAt: outerExpiry(basket) };
  const own = kid.startsWith(laravelKidPrefix) ? ((await deps.laravelKeys(shop))?.keys ?? []) : [];
  const key = own.find((one) => laravelKidOf(one) === kid) ?? own[0];
  if (key !== undefined) return writeLaravelLink(deps.publicUrl, key, { ...link, shopId });
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

async function newGeneration(
  deps: MintDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  change: { linkMinterMayLogIn?: boolean; sessionId?: null },
): Promise<Answered | Refusal> {
  const shop = await deps.shops.get(caller.shopId);
  if (shop === null) return refuse('not_found');
  const linkKid = await linkKidOf(deps, shop);
  return changeAndSettle(deps, caller, basketId, conditions, async ({ tx, basket, now }) => {
    const seen = asOf(basket, now);
    if (!isLive(seen)) return notLive(seen);
    const next = { ...change, linkGeneration: basket.linkGeneration + 1 };
    const saved = await saveBasket(tx, basket, next, 'basket.updated');
    return { basket: saved, answer: { linkKid } };
  });
}
