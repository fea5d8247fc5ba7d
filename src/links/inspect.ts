import type pg from 'pg';
import { type Basket, linkStateOf, readBasket } from '../baskets/index.ts';
import type { ProblemCode } from '../errors.ts';
import { isId } from '../http/access.ts';
import type { DatabaseClock } from '../platform/clock.ts';
import type { Keyring } from '../platform/crypto.ts';
import type { Shop, ShopCache } from '../shops/index.ts';
import { linkModeOf, readClicked } from './click.ts';
import { laravelKidOf, proveLaravelLink, type ReadLaravelKeys, shopNamedIn } from './laravel.ts';
import { readStartToken, readUnproven } from './token.ts';

/** What a start link is looked at with. */
export type InspectDeps = {
  pool: pg.Pool;
  clock: DatabaseClock;
  shops: ShopCache;
  startLinkKeys: Keyring;
  laravelKeys: ReadLaravelKeys;
};

/** What a start link says of itself. Who may believe it is another question. */
type SaidOfLink = { format: 'token' | 'laravel'; basketId: string; generation: number | null; expiresAt: Date | null };

/** A start link, looked at. */
export type Inspected = SaidOfLink & {
  /** `unknown key`: it names one that is not listed, or is of a shop without keys; `wrong`: changed since, or made up. */
  signature: 'proven' | 'unknown key' | 'wrong';
  kid: string | null;
  shop: Shop | null;
  basket: Basket | null;
  /** How a click is answered now: with a page or a redirection to the shop, or by this problem. */
  answer: 'page' | 'redirect' | ProblemCode;
};

/**
 * Looks at a start link, whole or its token alone, as Postgres has it now. Reads only, and counts no opening. Null for
 * what has the form of none.
 */
export async function inspectStartLink(deps: InspectDeps, text: string): Promise<Inspected | null> {
  const url = URL.canParse(text) ? new URL(text) : null;
  const laravelBasketId = /^\/basket\/start\/([^/]+)$/.exec(url?.pathname ?? '')?.[1];
  if (url !== null && laravelBasketId !== undefined) return inspectLaravelLink(deps, laravelBasketId, text);
  return inspectToken(deps, url === null ? text : (/^\/b\/([^/]+)$/.exec(url.pathname)?.[1] ?? ''));
}

async function inspectToken(deps: InspectDeps, token: string): Promise<Inspected | null> {
  const unproven = readUnproven(token);
  if (unproven === null) return null;
  const { kid, link } = unproven;
  const proven = readStartToken(deps.startLinkKeys, token) !== null;
  const isKnown = deps.startLinkKeys.find(kid) !== undefined;
  const shop = await deps.shops.byNumber(link.shopNumber);
  return judge(deps, shop, { format: 'token', ...link }, kid, proven ? 'proven' : isKnown ? 'wrong' : 'unknown key');
}

async function inspectLaravelLink(deps: InspectDeps, basketId: string, url: string): Promise<Inspected> {
  const shopId = shopNamedIn(url);
  const shop = isId(shopId) ? await deps.shops.get(shopId) : null;
  const registered = shop && (await deps.laravelKeys(shop));
  const { searchParams } = new URL(url);
  const expires = Number(searchParams.get('expires') ?? Number.NaN);
  const said = {
    ...({ format: 'laravel', basketId } as const),
    generation: /^\d{1,15}$/.test(searchParams.get('g') ?? '') ? Number(searchParams.get('g')) : null,
    // To the end of the second that it names, as Laravel has it.
    expiresAt: expires < 1e11 ? new Date((expires + 1) * 1000) : null,
  };
  const now = await deps.clock.now();
  const key = registered?.keys.find((key) => proveLaravelLink(url, { ...registered, keys: [key] }, now) !== null);
  const signature = key !== undefined ? 'proven' : registered === null ? 'unknown key' : 'wrong';
  return judge(deps, shop, said, key === undefined ? null : laravelKidOf(key), signature);
}

async function judge(
  { pool, clock }: InspectDeps,
  shop: Shop | null,
  said: SaidOfLink,
  kid: string | null,
  signature: Inspected['signature'],
): Promise<Inspected> {
  const { basketId, generation, expiresAt } = said;
  const known = shop !== null && isId(basketId) ? await readBasket(pool, shop.shopId, basketId) : null;
  const inspected = { ...said, signature, kid, shop, basket: known?.basket ?? null };
  if (signature !== 'proven' || shop === null || generation === null) return { ...inspected, answer: 'link_invalid' };
  const now = await clock.now();
  if (expiresAt !== null && expiresAt <= now) return { ...inspected, answer: 'link_expired' };
  if (known === null) return { ...inspected, answer: 'basket_expired' };
  const link = { basketId, generation, expiresAt: expiresAt ?? new Date(8.64e15) };
  const clicked = await readClicked(pool, shop, link, now);
  if (clicked.outcome === 'refused') return { ...inspected, answer: clicked.code };
  return { ...inspected, answer: linkModeOf(shop, linkStateOf(clicked.basket)).mode };
}
