import type pg from 'pg';
import { isRefusal, type ProblemCode, type Refusal, refuse } from '../errors.ts';
import {
  type Admission,
  changeHold,
  type HoldMetrics,
  type LinkState,
  moveStock,
  type SettledHold,
  type StockTake,
} from '../holds/index.ts';
import type { Caller, SessionCaller } from '../http/access.ts';
import { type IdempotencyKey, runOnce } from '../http/idempotency.ts';
import { withTransaction } from '../platform/postgres.ts';
import type { ShopCache } from '../shops/index.ts';
import { exhausted, limitsOf, takenFor, takesToHold } from './codes.ts';
import { type AppliedCode, asOf, type Basket, isLive, type PatchableBasket } from './model.ts';
import { checkDetails } from './rules.ts';
import {
  type BasketAt,
  liveBasketIdsOf,
  lockBaskets,
  lockCustomer,
  readBasket,
  readSnapshot,
  saveBasket,
  saveBaskets,
} from './store.ts';

/** A back end that acts for a shop, or the session of one basket. */
export type BasketCaller = (Extract<Caller, { kind: 'api' }> & { shopId: string }) | SessionCaller;

/** How long a session may read its basket after it has ended. */
const readableAfterEndMs = 24 * 60 * 60 * 1000;

/**
 * Whether a caller may know of a basket: a partner of its own only, a session of the basket it was opened for, while it
 * is the newest one and the basket has not ended more than a day ago. Refusals: `not_found`, `session_superseded`,
 * `unauthorized`.
 */
function accessToBasket(caller: BasketCaller, basket: Basket, now: Date): Refusal | null {
  if (caller.kind === 'api') {
    return caller.partner === null || caller.partner === basket.partner ? null : refuse('not_found');
  }
  if (caller.basketId !== basket.basketId) return refuse('not_found');
  if (basket.sessionId === null || !basket.sessionId.equals(caller.sessionId)) return refuse('session_superseded');
  const { endedAt } = asOf(basket, now);
  return endedAt !== null && now.getTime() > endedAt.getTime() + readableAfterEndMs ? refuse('unauthorized') : null;
}

/** Reads a basket for a caller. Refusals: those of accessToBasket. */
export async function getBasket(pool: pg.Pool, caller: BasketCaller, basketId: string): Promise<BasketAt | Refusal> {
  const found = await readBasket(pool, caller.shopId, basketId);
  if (found === null) return refuse('not_found');
  return accessToBasket(caller, found.basket, found.now) ?? found;
}

/** What a change gives: the basket as it is afterwards, or one made of it, and what its answer has beyond the basket. */
export type Changed = { basket: Basket; answer: Record<string, unknown> };

/** A change as it was answered. `now` is Postgres' time of the change, also when its answer is given again. */
export type Answered = Changed & { now: Date; replayed: boolean };

/** The conditions that a request sets: its idempotency key, and the version that it was decided on. */
export type Conditions = { key: IdempotencyKey | null; ifMatch: string | undefined };

/** A locked basket and what a change of it works with. */
export type Change = {
  tx: pg.PoolClient;
  /** As its row says: use `asOf` for what everybody sees. */
  basket: Basket;
  now: Date;
  /** The live baskets of the customer whom the caller named, locked too. */
  others: Basket[];
};

/** Refusals of a completion after which money must go back: what was written about one stays, see noteRefusedCompletion. */
export const refusalsOfPaid: readonly ProblemCode[] = [
  'expired_stock_gone',
  'lease_superseded',
  'event_cancelled',
  'basket_cancelled',
];

/**
 * Changes one basket in one transaction, serialised with every other change of it, once per idempotency key. `change`
 * may refuse, which rolls everything back, but for refusalsOfPaid. With `customerId` the customer's other live baskets
 * are locked as well. Refusals: those of accessToBasket, `version_conflict`, `idempotency_key_reused`,
 * `idempotency_in_progress`, and those of `change`.
 */
export async function changeBasket(
  pool: pg.Pool,
  caller: BasketCaller,
  basketId: string,
  { key, ifMatch }: Conditions,
  change: (locked: Change) => Promise<Changed | Refusal>,
  customerId: string | null = null,
): Promise<Answered | Refusal> {
  const { shopId } = caller;
  const work = async (tx: pg.PoolClient): Promise<Answered | Refusal> => {
    let changed: Answered | undefined;
    const stored = await runOnce(tx, key, async () => {
      if (customerId !== null) await lockCustomer(tx, shopId, customerId);
      const otherIds = customerId === null ? [] : await liveBasketIdsOf(tx, shopId, customerId);
      const locked = await lockBaskets(tx, shopId, [basketId, ...otherIds]);
      const found = locked.get(basketId);
      if (found === undefined) return refuse('not_found');
      locked.delete(basketId);
      const { basket, now } = found;
      const refusal = mayNotChange(caller, ifMatch, found);
      if (refusal) return refusal;
      // Until it was locked, somebody may have given one of them to another customer, or to nobody.
      const others = [...locked.values()]
        .map((other) => other.basket)
        .filter((other) => other.customerId === customerId);
      const result = await change({ tx, basket, now, others });
      if (isRefusal(result)) return result;
      changed = { ...result, now, replayed: false };
      const { basketId: answeredId, sequence } = result.basket;
      const status = answeredId === basketId ? 200 : 201;
      return { status, basketId: answeredId, sequence, answer: { ...result.answer, now: now.toISOString() } };
    });
    if (isRefusal(stored)) return stored;
    if (changed) return changed;
    const snapshot = await readSnapshot(tx, shopId, stored.basketId ?? basketId, stored.sequence ?? 0);
    if (snapshot === null) throw new Error('a stored answer lost its snapshot');
    const { now, ...answer } = stored.answer;
    return { basket: snapshot, answer, now: new Date(String(now)), replayed: true };
  };
  return withTransaction(pool, work, (result) => !isRefusal(result) || refusalsOfPaid.includes(result.refused));
}

/** Why a caller may not change a basket now. Refusals: those of accessToBasket, `version_conflict`. */
export function mayNotChange(
  caller: BasketCaller,
  ifMatch: string | undefined,
  { basket, now }: BasketAt,
): Refusal | null {
  return accessToBasket(caller, basket, now) ?? unmatched(ifMatch, asOf(basket, now));
}

/** `If-Match` holds a list of entity tags or `*` (RFC 9110, 13.1.1); ours is the version in quotes. */
function unmatched(ifMatch: string | undefined, basket: Basket): Refusal | null {
  if (ifMatch === undefined || ifMatch.trim() === '*') return null;
  const tags = ifMatch.split(',').map((tag) => tag.trim());
  return tags.includes(`"${basket.version}"`) ? null : refuse('version_conflict');
}

/** The refusal for a basket that has ended. */
export function notLive(basket: Basket): Refusal {
  const { status, statusReason } = basket;
  return refuse('basket_not_live', { extensions: { basketStatus: status, statusReason } });
}

/**
 * Cancels a basket and gives its hold back before the answer leaves, so that the stock is on sale and the link dead when
 * the caller hears of it. Refusals: those of changeBasket, `basket_not_live`, `basket_in_checkout`.
 */
export async function cancelBasket(
  { pool, admission, metrics }: { pool: pg.Pool; admission: Admission; metrics: HoldMetrics },
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
): Promise<Answered | Refusal> {
  const result = await changeBasket(pool, caller, basketId, conditions, async ({ tx, basket, now }) => {
    const seen = asOf(basket, now);
    if (!isLive(seen)) return notLive(seen);
    if (seen.status === 'checkout') return refuse('basket_in_checkout');
    await moveStock(tx, [holdOf(basket)], 'release');
    const change = { status: 'cancelled' as const, statusReason: 'requested' as const, endedAt: now, leaseId: null };
    return { basket: await saveBasket(tx, basket, change, 'basket.cancelled'), answer: {} };
  });
  if (isRefusal(result) || result.replayed) return result;
  metrics.changed('cancelled');
  await admission.release([result.basket]);
  return result;
}

/**
 * Changes what a creator said of a basket: `patch` gets it as it is and gives it as it shall be, or a refusal. Another
 * customer can be named only while the basket is open, which makes its earlier links stop working, and takes over the
 * uses of codes that are limited for each customer. Refusals: those of changeBasket, checkDetails and `patch`,
 * `basket_not_live`, `basket_in_checkout`, `not_modifiable`, `code_not_applicable`, `code_exhausted`.
 */
export async function patchBasket(
  deps: { pool: pg.Pool; admission: Admission; shops: ShopCache },
  caller: BasketCaller & { kind: 'api' },
  basketId: string,
  conditions: Conditions,
  patch: (now: PatchableBasket) => PatchableBasket | Refusal,
): Promise<Answered | Refusal> {
  const shop = await deps.shops.fresh(caller.shopId);
  if (shop === null) return refuse('not_found');
  return changeAndSettle(deps, caller, basketId, conditions, async ({ tx, basket, now }) => {
    const seen = asOf(basket, now);
    if (!isLive(seen)) return notLive(seen);
    if (seen.status === 'checkout') return refuse('basket_in_checkout');
    const { customerId, reference, content } = basket;
    const id = customerId === null ? {} : { id: customerId };
    const wanted = patch({ ...content, reference, customer: { ...id, ...content.customer } });
    if (isRefusal(wanted)) return wanted;
    const details = checkDetails(shop, wanted);
    if (isRefusal(details)) return details;
    const { id: wantedId = null, ...customer } = wanted.customer ?? {};
    const another = wantedId !== customerId;
    if (another && seen.status !== 'open') {
      return refuse('not_modifiable', { detail: 'The customer can be changed only while the basket is open.' });
    }
    const moved = another ? await moveUses(tx, basket, wantedId) : {};
    if (isRefusal(moved)) return moved;
    const change = {
      reference: wanted.reference,
      customerId: wantedId,
      content: { ...content, ...details, customer },
      ...moved,
      ...(another
        ? {
            linkGeneration: basket.linkGeneration + 1,
            customerSetterMayLogIn: caller.scopes.has('customers:login'),
          }
        : {}),
    };
    return { basket: await saveBasket(tx, basket, change, 'basket.updated'), answer: {} };
  });
}

/** Moves the uses of codes that are limited for each customer to another one. Gives what changes in the basket. */
async function moveUses(
  tx: pg.PoolClient,
  basket: Basket,
  customerId: string | null,
): Promise<(Pick<Basket, 'codes'> & HeldColumns) | Refusal> {
  const codes: AppliedCode[] = [];
  for (const code of basket.codes) {
    const taken = takenFor(code, customerId, '/customer/id');
    if (isRefusal(taken)) return taken;
    codes.push(taken);
  }
  const takes = takesToHold({ ...basket, codes });
  const limits = limitsOf(codes, customerId);
  const hold = await changeHold(tx, basket.shopId, takesOfBasket(basket), takes, new Map(), limits);
  if (hold.outcome === 'stale') throw new Error('no version was asked for');
  if (hold.outcome === 'changed') return { codes, ...heldColumns(takes) };
  return exhausted(codes, hold.available, () => '/customer/id') ?? refuse('unavailable');
}

/**
 * Ends the customer's other baskets because this one took their place, in the caller's transaction, and gives those that
 * it ended. Baskets that are being paid are left alone.
 */
export async function supersede(tx: pg.PoolClient, others: readonly Basket[], now: Date): Promise<Basket[]> {
  const ending = supersedable(others, now);
  // In one statement: basket by basket, stock rows would be locked out of the order that keeps everybody from deadlock.
  await moveStock(tx, ending.map(holdOf), 'release');
  return saveSuperseded(tx, ending, now);
}

/** Those of the customer's other baskets that end when one takes their place. */
export function supersedable(others: readonly Basket[], now: Date): Basket[] {
  return others.filter((other) => {
    const seen = asOf(other, now);
    return isLive(seen) && seen.status !== 'checkout';
  });
}

/** The second half of `supersede`, for a caller who has given back what these baskets hold. */
export function saveSuperseded(tx: pg.PoolClient, ending: readonly Basket[], now: Date): Promise<Basket[]> {
  const change = { status: 'expired' as const, statusReason: 'superseded' as const, endedAt: now, leaseId: null };
  const changes = ending.map((basket) => ({ basket, change }));
  return saveBaskets(tx, changes, 'basket.expired');
}

/**
 * Changes a basket and tells Redis before the answer leaves, so that what was given back can be had at once, and the
 * next click knows of it.
 */
export async function changeAndSettle(
  { pool, admission }: { pool: pg.Pool; admission: Admission },
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  change: (locked: Change) => Promise<Changed | Refusal>,
): Promise<Answered | Refusal> {
  const result = await changeBasket(pool, caller, basketId, conditions, change);
  if (!isRefusal(result) && !result.replayed) {
    await admission.settle([holdOf(result.basket)]);
  }
  return result;
}

/** Why a basket cannot be worked on now; null when it can. */
export function frozen({ basket, now }: Pick<Change, 'basket' | 'now'>): Refusal | null {
  const seen = asOf(basket, now);
  if (!isLive(seen)) return notLive(seen);
  return seen.status === 'checkout' ? refuse('basket_in_checkout') : null;
}

type HeldColumns = Pick<Basket, 'holdStockIds' | 'holdQuantities'>;

/** What a basket takes, as its row keeps it. */
export function heldColumns(takes: readonly StockTake[]): HeldColumns {
  return {
    holdStockIds: takes.map(({ stockId }) => stockId),
    holdQuantities: takes.map(({ quantity }) => quantity),
  };
}

/** What a basket holds, or held before it ended. */
export function takesOfBasket({ holdStockIds, holdQuantities }: Basket): StockTake[] {
  return holdStockIds.map((stockId, at) => ({ stockId, quantity: holdQuantities[at] ?? 0 }));
}

/** A live basket's hold, as Redis is told of it. */
export function holdOf(basket: Basket): SettledHold {
  const { shopId, basketId, version } = basket;
  return { shopId, basketId, version, takes: takesOfBasket(basket), link: linkStateOf(basket) };
}

/** What a click on a basket's start link is decided on. */
export function linkStateOf(basket: Basket): LinkState {
  const { linkGeneration, expiresAt, content, customerId, linkExpiresAt, eventIds } = basket;
  const allMayLogIn = basket.creatorMayLogIn && basket.customerSetterMayLogIn && basket.linkMinterMayLogIn;
  return {
    generation: linkGeneration,
    expiresAt,
    mode: content.linkMode,
    mayLogIn: customerId !== null && allMayLogIn,
    reservesAtActivation: linkExpiresAt !== null,
    eventIds,
  };
}
