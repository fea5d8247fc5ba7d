import type pg from 'pg';
import {
  type Answered,
  asOf,
  type Basket,
  type BasketCaller,
  type Conditions,
  changeBasket,
  holdOf,
  isLive,
  notLive,
  saveBasket,
  supersede,
} from '../baskets/index.ts';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import type { Admission, HoldMetrics } from '../holds/index.ts';
import { newId } from '../platform/ids.ts';
import type { ShopCache } from '../shops/index.ts';
import type { openCompletionQueue } from './complete.ts';
import type { FailRequest } from './model.ts';

/** What the room works with. */
export type OrderDeps = {
  pool: pg.Pool;
  admission: Admission;
  metrics: HoldMetrics;
  shops: ShopCache;
  completeTogether: ReturnType<typeof openCompletionQueue>;
};

const minimumAfterBackMs = 60_000;

/** The moment that no payment goes past: the end of the basket's lifetime and the time for paying. */
function checkoutCap(basket: Basket): Date {
  return new Date(basket.lifetimeEndsAt.getTime() + basket.checkoutSeconds * 1000);
}

function latest(a: Date, b: Date): Date {
  return a > b ? a : b;
}

function earliest(a: Date, b: Date): Date {
  return a < b ? a : b;
}

/**
 * Freezes the basket while it is being paid and gives the lease; again while in checkout gives the same lease and no
 * more time. `customerId` is whom the shop's back end knows to be signed in: where the link did not log the customer in,
 * it must be the basket's. Refusals: those of changeBasket, `forbidden` (a session names a customer), `basket_not_live`,
 * `basket_not_activated`, `basket_empty`, `username_required`, `customer_mismatch`.
 */
export async function startCheckout(
  deps: OrderDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  customerId: string | null,
): Promise<Answered | Refusal> {
  if (caller.kind === 'session' && customerId !== null) {
    return refuse('forbidden', { detail: 'Only a credential with the scope `orders:write` may name the customer.' });
  }
  const shop = await deps.shops.get(caller.shopId);
  if (shop === null) return refuse('not_found');
  let ended: Basket[] = [];
  const result = await changeBasket(
    deps.pool,
    caller,
    basketId,
    conditions,
    async ({ tx, basket, now, others }) => {
      const seen = asOf(basket, now);
      if (!isLive(seen)) return notLive(seen);
      if (seen.status === 'open') return refuse('basket_not_activated');
      if (seen.status === 'checkout') return { basket, answer: { leaseId: basket.leaseId } };
      if (basket.lines.length === 0) return refuse('basket_empty');
      if (shop.customer.usernameRequired && basket.content.customer.username === undefined) {
        return refuse('username_required');
      }
      const signedInAs = customerId ?? basket.sessionCustomerId;
      if (basket.customerId !== null && shop.customer.login !== 'none' && signedInAs !== basket.customerId) {
        return refuse('customer_mismatch');
      }
      const superseding = customerId !== null && shop.customer.login !== 'none' && shop.link.otherBaskets === 'expire';
      ended = superseding ? await supersede(tx, others, now) : [];
      const leaseId = newId('lse');
      const atLeast = earliest(new Date(now.getTime() + basket.checkoutSeconds * 1000), checkoutCap(basket));
      const change = {
        status: 'checkout' as const,
        leaseId,
        customerId: basket.customerId ?? customerId,
        sessionCustomerId: signedInAs,
        expiresAt: latest(basket.expiresAt, atLeast),
        expiresAtBeforeCheckout: basket.expiresAt,
      };
      return { basket: await saveBasket(tx, basket, change, 'basket.checkout_started'), answer: { leaseId } };
    },
    customerId,
  );
  if (isRefusal(result) || result.replayed) return result;
  deps.metrics.changed('superseded', ended.length);
  await deps.admission.release(ended);
  void deps.admission.settle([holdOf(result.basket)]);
  return result;
}

/**
 * Takes the basket back out of checkout (Back): the lease is dead and the earlier `expiresAt` restored, but at least a
 * minute ahead. A basket that is not in checkout any more stays as it is. Refusals: those of changeBasket,
 * `basket_not_live`, `basket_not_activated`.
 */
export function leaveCheckout(
  deps: OrderDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
): Promise<Answered | Refusal> {
  return endCheckout(deps, caller, basketId, conditions, null, 'basket.updated');
}

/**
 * Records that a payment failed: as leaveCheckout, and `basket.checkout_failed` goes out. Refusals: those of
 * leaveCheckout, `lease_superseded` when it was the payment of an earlier lease.
 */
export function failCheckout(
  deps: OrderDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  { leaseId }: FailRequest,
): Promise<Answered | Refusal> {
  return endCheckout(deps, caller, basketId, conditions, leaseId ?? null, 'basket.checkout_failed');
}

async function endCheckout(
  deps: OrderDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  leaseId: string | null,
  type: 'basket.updated' | 'basket.checkout_failed',
): Promise<Answered | Refusal> {
  const result = await changeBasket(deps.pool, caller, basketId, conditions, async ({ tx, basket, now }) => {
    const seen = asOf(basket, now);
    if (!isLive(seen)) return notLive(seen);
    if (seen.status === 'open') return refuse('basket_not_activated');
    if (seen.status === 'activated') return { basket, answer: {} };
    if (leaseId !== null && leaseId !== basket.leaseId) return refuse('lease_superseded');
    const restored = latest(basket.expiresAtBeforeCheckout ?? now, new Date(now.getTime() + minimumAfterBackMs));
    const change = {
      status: 'activated' as const,
      leaseId: null,
      expiresAt: earliest(restored, checkoutCap(basket)),
      expiresAtBeforeCheckout: null,
    };
    return { basket: await saveBasket(tx, basket, change, type), answer: {} };
  });
  if (!isRefusal(result) && !result.replayed) {
    void deps.admission.settle([holdOf(result.basket)]);
  }
  return result;
}
