import type pg from 'pg';
import {
  type Answered,
  appliedOf,
  asOf,
  type Basket,
  type BasketCaller,
  type Change,
  type Changed,
  type ChangeRequest,
  type Conditions,
  changeBasket,
  type Free,
  holdOf,
  isLive,
  noteRefusedCompletion,
  notLive,
  openChangeQueue,
  readLeased,
  refusalsOfPaid,
  sameLines,
  saveBasket,
  saveBaskets,
  spendCards,
  totalsOfBasket,
} from '../baskets/index.ts';
import { readEvents } from '../catalogue/index.ts';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import { moveStock } from '../holds/index.ts';
import type { openBatchQueue } from '../platform/batch-queue.ts';
import type { QueueMetrics } from '../platform/metrics.ts';
import type { OrderDeps } from './checkout.ts';
import type { CompleteRequest } from './model.ts';
import { insertOrders, type Order } from './store.ts';

/** A request to complete a basket. */
export type Completion = ChangeRequest & { complete: CompleteRequest };

/**
 * Completes a basket, exactly once: the locked row decides between completion, expiry and cancellation, and stock, order
 * and outbox row are written with it. The same order id again gets the same answer. Money that arrives after the expiry
 * of a basket that was activated is accepted as `late`: with the hold it still has, or else with stock taken anew, if
 * all of it is there.
 *
 * Refusals: those of changeBasket, `already_completed`, `order_id_used`, `basket_not_activated`, `event_cancelled`,
 * `basket_cancelled`, `basket_not_live`, `lease_superseded`, `amount_mismatch`, and `expired_stock_gone`, which is final;
 * `unavailable` when too many wait. After those of refusalsOfPaid `basket.completion_refused` goes out, once for each order.
 */
export async function completeBasket(
  deps: OrderDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  request: CompleteRequest,
): Promise<Answered | Refusal> {
  const together = await deps.completeTogether({ caller, basketId, conditions, complete: request });
  if (together === 'overloaded') return refuse('unavailable');
  if (together === null) return completeAlone(deps, caller, basketId, conditions, request);
  deps.metrics.changed('completed');
  await deps.admission.sell([together.basket]);
  return together;
}

/**
 * Group commit of completions as nearly all are: in time, under the present lease if under any, and paid with money alone.
 * Nothing of their stock is decided, since what is held can always be sold, so its rows are locked last and shortly.
 */
export function openCompletionQueue(pool: pg.Pool, metrics: QueueMetrics, openQueue: typeof openBatchQueue) {
  return openChangeQueue(pool, metrics, openQueue, {
    change: completeFree,
    answerOf: () => ({}),
    alsoApart: ({ caller, complete }: Completion) => [`order ${caller.shopId}/${complete.orderId}`],
  });
}

async function completeFree(tx: pg.PoolClient, free: readonly Free<Completion>[]): Promise<Basket[]> {
  const common = free.filter(isCommon);
  const recorded = await insertOrders(
    tx,
    common.map(({ basket, now, request }) => orderOf(basket, now, request.complete)),
  );
  const ordered = common.filter(({ basket }) => recorded.has(`${basket.shopId}/${basket.basketId}`));
  const [saved, sold] = await Promise.all([
    saveBaskets(
      tx,
      ordered.map(({ basket, now, request }) => ({ basket, change: completed(basket, now, request.complete) })),
      'basket.completed',
    ),
    moveStock(
      tx,
      ordered.map(({ basket }) => holdOf(basket)),
      'sell',
    ),
  ]);
  if (!sold) throw new Error('what is held has no stock row');
  return saved;
}

function isCommon({ basket, now, eventStatuses, request: { complete } }: Free<Completion>): boolean {
  return (
    isLive(asOf(basket, now)) &&
    !basket.giftCards.some((card) => appliedOf(card) > 0) &&
    (complete.leaseId === undefined || complete.leaseId === basket.leaseId) &&
    refusalOf(basket, now, eventStatuses, false, complete) === null
  );
}

async function completeAlone(
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
  deps.metrics.changed('completed');
  // A late completion may have taken its stock anew, which Redis has not heard of: settling counts it once.
  if (result.basket.late) await deps.admission.settle([holdOf(result.basket)]);
  await deps.admission.sell([result.basket]);
  return result;
}

async function complete({ tx, basket, now }: Change, request: CompleteRequest): Promise<Changed | Refusal> {
  if (basket.status === 'completed') {
    if (basket.orderId === request.orderId) return { basket, answer: {} };
    return refuse('already_completed', { extensions: { orderId: basket.orderId } });
  }
  const events = await readEvents(tx, basket.shopId, basket.eventIds);
  const eventStatuses = [...events.values()].map(({ status }) => status);
  const forOtherThings = await paidForOtherThings(tx, basket, request.leaseId);
  const refusal = refusalOf(basket, now, eventStatuses, forOtherThings, request);
  if (refusal) return refusal;
  // A row that still says live has its hold, however late it is: nobody has given it back yet.
  const taken = await moveStock(tx, [holdOf(basket)], isLive(basket) ? 'sell' : 'takeAndSell');
  if (!taken) return refuse('expired_stock_gone');
  await spendCards(tx, basket);
  const recorded = await insertOrders(tx, [orderOf(basket, now, request)]);
  if (recorded.size === 0) return refuse('order_id_used');
  return { basket: await saveBasket(tx, basket, completed(basket, now, request), 'basket.completed'), answer: {} };
}

/** What a completion changes in a basket. */
function completed(basket: Basket, now: Date, { orderId, customerId }: CompleteRequest) {
  return {
    status: 'completed' as const,
    statusReason: null,
    orderId,
    customerId: basket.customerId ?? customerId ?? null,
    completedAt: now,
    endedAt: now,
    leaseId: null,
    late: !isLive(asOf(basket, now)),
  };
}

function orderOf(basket: Basket, now: Date, request: CompleteRequest): Order {
  return {
    shopId: basket.shopId,
    orderId: request.orderId,
    basketId: basket.basketId,
    amountMinor: totalsOfBasket(basket).due,
    feesMinor: request.fees ?? 0,
    currency: basket.content.currency,
    paymentReference: request.paymentReference ?? null,
    customerId: request.customerId ?? basket.customerId,
    createdAt: now,
  };
}

/**
 * Whether a payment was begun under a lease that is not the present one, for lines that are not the present ones, or for
 * another amount, since gift cards pay more or less of them now.
 */
async function paidForOtherThings(tx: pg.PoolClient, basket: Basket, leaseId?: string): Promise<boolean> {
  if (leaseId === undefined || leaseId === basket.leaseId) return false;
  const leased = await readLeased(tx, basket.shopId, basket.basketId, leaseId);
  const { due } = totalsOfBasket(basket);
  return leased === null || totalsOfBasket(leased).due !== due || !sameLines(leased.lines, basket.lines);
}

/** Why a basket that is not completed cannot be, or not with this request; null when it can, if late. */
function refusalOf(
  basket: Basket,
  now: Date,
  eventStatuses: readonly string[],
  forOtherThings: boolean,
  { amount, currency, fees = 0 }: CompleteRequest,
): Refusal | null {
  if (basket.completionRefused) return refuse('expired_stock_gone');
  if (basket.status === 'cancelled') {
    const code = basket.statusReason === 'event_cancelled' ? 'event_cancelled' : 'basket_cancelled';
    return refuse(code, { status: 409 });
  }
  const seen = asOf(basket, now);
  if (basket.activatedAt === null) return isLive(seen) ? refuse('basket_not_activated') : notLive(seen);
  if (eventStatuses.includes('cancelled')) return refuse('event_cancelled', { status: 409 });
  if (forOtherThings) return refuse('lease_superseded');
  const { due } = totalsOfBasket(basket);
  const owed = { due, fees, currency: basket.content.currency };
  const isWhatIsOwed = (amount ?? due + fees) === due + fees && (currency ?? owed.currency) === owed.currency;
  return isWhatIsOwed ? null : refuse('amount_mismatch', { extensions: owed });
}
