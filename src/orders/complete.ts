import {
  type Answered,
  asOf,
  type BasketCaller,
  type Change,
  type Changed,
  type Conditions,
  changeBasket,
  holdOf,
  isLive,
  noteRefusedCompletion,
  notLive,
  readLeased,
  refusalsOfPaid,
  sameLines,
  saveBasket,
  spendCards,
  takesOfBasket,
  totalsOfBasket,
} from '../baskets/index.ts';
import { readEvents } from '../catalogue/index.ts';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import { moveStock } from '../holds/index.ts';
import type { OrderDeps } from './checkout.ts';
import type { CompleteRequest } from './model.ts';
import { insertOrder } from './store.ts';

/**
 * Completes a basket, exactly once: the locked row decides between completion, expiry and cancellation, and stock, order
 * and outbox row are written with it. The same order id again gets the same answer. Money that arrives after the expiry
 * of a basket that was activated is accepted as `late`: with the hold it still has, or else with stock taken anew, if
 * all of it is there.
 *
 * Refusals: those of changeBasket, `already_completed`, `order_id_used`, `basket_not_activated`, `event_cancelled`,
 * `basket_cancelled`, `basket_not_live`, `lease_superseded`, `amount_mismatch`, and `expired_stock_gone`, which is final.
 * After those of refusalsOfPaid `basket.completion_refused` goes out, once for each order.
 */
export async function completeBasket(
  deps: OrderDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  request: CompleteRequest,
): Promise<Answered | Refusal> {
  let completedNow = false;
  const result = await changeBasket(deps.pool, caller, basketId, conditions, async (change) => {
    completedNow = change.basket.status !== 'completed';
    const outcome = await complete(change, request);
    if (isRefusal(outcome) && refusalsOfPaid.includes(outcome.refused)) {
      const isFinal = outcome.refused === 'expired_stock_gone';
      await noteRefusedCompletion(change.tx, change.basket, request.orderId, isFinal);
    }
    return outcome;
  });
  if (isRefusal(result) || result.replayed || !completedNow) return result;
  // A late completion may have taken its stock anew, which Redis has not heard of: settling counts it once.
  if (result.basket.late) await deps.admission.settle([holdOf(result.basket)]);
  void deps.admission.sell(result.basket);
  return result;
}

async function complete({ tx, basket, now }: Change, request: CompleteRequest): Promise<Changed | Refusal> {
  const { shopId, basketId } = basket;
  const { orderId, fees = 0 } = request;
  if (basket.status === 'completed') {
    if (basket.orderId === orderId) return { basket, answer: {} };
    return refuse('already_completed', { extensions: { orderId: basket.orderId } });
  }
  const ended = await endedRefusal({ tx, basket, now });
  if (ended) return ended;
  if (await paidForOtherThings({ tx, basket }, request.leaseId)) return refuse('lease_superseded');

  const { due } = totalsOfBasket(basket);
  const wrongAmount = request.amount !== undefined && request.amount !== due + fees;
  const wrongCurrency = request.currency !== undefined && request.currency !== basket.content.currency;
  if (wrongAmount || wrongCurrency) {
    return refuse('amount_mismatch', { extensions: { due, fees, currency: basket.content.currency } });
  }
  // A row that still says live has its hold, however late it is: nobody has given it back yet.
  const taken = await moveStock(tx, shopId, takesOfBasket(basket), isLive(basket) ? 'sell' : 'takeAndSell');
  if (!taken) return refuse('expired_stock_gone');
  await spendCards(tx, basket);
  const recorded = await insertOrder(tx, {
    shopId,
    orderId,
    basketId,
    amountMinor: due,
    feesMinor: fees,
    currency: basket.content.currency,
    paymentReference: request.paymentReference ?? null,
    customerId: request.customerId ?? basket.customerId,
    createdAt: now,
  });
  if (!recorded) return refuse('order_id_used');
  const change = {
    status: 'completed' as const,
    statusReason: null,
    orderId,
    customerId: basket.customerId ?? request.customerId ?? null,
    completedAt: now,
    endedAt: now,
    leaseId: null,
    late: !isLive(asOf(basket, now)),
  };
  return { basket: await saveBasket(tx, basket, change, 'basket.completed'), answer: {} };
}

/**
 * Whether a payment was begun under a lease that is not the present one, for lines that are not the present ones, or for
 * another amount, since gift cards pay more or less of them now.
 */
async function paidForOtherThings({ tx, basket }: Pick<Change, 'tx' | 'basket'>, leaseId?: string): Promise<boolean> {
  if (leaseId === undefined || leaseId === basket.leaseId) return false;
  const leased = await readLeased(tx, basket.shopId, basket.basketId, leaseId);
  const { due } = totalsOfBasket(basket);
  return leased === null || totalsOfBasket(leased).due !== due || !sameLines(leased.lines, basket.lines);
}

/** Why a basket that has ended, or never began, cannot be completed; null when it can, if late. */
async function endedRefusal({ tx, basket, now }: Pick<Change, 'tx' | 'basket' | 'now'>): Promise<Refusal | null> {
  if (basket.completionRefused) return refuse('expired_stock_gone');
  if (basket.status === 'cancelled') {
    const code = basket.statusReason === 'event_cancelled' ? 'event_cancelled' : 'basket_cancelled';
    return refuse(code, { status: 409 });
  }
  const seen = asOf(basket, now);
  if (basket.activatedAt === null) return isLive(seen) ? refuse('basket_not_activated') : notLive(seen);
  const events = await readEvents(tx, basket.shopId, basket.eventIds);
  const cancelled = [...events.values()].some(({ status }) => status === 'cancelled');
  return cancelled ? refuse('event_cancelled', { status: 409 }) : null;
}
