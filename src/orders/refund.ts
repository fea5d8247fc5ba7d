import {
  type Answered,
  asOf,
  type Basket,
  type BasketCaller,
  type Change,
  type Changed,
  type Conditions,
  changeBasket,
  giveBackToCards,
  saveBasket,
} from '../baskets/index.ts';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import { moveStock, type StockTake, takesOf } from '../holds/index.ts';
import { shareOfUnits } from '../money/index.ts';
import { newId } from '../platform/ids.ts';
import type { OrderDeps } from './checkout.ts';
import type { RefundAnswer, RefundRequest } from './model.ts';
import { insertRefund, type Refund, type RefundedLine, readRefunds } from './store.ts';

/**
 * Records a refund of a completed basket that was made elsewhere: of the lines that the request names, or of everything
 * that has not been refunded. What gift cards paid of it is on them again. With `restock` the units are on sale again
 * when this returns, else they stay sold. The same payment reference again gets the refund that was recorded under it.
 * A refund of the last unit makes the basket `refundedAt`. Refusals: those of changeBasket, `basket_not_completed`,
 * `refund_exceeds_purchase`.
 */
export async function refundBasket(
  deps: OrderDeps,
  caller: BasketCaller,
  basketId: string,
  conditions: Conditions,
  request: RefundRequest,
): Promise<Answered | Refusal> {
  let restocked: StockTake[] = [];
  let recorded = false;
  const result = await changeBasket(deps.pool, caller, basketId, conditions, async (change) => {
    restocked = [];
    recorded = false;
    const { tx, basket, now } = change;
    const { status, statusReason } = asOf(basket, now);
    if (status !== 'completed') {
      return refuse('basket_not_completed', { extensions: { basketStatus: status, statusReason } });
    }
    const earlier = await readRefunds(tx, basket.shopId, basketId);
    const { paymentReference = null } = request;
    const same = earlier.find((refund) => paymentReference !== null && refund.paymentReference === paymentReference);
    if (same) return { basket, answer: { refund: showRefund(same, basket) } };
    const lines = refundedLines(basket, earlier, request.lines);
    if (isRefusal(lines)) return lines;
    if (request.restock) restocked = takesOf(lines);
    recorded = true;
    return refund(change, earlier, {
      refundId: newId('rfd'),
      paymentReference,
      lines,
      restocked: request.restock,
      createdAt: now,
    });
  });
  if (!isRefusal(result) && !result.replayed && recorded) deps.metrics.changed('refunded');
  if (!isRefusal(result) && !result.replayed && restocked.length > 0) {
    await deps.admission.restock({ ...result.basket, takes: restocked });
  }
  return result;
}

async function refund({ tx, basket, now }: Change, earlier: readonly Refund[], refund: Refund): Promise<Changed> {
  const { shopId, basketId } = basket;
  const refundedMinor = [...earlier, refund].flatMap(({ lines }) => lines).reduce((sum, { amount }) => sum + amount, 0);
  await giveBackToCards(tx, basket, refundedMinor);
  if (refund.restocked && !(await moveStock(tx, [{ shopId, takes: takesOf(refund.lines) }], 'restock'))) {
    throw new Error('what was sold has no stock row');
  }
  await insertRefund(tx, shopId, basketId, refund);
  const refunded = unitsByLine([...earlier, refund]);
  const all = basket.lines.every(({ lineId, quantity }) => refunded.get(lineId) === quantity);
  const saved = await saveBasket(tx, basket, { refundedAt: all ? now : null }, 'basket.refunded');
  return { basket: saved, answer: { refund: showRefund(refund, basket) } };
}

/**
 * What is refunded of which line: as `wanted` says, where a line that stands twice counts as the sum, or all that is
 * left. Amounts are shares of what the lines came to, which add up to it once every unit is refunded.
 */
function refundedLines(
  basket: Basket,
  earlier: readonly Refund[],
  wanted: RefundRequest['lines'],
): RefundedLine[] | Refusal {
  const bought = unitsByLine([basket]);
  const before = unitsByLine(earlier);
  const left = new Map([...bought].map(([lineId, units]) => [lineId, units - (before.get(lineId) ?? 0)]));
  const nothingLeft = [...left.values()].every((units) => units === 0);
  const asked = wanted ? unitsByLine([{ lines: wanted }]) : nothingLeft ? bought : left;
  const tooMany = [...asked].filter(([lineId, units]) => units > (left.get(lineId) ?? 0));
  if (nothingLeft || tooMany.length > 0) {
    const errors = tooMany.map(([lineId, requested]) => ({ lineId, requested, refundable: left.get(lineId) ?? 0 }));
    return refuse('refund_exceeds_purchase', { extensions: { errors } });
  }
  return basket.lines.flatMap(({ lineId, itemId, stockId, total, ...line }) => {
    const quantity = asked.get(lineId) ?? 0;
    const from = before.get(lineId) ?? 0;
    const amount = shareOfUnits(total, line.quantity, from, from + quantity);
    return quantity === 0 ? [] : [{ lineId, itemId, stockId, quantity, amount }];
  });
}

function unitsByLine(refunds: readonly { lines: readonly { lineId: string; quantity: number }[] }[]) {
  const units = new Map<string, number>();
  for (const { lineId, quantity } of refunds.flatMap(({ lines }) => lines)) {
    units.set(lineId, (units.get(lineId) ?? 0) + quantity);
  }
  return units;
}

function showRefund({ createdAt, lines, ...refund }: Refund, { content: { currency } }: Basket): RefundAnswer {
  return {
    ...refund,
    lines: lines.map(({ stockId, ...line }) => line),
    amount: lines.reduce((sum, { amount }) => sum + amount, 0),
    currency,
    createdAt: createdAt.toISOString(),
  };
}
