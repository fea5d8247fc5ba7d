import type pg from 'pg';
import { type CodeType, findCard, plainNumber, readSellable } from '../catalogue/index.ts';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import { type Admission, changeHold } from '../holds/index.ts';
import type { CodeTries } from '../http/limits.ts';
import type { Keyring } from '../platform/crypto.ts';
import { findCards, payAgain } from './cards.ts';
import {
  type Answered,
  type BasketCaller,
  type Change,
  type Changed,
  type Conditions,
  changeAndSettle,
  frozen,
  heldColumns,
  takesOfBasket,
} from './change.ts';
import { countFailure, exhausted, findCodes, limitsOf, refuseCode, sameCode, takesToHold } from './codes.ts';
import { appliesTo, lockedWithout, withAmounts } from './lines.ts';
import { type AppliedCode, type Basket, maxCodesOfType } from './model.ts';
import { saveBasket } from './store.ts';

/** What the codes of a basket are changed with. */
type ApplyDeps = { pool: pg.Pool; admission: Admission; cardKeys: Keyring };

/** A code, or with `giftCard` the number of a card. */
type Named = { type: CodeType | 'giftCard'; code: string };

const attempts = 3;
/** Where the code is in the request. */
const pointer = '/code';

/**
 * Applies a code or gift card to a basket: its lines are priced anew, and the use of the code, or the money, is held with
 * its stock, in one transaction. A creator code takes the place of the one before. One that the basket has already changes
 * nothing. The time goes on as it did: who tries codes gains none by it. Refusals: those of changeBasket, findCodes and
 * findCards, `basket_not_live`, `basket_in_checkout`, `code_not_applicable`, `code_exhausted`, `code_attempts`,
 * `unavailable` (the code would not stand still).
 */
export async function applyCode(
  deps: ApplyDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  { type, code }: Named,
  tries: CodeTries,
): Promise<Answered | Refusal> {
  const result = await changeAndSettle(deps, caller, basketId, conditions, async (change) => {
    const refusal = frozen(change);
    if (refusal) return refusal;
    for (let attempted = 0; attempted < attempts; attempted += 1) {
      const wanted = type === 'giftCard' ? await withCard(deps, change, code) : await withCode(change, { type, code });
      if (isRefusal(wanted)) return wanted;
      if (wanted === 'unchanged') return { basket: change.basket, answer: {} };
      const tooMany = tries.exceeded();
      if (tooMany) return tooMany;
      const saved = await saveCodes(change, wanted);
      if (saved !== 'stale') return saved;
    }
    return refuse('unavailable');
  });
  return countFailure(tries, result);
}

/** The codes and gift cards that a basket is to have, and by stock row the version of the catalogue that says so. */
type Wanted = Pick<Basket, 'codes' | 'giftCards'> & { catalogueVersions: ReadonlyMap<string, number> };

async function withCode(
  { tx, basket, now }: Change,
  given: { type: CodeType; code: string },
): Promise<Wanted | 'unchanged' | Refusal> {
  const { codes, giftCards, lines, customerId } = basket;
  if (codes.some((code) => sameCode(code, given))) return 'unchanged';
  const found = await findCodes(tx, basket.shopId, [{ ...given, pointer }], customerId, now);
  if (isRefusal(found)) return found;
  if (!found.codes.every((code) => appliesTo(code, lines))) {
    return refuseCode('code_not_applicable', pointer, 'takes nothing off what is in the basket');
  }
  const { type } = given;
  const others = codes.filter((other) => type !== 'creator' || other.type !== 'creator');
  if (others.filter((other) => other.type === type).length >= maxCodesOfType) {
    return refuseCode('code_not_applicable', pointer, 'is one more than a basket may have');
  }
  return { codes: [...others, ...found.codes], giftCards, catalogueVersions: found.catalogueVersions };
}

async function withCard(
  { cardKeys }: ApplyDeps,
  { tx, basket }: Change,
  number: string,
): Promise<Wanted | 'unchanged' | Refusal> {
  const { shopId, codes, giftCards, content } = basket;
  const known = await findCard(tx, cardKeys, shopId, number);
  if (giftCards.some(({ cardId }) => cardId === known?.cardId)) return 'unchanged';
  if (giftCards.length >= maxCodesOfType)
    return refuseCode('code_unknown', pointer, 'is one more than a basket may have');
  const found = await findCards(tx, cardKeys, shopId, content.currency, [{ number, pointer }]);
  if (isRefusal(found)) return found;
  const added = found.map(({ cardId, last4 }) => ({ cardId, last4, takes: [] }));
  return { codes, giftCards: [...giftCards, ...added], catalogueVersions: new Map() };
}

/**
 * Takes a code or gift card away from a basket and gives its use, or the money, back. A card is named by its number or its
 * last four characters: of several that end alike the last given. Refusals: those of changeBasket, `basket_not_live`,
 * `basket_in_checkout`, `not_found` (the basket does not have it), `access_code_required` (its lines need it).
 */
export function removeCode(
  { cardKeys, ...deps }: ApplyDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  { type, code: name }: Named,
): Promise<Answered | Refusal> {
  return changeAndSettle(deps, caller, basketId, conditions, async (change) => {
    const refusal = frozen(change);
    if (refusal) return refusal;
    const { basket } = change;
    let { codes, giftCards } = basket;
    if (type === 'giftCard') {
      const cardId = await cardNamed(cardKeys, change, name);
      giftCards = giftCards.filter((card) => card.cardId !== cardId);
    } else {
      codes = codes.filter((code) => !sameCode(code, { type, code: name }));
    }
    if (codes.length + giftCards.length === basket.codes.length + basket.giftCards.length) return refuse('not_found');
    const locked = type === 'access' ? await lockedLines(change, codes) : null;
    if (locked) return locked;
    const saved = await saveCodes(change, { codes, giftCards, catalogueVersions: new Map() });
    if (saved === 'stale') throw new Error('no version was asked for');
    return saved;
  });
}

/** Which card of a basket is meant by a number or by the last four characters of one. */
async function cardNamed(keys: Keyring, { tx, basket }: Change, name: string): Promise<string | undefined> {
  const plain = plainNumber(name);
  const alike = basket.giftCards.filter(({ last4 }) => last4 === plain);
  return alike.at(-1)?.cardId ?? (await findCard(tx, keys, basket.shopId, name))?.cardId;
}

/** Refuses codes that the lines of a basket could not be bought with now. */
async function lockedLines({ tx, basket }: Change, codes: readonly AppliedCode[]): Promise<Refusal | null> {
  const itemIds = basket.lines.map(({ itemId }) => itemId);
  return lockedWithout(await readSellable(tx, basket.shopId, itemIds), codes);
}

/** Gives a basket other codes and cards, with the prices and the hold that follow from them. */
async function saveCodes(
  { tx, basket }: Change,
  { codes, giftCards: cards, catalogueVersions }: Wanted,
): Promise<Changed | Refusal | 'stale'> {
  const { shopId, customerId, content } = basket;
  const lines = withAmounts(basket.lines, codes, content.taxMode);
  const limits = limitsOf(codes, customerId);
  const giftCards = await payAgain(tx, shopId, takesOfBasket(basket), { lines, codes, giftCards: cards }, limits);
  const takes = takesToHold({ ...basket, lines, codes, giftCards });
  const hold = await changeHold(tx, shopId, takesOfBasket(basket), takes, catalogueVersions, limits);
  if (hold.outcome === 'stale') return 'stale';
  // Only the new code can be short: the others stay, and the cards pay what they can.
  if (hold.outcome === 'short') return exhausted(codes, hold.available, () => pointer) ?? refuse('unavailable');
  const saved = { codes, giftCards, lines, ...heldColumns(takes) };
  return { basket: await saveBasket(tx, basket, saved, 'basket.updated'), answer: {} };
}
