import { isRefusal, type Refusal, refuse } from '../../errors.ts';
import { currencyExponent } from '../../money/index.ts';
import type { Keyring } from '../../platform/crypto.ts';
import { newId } from '../../platform/ids.ts';
import { withTransaction } from '../../platform/postgres.ts';
import { readShop } from '../../shops/index.ts';
import type { CatalogueDeps } from '../changes.ts';
import { stockIdOfCard, type WrittenCard } from './model.ts';
import { addEntries, type CardEntry, findCard, forgetNumber, insertCard, touchCard } from './store.ts';

/** What the changes of gift cards work with. */
export type CardDeps = Pick<CatalogueDeps, 'pool' | 'stock'> & { cardKeys: Keyring };

/** What a column for stock can count. */
const maxCapacity = 2_147_483_647;

/**
 * Issues a card, or sets what is left on it. Refusals: `not_found` (no such shop), `unknown_currency`, `currency_fixed`,
 * `capacity_below_committed` (live baskets hold more than that), `invalid_request` (more money than can be counted went
 * over it), `unavailable` (somebody issues it at the same time).
 */
export async function putCard(
  { pool, stock, cardKeys }: CardDeps,
  shopId: string,
  number: string,
  { balance, currency }: WrittenCard,
): Promise<null | Refusal> {
  if (currencyExponent(currency) === null) return refuse('unknown_currency');
  if ((await readShop(pool, shopId)) === null) return refuse('not_found');
  const result = await withTransaction<string | Refusal>(pool, async (tx) => {
    const known = await findCard(tx, cardKeys, shopId, number, 'lock');
    if (known !== null && known.currency !== currency) return refuse('currency_fixed');
    const cardId = known?.cardId ?? newId('crd');
    const stockId = stockIdOfCard({ cardId });
    const before = (await stock.lock(tx, shopId, [stockId])).get(stockId);
    const { held = 0, sold = 0 } = before ?? {};
    if (balance < held) {
      const errors = [{ requested: balance, held }];
      return refuse('capacity_below_committed', { extensions: { errors } });
    }
    if (balance + sold > maxCapacity) {
      const errors = [{ pointer: '/balance', detail: 'is more than can be counted with all that was spent' }];
      return refuse('invalid_request', { extensions: { errors } });
    }
    const refusal = await stock.setCapacities(tx, shopId, new Map([[stockId, balance + sold]]));
    if (refusal) return refusal;
    if (known === null) {
      if (!(await insertCard(tx, cardKeys, shopId, { cardId, number, currency }))) return refuse('unavailable');
      await addEntries(tx, shopId, [{ cardId, kind: 'issued', amountMinor: balance, basketId: null }]);
    } else {
      await touchCard(tx, shopId, cardId);
      await addEntries(tx, shopId, changed(cardId, balance - ((before?.capacity ?? 0) - sold)));
    }
    return stockId;
  });
  if (isRefusal(result)) return result;
  await stock.tellRedis(shopId, [result]);
  return null;
}

/** Deletes a card with the money that is left on it. Baskets that have it keep what they hold. Refusal: `not_found`. */
export async function deleteCard(
  { pool, stock, cardKeys }: CardDeps,
  shopId: string,
  number: string,
): Promise<null | Refusal> {
  const result = await withTransaction<string | Refusal>(pool, async (tx) => {
    const card = await findCard(tx, cardKeys, shopId, number, 'lock');
    if (card === null) return refuse('not_found');
    const { cardId } = card;
    const stockId = stockIdOfCard(card);
    const { capacity = 0, held = 0, sold = 0 } = (await stock.lock(tx, shopId, [stockId])).get(stockId) ?? {};
    await stock.setCapacities(tx, shopId, new Map([[stockId, held + sold]]));
    await addEntries(tx, shopId, changed(cardId, held + sold - (capacity ?? 0)));
    await forgetNumber(tx, shopId, cardId);
    return stockId;
  });
  if (isRefusal(result)) return result;
  await stock.tellRedis(shopId, [result]);
  return null;
}

function changed(cardId: string, amountMinor: number): CardEntry[] {
  return amountMinor === 0 ? [] : [{ cardId, kind: 'changed', amountMinor, basketId: null }];
}
