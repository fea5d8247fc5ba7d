import type { ProblemCode } from '../../src/errors.ts';
import type { Step } from './steps.ts';

/** How a call is answered: done, or refused with a problem's code. A sweep may find that nothing is due. */
export type Answer = 'done' | 'not_due' | ProblemCode;

/** What a run sells. `floor` is a pool that two items draw on; of the mug there is no end. */
export const items = {
  seat: { stock: 'seat', event: 'concert' },
  adult: { stock: 'floor', event: 'concert' },
  child: { stock: 'floor', event: 'concert' },
  tent: { stock: 'tent', event: 'festival' },
  mug: { stock: 'mug', event: 'festival' },
} as const;
export type ItemName = keyof typeof items;
type StockName = (typeof items)[ItemName]['stock'];

export const capacities: Record<StockName, number | null> = { seat: 4, floor: 3, tent: 2, mug: null };

/** How many live baskets a customer may have in the shop of a run. */
export const maxLiveBaskets = 3;

/** A basket as its row should be. `overdue`: its time has run out, and nobody has swept it yet. */
type ModelBasket = {
  status: 'open' | 'activated' | 'checkout' | 'completed' | 'expired' | 'cancelled';
  statusReason: 'timeout' | 'superseded' | 'requested' | 'event_cancelled' | null;
  version: number;
  overdue: boolean;
  late: boolean;
  customer: string | null;
  /** The customer was named by somebody who may log people in. */
  logsIn: boolean;
  /** Who is signed in at the shop, as far as the shop has said. */
  signedIn: string | null;
  wasActivated: boolean;
  completionRefused: boolean;
  takes: [stock: StockName, quantity: number][];
  events: string[];
  generation: number;
  /** The link generation of every start link that was given out. */
  links: number[];
  leases: number;
  order: string | null;
};

/** A shop's stock and baskets as they should be: plain data, so that it can be cloned. */
export type Model = {
  stock: Record<StockName, { held: number; sold: number }>;
  baskets: ModelBasket[];
  cancelledEvents: string[];
};

export function emptyModel(): Model {
  const none = () => ({ held: 0, sold: 0 });
  return { stock: { seat: none(), floor: none(), tent: none(), mug: none() }, baskets: [], cancelledEvents: [] };
}

function rowIsLive({ status }: ModelBasket): boolean {
  return status === 'open' || status === 'activated' || status === 'checkout';
}

/** Whether everybody sees the basket as live. */
function isLive(basket: ModelBasket): boolean {
  return rowIsLive(basket) && !basket.overdue;
}

/** What the API should show of the model, in the order of creation. */
export function shownBy(model: Model) {
  return {
    baskets: model.baskets.map((basket) => {
      const { late, customer, order } = basket;
      if (isLive(basket) || !rowIsLive(basket)) {
        const { status, statusReason, version } = basket;
        return { status, statusReason, version, late, customer, order };
      }
      return { status: 'expired', statusReason: 'timeout', version: basket.version + 1, late, customer, order };
    }),
    stock: Object.fromEntries(
      Object.entries(items).map(([name, { stock }]) => {
        const { held, sold } = model.stock[stock];
        const capacity = capacities[stock];
        return [name, { capacity, held, sold, available: capacity === null ? null : capacity - held - sold }];
      }),
    ),
  };
}

/** The place in the order of creation of the basket that a step means: see Step. */
function placeOf({ baskets }: { baskets: unknown[] }, { basket }: { basket: number }): number {
  return baskets.length - 1 - (basket % baskets.length);
}

/** The basket that a step means. */
export function basketOf<Basket>({ baskets }: { baskets: Basket[] }, { basket }: { basket: number }): Basket {
  const meant = baskets[placeOf({ baskets }, { basket })];
  if (meant === undefined) throw new Error('a step without its basket');
  return meant;
}

/** Takes one step in the model and says how the service must answer the call. */
export function take(model: Model, step: Step): Answer {
  if (step.call === 'create') return create(model, step);
  if (step.call === 'cancelEvent') return cancelEvent(model, step.event);
  const basket = basketOf(model, step);
  switch (step.call) {
    case 'activate':
      return activate(model, basket, step);
    case 'checkout':
      return checkout(model, basket, step.customer);
    case 'back':
      return leaveCheckout(basket, null);
    case 'fail':
      return leaveCheckout(basket, step.lease);
    case 'complete':
      return complete(model, basket, orderOf(model, step), step.amount);
    case 'cancel':
      return cancel(model, basket);
    case 'expire':
      if (rowIsLive(basket)) basket.overdue = true;
      return 'done';
    case 'sweep':
      if (!basket.overdue) return 'not_due';
      end(model, basket, 'expired', 'timeout');
      return 'done';
    case 'patch':
      return patch(basket, step.customer);
    case 'mint':
      return newGeneration(basket, true);
    case 'revoke':
      return newGeneration(basket, false);
  }
}

function create({ stock, baskets, cancelledEvents }: Model, { lines, customer }: Step & { call: 'create' }): Answer {
  const events = [...new Set<string>(lines.map(({ item }) => items[item].event))];
  if (events.some((event) => cancelledEvents.includes(event))) return 'event_cancelled';
  const live = baskets.filter((basket) => isLive(basket) && basket.customer === customer);
  if (customer !== null && live.length >= maxLiveBaskets) return 'live_basket_limit';
  const sums = new Map<StockName, number>();
  for (const { item, quantity } of lines) {
    sums.set(items[item].stock, (sums.get(items[item].stock) ?? 0) + quantity);
  }
  const takes = [...sums];
  if (!fits(stock, takes)) return 'insufficient_stock';
  for (const [name, quantity] of takes) stock[name].held += quantity;
  baskets.push({
    status: 'open',
    statusReason: null,
    version: 1,
    overdue: false,
    late: false,
    customer,
    logsIn: true,
    signedIn: null,
    wasActivated: false,
    completionRefused: false,
    takes,
    events,
    generation: 1,
    links: [1],
    leases: 0,
    order: null,
  });
  return 'done';
}

function fits(stock: Model['stock'], takes: ModelBasket['takes']): boolean {
  return takes.every(([name, quantity]) => {
    const { held, sold } = stock[name];
    return held + sold + quantity <= (capacities[name] ?? Infinity);
  });
}

function end(
  { stock }: Model,
  basket: ModelBasket,
  status: 'expired' | 'cancelled',
  statusReason: ModelBasket['statusReason'],
): void {
  for (const [name, quantity] of basket.takes) stock[name].held -= quantity;
  Object.assign(basket, { status, statusReason, version: basket.version + 1, overdue: false });
}

function cancelEvent(model: Model, event: string): Answer {
  if (!model.cancelledEvents.includes(event)) model.cancelledEvents.push(event);
  for (const basket of model.baskets) {
    if (isLive(basket) && basket.events.includes(event)) end(model, basket, 'cancelled', 'event_cancelled');
  }
  return 'done';
}

/** The refusal of a click or a redemption, in the order of the checks that the two share. */
function linkRefusal({ cancelledEvents }: Model, basket: ModelBasket, generation: number): Answer | null {
  if (generation !== basket.generation) return 'link_revoked';
  if (basket.status === 'completed') return 'link_used';
  if (basket.statusReason === 'event_cancelled') return 'event_cancelled';
  if (basket.status === 'cancelled') return 'basket_cancelled';
  if (!isLive(basket)) return 'basket_expired';
  return basket.events.some((event) => cancelledEvents.includes(event)) ? 'event_cancelled' : null;
}

function activate(model: Model, basket: ModelBasket, { link, signedInAs }: Step & { call: 'activate' }): Answer {
  const refusal = linkRefusal(model, basket, basket.links.at(link === 'first' ? 0 : -1) ?? 0);
  if (refusal) return refusal;
  if (signedInAs !== null && basket.customer !== null && signedInAs !== basket.customer) return 'customer_mismatch';

  const customer = basket.customer ?? signedInAs;
  const again = basket.wasActivated && signedInAs !== basket.customer;
  const loggedIn = basket.customer !== null && basket.logsIn && !again;
  if (!basket.wasActivated) basket.version += 1;
  else if (customer !== basket.customer) basket.version += 1;
  if (customer !== basket.customer) basket.logsIn = false;
  if (basket.status === 'open') basket.status = 'activated';
  basket.wasActivated = true;
  basket.customer = customer;
  basket.signedIn = loggedIn ? customer : signedInAs;
  if (customer !== null && basket.signedIn === customer) supersede(model, basket, customer);
  return 'done';
}

/** Ends the customer's other baskets but those that are being paid. */
function supersede(model: Model, by: ModelBasket, customer: string): void {
  for (const basket of model.baskets) {
    const ends = basket !== by && basket.customer === customer && isLive(basket) && basket.status !== 'checkout';
    if (ends) end(model, basket, 'expired', 'superseded');
  }
}

function checkout(model: Model, basket: ModelBasket, customer: string | null): Answer {
  if (!isLive(basket)) return 'basket_not_live';
  if (basket.status === 'open') return 'basket_not_activated';
  if (basket.status === 'checkout') return 'done';
  const signedIn = customer ?? basket.signedIn;
  if (basket.customer !== null && signedIn !== basket.customer) return 'customer_mismatch';
  if (customer !== null) supersede(model, basket, customer);
  Object.assign(basket, {
    status: 'checkout',
    version: basket.version + 1,
    leases: basket.leases + 1,
    signedIn,
    customer: basket.customer ?? customer,
  });
  return 'done';
}

function leaveCheckout(basket: ModelBasket, lease: 'first' | 'newest' | null): Answer {
  if (!isLive(basket)) return 'basket_not_live';
  if (basket.status === 'open') return 'basket_not_activated';
  if (basket.status === 'activated') return 'done';
  if (lease === 'first' && basket.leases > 1) return 'lease_superseded';
  Object.assign(basket, { status: 'activated', version: basket.version + 1 });
  return 'done';
}

/** The order id of a completion: the basket's own, a second one, or one that all baskets of the run share. */
export function orderOf(all: { baskets: unknown[] }, step: Step & { call: 'complete' }): string {
  return step.order === 'shared' ? 'order-shared' : `order-${step.order}-${placeOf(all, step)}`;
}

function complete(model: Model, basket: ModelBasket, order: string, amount: 'right' | 'wrong' | null): Answer {
  if (basket.status === 'completed') return basket.order === order ? 'done' : 'already_completed';
  if (basket.completionRefused) return 'expired_stock_gone';
  if (basket.status === 'cancelled') {
    return basket.statusReason === 'event_cancelled' ? 'event_cancelled' : 'basket_cancelled';
  }
  if (!basket.wasActivated) return isLive(basket) ? 'basket_not_activated' : 'basket_not_live';
  if (basket.events.some((event) => model.cancelledEvents.includes(event))) return 'event_cancelled';
  if (amount === 'wrong') return 'amount_mismatch';
  const holds = rowIsLive(basket);
  if (!holds && !fits(model.stock, basket.takes)) {
    basket.completionRefused = true;
    return 'expired_stock_gone';
  }
  if (model.baskets.some((other) => other.order === order)) return 'order_id_used';
  for (const [name, quantity] of basket.takes) {
    if (holds) model.stock[name].held -= quantity;
    model.stock[name].sold += quantity;
  }
  Object.assign(basket, {
    status: 'completed',
    statusReason: null,
    late: !isLive(basket),
    // What was read as expired has had a version of its own.
    version: basket.version + (basket.overdue ? 2 : 1),
    overdue: false,
    order,
  });
  return 'done';
}

function cancel(model: Model, basket: ModelBasket): Answer {
  if (!isLive(basket)) return 'basket_not_live';
  if (basket.status === 'checkout') return 'basket_in_checkout';
  end(model, basket, 'cancelled', 'requested');
  return 'done';
}

function patch(basket: ModelBasket, customer: string | null): Answer {
  if (!isLive(basket)) return 'basket_not_live';
  if (basket.status === 'checkout') return 'basket_in_checkout';
  if (customer !== basket.customer) {
    if (basket.status !== 'open') return 'not_modifiable';
    basket.generation += 1;
    basket.logsIn = true;
    basket.customer = customer;
  }
  basket.version += 1;
  return 'done';
}

function newGeneration(basket: ModelBasket, minted: boolean): Answer {
  if (!isLive(basket)) return 'basket_not_live';
  basket.generation += 1;
  if (minted) basket.links.push(basket.generation);
  basket.version += 1;
  return 'done';
}
