import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { readSellable, type SellableItem } from '../catalogue/index.ts';
import { isRefusal, type ProblemCode, type Refusal, refuse } from '../errors.ts';
import { type Admission, changeHold, expireListed, type HoldMetrics, type StockTake } from '../holds/index.ts';
import { newId } from '../platform/ids.ts';
import { readShop, type Shop } from '../shops/index.ts';
import { payAgain } from './cards.ts';
import {
  type Answered,
  type BasketCaller,
  type Change,
  type Changed,
  type Conditions,
  changeBasket,
  getBasket,
  holdOf,
} from './change.ts';
import { findCodes, isExhausted, limitsOf, sameCode, takesOfAll } from './codes.ts';
import { liveBasketLimit } from './create.ts';
import { eventIdsOf, priceLines, quantitiesByItem } from './lines.ts';
import {
  type AppliedCode,
  asOf,
  type Basket,
  type BasketLine,
  isLive,
  type Without,
  type WrittenLine,
} from './model.ts';
import { contentAnew } from './rules.ts';
import { insertRecreated, type NewBasket, readSnapshot } from './store.ts';

/** What making a basket anew works with. */
type RecreateDeps = { pool: pg.Pool; admission: Admission; metrics: HoldMetrics };

const attempts = 3;

/**
 * Makes a new basket of one that has expired or was cancelled, with what is still to be had of it at today's prices, once:
 * asked again, it gives the first answer again. What a session has made is activated at once, with a session of its own.
 * The answer says what the new basket is without. Refusals: those of changeBasket, `not_recreatable`,
 * `live_basket_limit`, `insufficient_stock` (nothing is left of it), `quantity_limit` (more lines than the shop now
 * allows), `unavailable` (the catalogue would not stand still).
 */
export async function recreateBasket(
  { pool, admission, metrics }: RecreateDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
): Promise<Answered | Refusal> {
  const found = await getBasket(pool, caller, basketId);
  if (isRefusal(found)) return found;
  // What it still holds, because nobody has swept it yet, is there for the new one.
  if (!isLive(found.basket)) {
    const ended = await expireListed(pool, [found.basket]);
    metrics.changed('expired', ended.length);
    await admission.release(ended);
  }

  let again = false;
  const result = await changeBasket(pool, caller, basketId, conditions, async (change) => {
    const { tx, basket, now } = change;
    if (basket.recreated !== null) {
      again = true;
      const { basketId: newBasketId, ...without } = basket.recreated;
      const first = await readSnapshot(tx, basket.shopId, newBasketId, 1);
      return first === null ? refuse('not_found') : { basket: first, answer: without };
    }
    const { status, statusReason } = asOf(basket, now);
    if (status !== 'expired' && status !== 'cancelled') {
      return refuse('not_recreatable', { extensions: { basketStatus: status, statusReason } });
    }
    return recreate(change, caller);
  });
  if (isRefusal(result)) return result;
  const replayed = result.replayed || again;
  if (!replayed) {
    metrics.changed('created');
    await admission.settle([holdOf(result.basket)]);
  }
  return { ...result, now: result.basket.createdAt, replayed };
}

async function recreate({ tx, basket, now }: Change, caller: BasketCaller): Promise<Changed | Refusal> {
  const { shopId, partner, customerId } = basket;
  const requested = quantitiesByItem(basket.lines);
  let codes = await validCodes(tx, basket, now);
  let left: ReadonlyMap<string, number> = new Map();
  for (let tries = 0; tries < attempts + basket.codes.length; tries += 1) {
    const items = new Map((await readSellable(tx, shopId, [...requested.keys()])).map((item) => [item.itemId, item]));
    // After the items, as when a basket is edited: their prices are in the currency that the shop has now.
    const shop = await readShop(tx, shopId);
    if (shop === null) throw new Error('a basket lost its shop');
    const limit = await liveBasketLimit(tx, shop, partner, customerId);
    if (limit) return limit;

    const notSold = notSoldNow(shop, items, basket.lines, codes, now);
    const written = within(
      basket.lines.filter(({ itemId }) => !notSold.has(itemId)),
      items,
      left,
    );
    const wanted = new Map([...items].filter(([itemId]) => written.some((line) => line.itemId === itemId)));
    const lines = priceLines(shop, wanted, written, codes, now);
    if (isRefusal(lines)) return lines;
    const limits = limitsOf(codes, customerId);
    // Money of another currency pays for nothing.
    const cards = shop.currency === basket.content.currency ? basket.giftCards : [];
    const giftCards = await payAgain(tx, shopId, [], { lines, codes, giftCards: cards }, limits);
    const takes = takesOfAll({ lines, codes, giftCards });
    const versions = new Map([...wanted.values()].map((item) => [item.stockId, item.catalogueVersion]));
    const hold = await changeHold(tx, shopId, [], takes, versions, limits);
    if (hold.outcome === 'stale') continue;
    if (hold.outcome === 'short') {
      // These rows stay locked, so that what is left of them stays.
      left = new Map([...left, ...hold.available]);
      codes = codes.filter((code) => !isExhausted(code, hold.available));
      continue;
    }
    const without = missing(basket, lines, codes, notSold);
    if (lines.length === 0 && requested.size > 0) {
      return refuse('insufficient_stock', { extensions: { errors: without.unavailable } });
    }
    const row = newBasketOf(basket, shop, { lines, codes, giftCards, takes }, caller, now);
    return { basket: await insertRecreated(tx, basket, row, without), answer: without };
  }
  return refuse('unavailable');
}

/** Those of a basket's codes that may still be used, with the terms that they have now. */
async function validCodes(tx: pg.PoolClient, basket: Basket, now: Date): Promise<AppliedCode[]> {
  const valid: AppliedCode[] = [];
  for (const { type, code } of basket.codes) {
    const found = await findCodes(tx, basket.shopId, [{ type, code, pointer: '' }], basket.customerId, now);
    if (!isRefusal(found)) valid.push(...found.codes);
  }
  return valid;
}

/** The items of which nothing may be sold now, whatever there is of them, with the code that says why. */
function notSoldNow(
  shop: Shop,
  items: ReadonlyMap<string, SellableItem>,
  lines: readonly BasketLine[],
  codes: readonly AppliedCode[],
  now: Date,
): Map<string, ProblemCode> {
  const notSold = new Map<string, ProblemCode>();
  for (const [itemId, item] of items) {
    const ofItem = lines.filter((line) => line.itemId === itemId);
    const priced = priceLines(shop, new Map([[itemId, item]]), ofItem, codes, now);
    if (isRefusal(priced)) notSold.set(itemId, priced.refused);
  }
  return notSold;
}

/** As much of lines as is left of their stock rows, the first lines first; what is not said to be short is there. */
function within(
  written: readonly WrittenLine[],
  items: ReadonlyMap<string, SellableItem>,
  available: ReadonlyMap<string, number>,
): WrittenLine[] {
  const left = new Map(available);
  return written.flatMap((line) => {
    const stockId = items.get(line.itemId)?.stockId ?? '';
    const there = left.get(stockId) ?? Infinity;
    const quantity = Math.min(line.quantity, there);
    left.set(stockId, there - quantity);
    return quantity > 0 ? [{ ...line, quantity }] : [];
  });
}

/** What a basket had and the new one has not. */
function missing(
  { lines: before, codes: codesBefore }: Basket,
  lines: readonly BasketLine[],
  codes: readonly AppliedCode[],
  notSold: ReadonlyMap<string, ProblemCode>,
): Without {
  const got = quantitiesByItem(lines);
  const unavailable = [...quantitiesByItem(before)].flatMap(([itemId, requested]) => {
    const available = got.get(itemId) ?? 0;
    const code = notSold.get(itemId) ?? 'insufficient_stock';
    return available < requested ? [{ itemId, requested, available, code }] : [];
  });
  const dropped = codesBefore.filter((code) => !codes.some((kept) => sameCode(kept, code)));
  return { unavailable, droppedCodes: dropped.map(({ code }) => code) };
}

function newBasketOf(
  { shopId, partner, customerId, reference, campaign, content, ttlSeconds, ...before }: Basket,
  shop: Shop,
  { lines, codes, giftCards, takes }: Pick<Basket, 'lines' | 'codes' | 'giftCards'> & { takes: readonly StockTake[] },
  caller: BasketCaller,
  now: Date,
): NewBasket {
  const { maxLifetimeSeconds, checkoutSeconds, maxExtensions } = shop.basket;
  const bySession = caller.kind === 'session';
  const mayLogIn = !bySession && caller.scopes.has('customers:login');
  const ttl = Math.min(ttlSeconds, maxLifetimeSeconds);
  const at = now.toISOString();
  const after = (seconds: number) => new Date(now.getTime() + seconds * 1000).toISOString();
  const session = {
    session_id: `\\x${randomBytes(16).toString('hex')}`,
    session_issued_at: at,
    session_customer_id: before.sessionCustomerId,
    activated_at: at,
  };
  return {
    shop_id: shopId,
    basket_id: newId('bkt'),
    partner,
    status: bySession ? 'activated' : 'open',
    version: 1,
    sequence: 1,
    customer_id: customerId,
    reference,
    campaign,
    hold_stock_ids: takes.map(({ stockId }) => stockId),
    hold_quantities: takes.map(({ quantity }) => quantity),
    event_ids: eventIdsOf(lines),
    lines,
    codes,
    gift_cards: giftCards,
    content: contentAnew(shop, content),
    lifetime_ends_at: after(maxLifetimeSeconds),
    ttl_seconds: ttl,
    checkout_seconds: checkoutSeconds,
    extensions_left: maxExtensions,
    creator_may_log_in: mayLogIn,
    customer_setter_may_log_in: before.customerSetterMayLogIn,
    link_minter_may_log_in: mayLogIn,
    created_at: at,
    updated_at: at,
    expires_at: after(ttl),
    ...(bySession ? session : {}),
  };
}
