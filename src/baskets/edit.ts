import type pg from 'pg';
import { readSellable } from '../catalogue/index.ts';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import { type Admission, changeHold } from '../holds/index.ts';
import { readShop, type Shop } from '../shops/index.ts';
import { payAgain } from './cards.ts';
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
import { takesToHold } from './codes.ts';
import { type EditTarget, editLines, eventIdsOf, type LineEdit, targetOf } from './lines.ts';
import type { Basket } from './model.ts';
import { checkCustom } from './rules.ts';
import { saveBasket } from './store.ts';

/** What editing works with. */
type EditDeps = { pool: pg.Pool; admission: Admission };

const attempts = 3;

/**
 * Edits the lines of a basket: lines, hold and stock change in one transaction, and the time starts again, within the
 * basket's longest lifetime. Refusals: those of changeBasket and editLines, `not_found` (no such line),
 * `invalid_request` (custom data), `basket_not_live`, `basket_in_checkout`, `insufficient_stock`, `unavailable` (the
 * catalogue would not stand still).
 */
export function editBasket(
  deps: EditDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  edit: LineEdit,
): Promise<Answered | Refusal> {
  return changeAndSettle(deps, caller, basketId, conditions, async (change) => {
    const target = targetOf(change.basket, edit);
    if (target === null) return refuse('not_found');
    const refusal = ('add' in edit ? checkCustom('/custom', edit.add.custom) : null) ?? frozen(change);
    if (refusal) return refusal;
    for (let tries = 0; tries < attempts; tries += 1) {
      const edited = await editOnce(change, edit, target);
      if (edited !== 'stale') return edited;
    }
    return refuse('unavailable');
  });
}

async function editOnce(
  { tx, basket, now }: Change,
  edit: LineEdit,
  target: EditTarget,
): Promise<Changed | Refusal | 'stale'> {
  const { shopId } = basket;
  const [item] = await readSellable(tx, shopId, [target.itemId]);
  // After the item: a price that is still the item's when its stock is locked was set in the currency that the shop has now.
  const shop = await shopOf(tx, basket);
  const edited = editLines(basket, edit, target, item, shop, now);
  if (isRefusal(edited)) return edited;
  const held = takesOfBasket(basket);
  const giftCards = await payAgain(tx, shopId, held, { ...basket, ...edited }, []);
  const takes = takesToHold({ ...basket, ...edited, giftCards });
  const catalogueVersions = new Map(item ? [[item.stockId, item.catalogueVersion]] : []);
  const hold = await changeHold(tx, shopId, held, takes, catalogueVersions, []);
  if (hold.outcome === 'stale') return 'stale';
  if (hold.outcome === 'short') {
    const { itemId, line, quantity } = target;
    // Only what is added can be short: the codes stay, and the cards pay what they can.
    const [available = 0] = hold.available.values();
    const errors = [{ itemId, requested: quantity - (line?.quantity ?? 0), available }];
    return refuse('insufficient_stock', { extensions: { errors } });
  }
  const saved = {
    ...edited,
    giftCards,
    ...heldColumns(takes),
    eventIds: eventIdsOf(edited.lines),
    expiresAt: withinLifetime(basket, new Date(now.getTime() + basket.ttlSeconds * 1000)),
  };
  return { basket: await saveBasket(tx, basket, saved, 'basket.updated'), answer: {} };
}

/**
 * Gives a basket more time, as often and as much as the shop allows, within its longest lifetime. Refusals: those of
 * changeBasket, `basket_not_live`, `basket_in_checkout`, `extension_limit`.
 */
export function extendBasket(
  deps: EditDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
): Promise<Answered | Refusal> {
  return changeAndSettle(deps, caller, basketId, conditions, async (change) => {
    const refusal = frozen(change);
    if (refusal) return refusal;
    const { tx, basket } = change;
    const { extensionSeconds } = (await shopOf(tx, basket)).basket;
    const expiresAt = withinLifetime(basket, new Date(basket.expiresAt.getTime() + extensionSeconds * 1000));
    const { extensionsLeft } = basket;
    if (extensionsLeft === 0 || expiresAt <= basket.expiresAt) return refuse('extension_limit');
    const saved = { expiresAt, extensionsLeft: extensionsLeft - 1 };
    return { basket: await saveBasket(tx, basket, saved, 'basket.updated'), answer: {} };
  });
}

/**
 * A later end of a basket: not past its longest lifetime, and never earlier than it was. Of one that waits no time runs.
 */
function withinLifetime({ waiting, expiresAt, lifetimeEndsAt }: Basket, wanted: Date): Date {
  if (waiting) return expiresAt;
  return new Date(Math.max(expiresAt.getTime(), Math.min(wanted.getTime(), lifetimeEndsAt.getTime())));
}

async function shopOf(tx: pg.PoolClient, { shopId }: Basket): Promise<Shop> {
  const shop = await readShop(tx, shopId);
  if (shop === null) throw new Error('a basket lost its shop');
  return shop;
}
