import type pg from 'pg';
import { readSellable, type SellableItem } from '../catalogue/index.ts';
import { type Refusal, refuse } from '../errors.ts';
import { changeHold, findShort, type StockTake, takesOf } from '../holds/index.ts';
import type { Queryable } from '../platform/postgres.ts';
import { payAgain } from './cards.ts';
import { heldColumns, takesOfBasket } from './change.ts';
import { isExhausted, limitsOf, takesOfAll } from './codes.ts';
import { insufficientStock } from './create.ts';
import { notOnSale, withAmounts } from './lines.ts';
import type { AppliedCode, Basket, BasketLine } from './model.ts';

/** What the activation of a basket that waited changes in it. */
export type Activation = Pick<Basket, 'waiting' | 'lines' | 'codes' | 'giftCards' | 'holdStockIds' | 'holdQuantities'>;

const attempts = 3;

/**
 * Takes all that a basket waits for, in the caller's transaction, which holds its row and those of `ending`, baskets that
 * end with it: what they hold is given back in the same step, so that a customer's own hold is never in the way. Prices
 * stay as they were, but for what codes took off that are used up: these are dropped. Gives what changes in the basket.
 * Refusals, which leave everything as it was: those of notOnSale, `insufficient_stock`, `unavailable` (the catalogue would
 * not stand still).
 */
export async function takeWhatItWaitsFor(
  tx: pg.PoolClient,
  basket: Basket,
  ending: readonly Basket[],
  now: Date,
): Promise<Activation | Refusal> {
  const { shopId, customerId } = basket;
  const freed = takesOf(ending.flatMap(takesOfBasket));
  let { codes } = basket;
  for (let tries = 0; tries < attempts + basket.codes.length; tries += 1) {
    const items = await itemsOf(tx, basket);
    const refusal = notOnSale(items, codes, now);
    if (refusal) return refusal;
    const lines = linesAtActivation(basket, items, codes);
    const limits = limitsOf(codes, customerId);
    const giftCards = await payAgain(tx, shopId, freed, { ...basket, lines, codes }, limits);
    const takes = takesOfAll({ lines, codes, giftCards });
    const versions = new Map([...items.values()].map((item) => [item.stockId, item.catalogueVersion]));
    const hold = await changeHold(tx, shopId, freed, takes, versions, limits);
    if (hold.outcome === 'changed') return { waiting: false, lines, codes, giftCards, ...heldColumns(takes) };
    if (hold.outcome === 'stale') continue;
    const available = withFreed(hold.available, freed);
    const short = insufficientStock(lines, available);
    if (short) return short;
    codes = codes.filter((code) => !isExhausted(code, available));
  }
  return refuse('unavailable');
}

/** Whether what a basket waits for could not be taken at this moment, for want of stock. Reads only. */
export async function isSoldOut(db: Queryable, basket: Basket): Promise<boolean> {
  const lines = linesAtActivation(basket, await itemsOf(db, basket), []);
  return (await findShort(db, basket.shopId, takesOf(lines))).size > 0;
}

/**
 * The lines that a basket which waits is activated with: on the stock that their items draw on by now, since an item of
 * which nothing is held may be moved to a pool meanwhile, priced with these of its codes.
 */
function linesAtActivation(
  { lines, content }: Basket,
  items: ReadonlyMap<string, SellableItem>,
  codes: readonly AppliedCode[],
): BasketLine[] {
  const moved = lines.map((line) => ({ ...line, stockId: items.get(line.itemId)?.stockId ?? line.stockId }));
  return withAmounts(moved, codes, content.taxMode);
}

/** What is available of rows that are short, with what is given back of them. */
function withFreed(available: ReadonlyMap<string, number>, freed: readonly StockTake[]): Map<string, number> {
  const givenBack = new Map(freed.map(({ stockId, quantity }) => [stockId, quantity]));
  return new Map([...available].map(([stockId, left]) => [stockId, left + (givenBack.get(stockId) ?? 0)]));
}

async function itemsOf(db: Queryable, { shopId, lines }: Basket): Promise<Map<string, SellableItem>> {
  const itemIds = [...new Set(lines.map(({ itemId }) => itemId))];
  return new Map((await readSellable(db, shopId, itemIds)).map((item) => [item.itemId, item]));
}
