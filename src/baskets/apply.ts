import type pg from 'pg';
import { readSellable } from '../catalogue/index.ts';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import { type Admission, changeHold } from '../holds/index.ts';
import type { CodeTries } from '../http/limits.ts';
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
import {
  countFailure,
  exhausted,
  findCodes,
  type GivenCode,
  limitsOf,
  refuseCode,
  sameCode,
  takesToHold,
} from './codes.ts';
import { appliesTo, lockedWithout, withAmounts } from './lines.ts';
import { type AppliedCode, maxCodesOfType } from './model.ts';
import { saveBasket } from './store.ts';

/** What the codes of a basket are changed with. */
type ApplyDeps = { pool: pg.Pool; admission: Admission };

const attempts = 3;

/**
 * Applies a code to a basket: its lines are priced anew, and the use of the code is held with its stock, in one transaction.
 * A creator code takes the place of the one before. One that the basket has already changes nothing. The time goes on as it
 * did: who tries codes gains none by it. Refusals: those of changeBasket and findCodes, `basket_not_live`,
 * `basket_in_checkout`, `code_not_applicable`, `code_exhausted`, `code_attempts`, `unavailable` (the code would not stand
 * still).
 */
export async function applyCode(
  deps: ApplyDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  given: GivenCode,
  tries: CodeTries,
): Promise<Answered | Refusal> {
  const result = await changeAndSettle(deps, caller, basketId, conditions, async (change) => {
    const refusal = frozen(change);
    if (refusal) return refusal;
    const { basket } = change;
    if (basket.codes.some((code) => sameCode(code, given))) return { basket, answer: {} };
    for (let attempted = 0; attempted < attempts; attempted += 1) {
      const applied = await applyOnce(change, given, tries);
      if (applied !== 'stale') return applied;
    }
    return refuse('unavailable');
  });
  return countFailure(tries, result);
}

async function applyOnce(change: Change, given: GivenCode, tries: CodeTries): Promise<Changed | Refusal | 'stale'> {
  const { tx, basket, now } = change;
  const { type, pointer } = given;
  const found = await findCodes(tx, basket.shopId, [given], basket.customerId, now);
  if (isRefusal(found)) return found;
  const tooMany = tries.exceeded();
  if (tooMany) return tooMany;
  const [code] = found.codes;
  if (code === undefined) throw new Error('a code was found and is not there');
  if (!appliesTo(code, basket.lines)) {
    return refuseCode('code_not_applicable', pointer, 'takes nothing off what is in the basket');
  }
  const others = basket.codes.filter((other) => type !== 'creator' || other.type !== 'creator');
  if (others.filter((other) => other.type === type).length >= maxCodesOfType) {
    return refuseCode('code_not_applicable', pointer, 'is one more than a basket may have');
  }
  return saveCodes(change, [...others, code], found.catalogueVersions, pointer);
}

/**
 * Takes a code away from a basket and gives its use back. Refusals: those of changeBasket, `basket_not_live`,
 * `basket_in_checkout`, `not_found` (the basket does not have it), `access_code_required` (its lines need it).
 */
export function removeCode(
  deps: ApplyDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  named: Pick<GivenCode, 'type' | 'code'>,
): Promise<Answered | Refusal> {
  return changeAndSettle(deps, caller, basketId, conditions, async (change) => {
    const refusal = frozen(change);
    if (refusal) return refusal;
    const { codes } = change.basket;
    const others = codes.filter((code) => !sameCode(code, named));
    if (others.length === codes.length) return refuse('not_found');
    const locked = named.type === 'access' ? await lockedLines(change, others) : null;
    if (locked) return locked;
    const saved = await saveCodes(change, others, new Map(), '');
    if (saved === 'stale') throw new Error('no version was asked for');
    return saved;
  });
}

/** Refuses codes that the lines of a basket could not be bought with now. */
async function lockedLines({ tx, basket }: Change, codes: readonly AppliedCode[]): Promise<Refusal | null> {
  const itemIds = basket.lines.map(({ itemId }) => itemId);
  return lockedWithout(await readSellable(tx, basket.shopId, itemIds), codes);
}

/** Gives a basket other codes, with the prices and the hold that follow from them. */
async function saveCodes(
  { tx, basket }: Change,
  codes: AppliedCode[],
  catalogueVersions: ReadonlyMap<string, number>,
  pointer: string,
): Promise<Changed | Refusal | 'stale'> {
  const { shopId, customerId, content } = basket;
  const takes = takesToHold(basket, basket.lines, codes);
  const limits = limitsOf(codes, customerId);
  const hold = await changeHold(tx, shopId, takesOfBasket(basket), takes, catalogueVersions, limits);
  if (hold.outcome === 'stale') return 'stale';
  // Only the new code can be short: everything else stays.
  if (hold.outcome === 'short') return exhausted(codes, hold.available, () => pointer) ?? refuse('unavailable');
  const saved = { codes, lines: withAmounts(basket.lines, codes, content.taxMode), ...heldColumns(takes) };
  return { basket: await saveBasket(tx, basket, saved, 'basket.updated'), answer: {} };
}
