import type pg from 'pg';
import { addEntries, findCard, plainNumber, readGivenBack, stockIdOfCard } from '../catalogue/index.ts';
import type { Refusal } from '../errors.ts';
import { addCapacity, lockStock, readAvailable, type StockLimit, type StockTake, takesOf } from '../holds/index.ts';
import { totalsOf } from '../money/index.ts';
import type { Keyring } from '../platform/crypto.ts';
import type { Queryable } from '../platform/postgres.ts';
import { refuseCode, takesOfAll } from './codes.ts';
import type { AppliedCard, Basket, BasketLine, CreateBasketRequest } from './model.ts';

/** The number of a gift card that somebody gives, and where in the request. */
export type GivenCard = { number: string; pointer: string };

/** A card with what there is on it that no other basket holds, in minor units. */
type CardWithMoney = Pick<AppliedCard, 'cardId' | 'last4'> & { freeMinor: number };

/** The gift cards of a creation in the order in which they pay; one that is given twice pays once. */
export function givenCards({ giftCards }: CreateBasketRequest): GivenCard[] {
  const given = giftCards.map((number, at) => ({ number, pointer: `/giftCards/${at}` }));
  const plain = given.map(({ number }) => plainNumber(number));
  return given.filter((_, at) => plain.indexOf(plain[at] ?? '') === at);
}

/**
 * Finds cards by their numbers. Whatever is wrong with one is refused as `code_unknown`: who guesses numbers learns nothing
 * of them, and nobody can pay with one that is empty.
 */
export async function findCards(
  db: Queryable,
  keys: Keyring,
  shopId: string,
  currency: string,
  given: readonly GivenCard[],
): Promise<CardWithMoney[] | Refusal> {
  const found: CardWithMoney[] = [];
  for (const { number, pointer } of given) {
    const card = await findCard(db, keys, shopId, number);
    const stockId = card && stockIdOfCard(card);
    const freeMinor = stockId === null ? 0 : ((await readAvailable(db, shopId, [stockId])).get(stockId) ?? 0);
    if (card === null || card.currency !== currency || freeMinor === 0) {
      return refuseCode('code_unknown', pointer, 'is not a gift card that can pay for this basket');
    }
    found.push({ cardId: card.cardId, last4: card.last4, freeMinor });
  }
  return found;
}

/** What cards pay of lines, in their order: each what there is on it, or what the ones before have left to pay. */
export function payWith(cards: readonly CardWithMoney[], lines: readonly BasketLine[]): AppliedCard[] {
  let dueMinor = totalsOf(lines).total;
  return cards.map(({ cardId, last4, freeMinor }) => {
    const quantity = Math.min(dueMinor, freeMinor);
    dueMinor -= quantity;
    return { cardId, last4, takes: quantity === 0 ? [] : [{ stockId: stockIdOfCard({ cardId }), quantity }] };
  });
}

/**
 * What the cards of a basket pay once it is as `wanted`, where `freed` is given back in the same step: more or less than
 * they do now. The rows of the cards, and all others that change with them, are locked before it is asked what there is on
 * them.
 */
export async function payAgain(
  tx: pg.PoolClient,
  shopId: string,
  freed: readonly StockTake[],
  wanted: Pick<Basket, 'lines' | 'codes' | 'giftCards'>,
  limits: readonly StockLimit[],
): Promise<AppliedCard[]> {
  const cards = wanted.giftCards;
  if (cards.length === 0) return [];
  const stockIds = [...freed, ...takesOfAll(wanted)].map(({ stockId }) => stockId);
  await lockStock(tx, shopId, [...stockIds, ...cards.map(stockIdOfCard)], limits);
  const available = await readAvailable(tx, shopId, cards.map(stockIdOfCard));
  const withMoney = cards.map(({ cardId, last4 }) => {
    const stockId = stockIdOfCard({ cardId });
    const own = freed.find((take) => take.stockId === stockId)?.quantity ?? 0;
    return { cardId, last4, freeMinor: (available.get(stockId) ?? 0) + own };
  });
  return payWith(withMoney, wanted.lines);
}

/** What a card pays, in minor units. */
export function appliedOf({ takes }: AppliedCard): number {
  return takes.reduce((sum, { quantity }) => sum + quantity, 0);
}

/** The totals of a basket: `due` is what is owed after gift cards. */
export function totalsOfBasket({ lines, giftCards: cards }: Pick<Basket, 'lines' | 'giftCards'>) {
  const totals = totalsOf(lines);
  const giftCards = cards.reduce((sum, card) => sum + appliedOf(card), 0);
  return { ...totals, giftCards, due: totals.total - giftCards };
}

/** Writes down that a basket's cards have paid, in the transaction that completes it. */
export async function spendCards(tx: Queryable, { shopId, basketId, giftCards }: Basket): Promise<void> {
  const paying = giftCards.filter((card) => appliedOf(card) > 0);
  await addEntries(
    tx,
    shopId,
    paying.map((card) => ({ cardId: card.cardId, kind: 'spent', amountMinor: -appliedOf(card), basketId })),
  );
}

/**
 * Gives money of a completed basket back to its cards, in the caller's transaction, which holds the basket's row and no row
 * of stock. Each card gets of a refund what it paid of the whole, rounded down: together with what it was given back
 * before, so that nothing is lost by refunds in parts, and all of it once everything is refunded.
 *
 * @param refundedMinor all that was refunded of the basket until now, of what it cost before gift cards
 */
export async function giveBackToCards(tx: Queryable, basket: Basket, refundedMinor: number): Promise<void> {
  const { shopId, basketId, giftCards: cards } = basket;
  const { total } = totalsOf(basket.lines);
  const paying = cards.filter((card) => appliedOf(card) > 0);
  if (paying.length === 0) return;
  const before = await readGivenBack(tx, shopId, basketId);
  const entries = paying.flatMap((card) => {
    const share = Number((BigInt(appliedOf(card)) * BigInt(refundedMinor)) / BigInt(total));
    const amountMinor = share - (before.get(card.cardId) ?? 0);
    const kind = 'given_back' as const;
    return amountMinor > 0 ? [{ cardId: card.cardId, kind, amountMinor, basketId }] : [];
  });
  const additions = entries.map(({ amountMinor, ...card }) => ({
    stockId: stockIdOfCard(card),
    quantity: amountMinor,
  }));
  if (entries.length === 0) return;
  await addCapacity(tx, shopId, takesOf(additions));
  await addEntries(tx, shopId, entries);
}
