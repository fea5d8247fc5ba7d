import type pg from 'pg';
import { type Basket, holdOf, isLive, linkStateOf, readBasket } from '../baskets/index.ts';
import { readEvents } from '../catalogue/index.ts';
import type { ProblemCode } from '../errors.ts';
import type { Admission, LinkState } from '../holds/index.ts';
import { isId } from '../http/access.ts';
import type { DatabaseClock } from '../platform/clock.ts';
import type { Keyring } from '../platform/crypto.ts';
import type { Shop, ShopCache } from '../shops/index.ts';
import { proveLaravelLink, type ReadLaravelKeys, shopNamedIn } from './laravel.ts';
import { readStartToken, type StartLink } from './token.ts';

/** What a click works with. */
export type ClickDeps = {
  pool: pg.Pool;
  admission: Admission;
  clock: DatabaseClock;
  shops: ShopCache;
  startLinkKeys: Keyring;
  laravelKeys: ReadLaravelKeys;
};

/** The event that an item of the basket belongs to, as the click page names it. */
export type ClickedEvent = { name: string; startsAt: Date | null; status: string };

/** A start link that leads nowhere. `shop` is known as soon as the signature is proven. */
export type RefusedClick =
  | { outcome: 'refused'; code: 'link_invalid'; shop: null; basketId: null }
  | { outcome: 'refused'; code: ProblemCode; shop: Shop; basketId: string };

/** What a start link led to. */
export type Click =
  | RefusedClick
  | {
      outcome: 'proven';
      shop: Shop;
      basketId: string;
      said: SaidByLink;
      link: LinkState;
      now: Date;
      /** Redis could not say it: Postgres was asked. */
      cold: boolean;
    };

/** The basket of a proven click, to be shown. */
export type ClickedBasket = { outcome: 'proven'; basket: Basket; events: ClickedEvent[] };

type SaidByLink = Pick<StartLink, 'basketId' | 'generation' | 'expiresAt'>;
type Proven = { link: SaidByLink; now: Date; basket: Basket; events: readonly Pick<ClickedEvent, 'status'>[] };

/**
 * The checks of a proven link, in the order in which they are made: the first that fails is the answer. Redemption makes
 * the same ones again, since between the two up to a minute passes.
 */
export const linkChecks: readonly { code: ProblemCode; fails: (proven: Proven) => boolean }[] = [
  { code: 'link_expired', fails: ({ link, now }) => link.expiresAt <= now },
  { code: 'link_revoked', fails: ({ link, basket }) => link.generation !== basket.linkGeneration },
  { code: 'link_used', fails: ({ basket }) => basket.status === 'completed' },
  { code: 'event_cancelled', fails: ({ basket }) => basket.statusReason === 'event_cancelled' },
  { code: 'basket_cancelled', fails: ({ basket }) => basket.status === 'cancelled' },
  { code: 'basket_expired', fails: ({ basket }) => !isLive(basket) },
  { code: 'event_cancelled', fails: ({ events }) => events.some(({ status }) => status === 'cancelled') },
  { code: 'event_suspended', fails: ({ events }) => events.some(({ status }) => status === 'suspended') },
];

const invalid = { outcome: 'refused', code: 'link_invalid', shop: null, basketId: null } as const;

/**
 * Follows a start link as far as it goes: where it leads on, by the word of Redis. Reads only: whoever opens it, however
 * often, nothing changes.
 */
export async function followStartLink(deps: ClickDeps, token: string): Promise<Click> {
  const link = readStartToken(deps.startLinkKeys, token);
  const shop = link && (await deps.shops.byNumber(link.shopNumber));
  return link && shop ? followProven(deps, shop, link, await deps.clock.now()) : invalid;
}

/**
 * The same for one in Laravel's format, by its whole URL. Of the shop that it names only the keys are used before they
 * prove it.
 */
export async function followLaravelLink(deps: ClickDeps, basketId: string, url: string): Promise<Click> {
  const shopId = shopNamedIn(url);
  const shop = isId(shopId) ? await deps.shops.get(shopId) : null;
  const now = await deps.clock.now();
  const link = proveLaravelLink(url, shop && (await deps.laravelKeys(shop)), now);
  if (link === null || shop === null) return invalid;
  if (link === 'expired') return { outcome: 'refused', code: 'link_expired', shop, basketId };
  return followProven(deps, shop, { ...link, basketId }, now);
}

/**
 * Redis is believed only when it says that the link leads on. All else Postgres says, also where Redis has not heard of
 * the basket yet, which then is told to it.
 */
async function followProven(deps: ClickDeps, shop: Shop, said: SaidByLink, now: Date): Promise<Click> {
  const { shopId } = shop;
  const { basketId } = said;
  if (said.expiresAt <= now) return { outcome: 'refused', code: 'link_expired', shop, basketId };
  if (!isId(basketId)) return { outcome: 'refused', code: 'basket_expired', shop, basketId };
  const answer = await deps.admission.click({ shopId, basketId });
  if (answer.outcome === 'follow' && leadsOn(answer.link, said, now)) {
    return { outcome: 'proven', shop, basketId, said, link: answer.link, now, cold: false };
  }
  const clicked = await readClicked(deps.pool, shop, said, now);
  if (clicked.outcome === 'refused') return clicked;
  const { basket } = clicked;
  if (answer.outcome === 'unknown' && answer.seen !== null) void deps.admission.warm(holdOf(basket), answer.seen);
  return { outcome: 'proven', shop, basketId, said, link: linkStateOf(basket), now, cold: true };
}

function leadsOn(link: LinkState, said: SaidByLink, now: Date): boolean {
  return link.generation === said.generation && link.expiresAt > now;
}

/** Reads the basket that a proven link is of, and its events, and makes all the checks of the link on them. */
export async function readClicked(
  pool: pg.Pool,
  shop: Shop,
  link: SaidByLink,
  now: Date,
): Promise<ClickedBasket | RefusedClick> {
  const { shopId } = shop;
  const { basketId } = link;
  const found = await readBasket(pool, shopId, basketId);
  if (found === null) return { outcome: 'refused', code: 'basket_expired', shop, basketId };
  const { basket } = found;
  const events = [...(await readEvents(pool, shopId, basket.eventIds)).values()];
  const failed = linkChecks.find(({ fails }) => fails({ link, now, basket, events }));
  return failed ? { outcome: 'refused', code: failed.code, shop, basketId } : { outcome: 'proven', basket, events };
}

/** Whether redeeming a click on this basket's link would log its customer in without asking. */
export function logsIn(shop: Shop, { mayLogIn }: LinkState): boolean {
  return mayLogIn && shop.customer.login === 'auto';
}

/**
 * How a click is answered: as the basket or else the shop asks for, and where neither does with the page when somebody
 * would be logged in or stock taken, because such a link must be pressed by a person.
 */
export function linkModeOf(shop: Shop, link: LinkState): { mode: 'page' | 'redirect'; askedFor: boolean } {
  const asked = link.mode ?? shop.link.mode;
  if (asked !== null) return { mode: asked, askedFor: true };
  return { mode: logsIn(shop, link) || link.reservesAtActivation ? 'page' : 'redirect', askedFor: false };
}

/**
 * The latest moment that a basket can live until, by the settings at its creation; its links say nothing after it: the
 * latest moment of its first activation, which starts the lifetime anew, that lifetime, and the time for paying.
 */
export function outerExpiry(basket: Basket): Date {
  const lifetimeMs = basket.lifetimeEndsAt.getTime() - (basket.activatedAt ?? basket.createdAt).getTime();
  const latestActivationMs = basket.linkExpiresAt?.getTime() ?? basket.createdAt.getTime() + lifetimeMs;
  return new Date(latestActivationMs + lifetimeMs + basket.checkoutSeconds * 1000);
}
