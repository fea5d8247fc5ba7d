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

/** How the shop of a run is set up. */
export const limits = { maxLiveBaskets: 3, maxPerBasket: 4, maxExtensions: 2 };

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
  lines: { item: ItemName; quantity: number }[];
  extensionsLeft: number;
  generation: number;
  /** The link generation of every start link that was given out. */
  links: number[];
  /** Of every checkout what it was for. The last is the present one while in checkout. */
  leases: string[];
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
      const { status, statusReason, version, late, customer, order, lines, extensionsLeft } = basket;
      const shown = { status, statusReason, version, late, customer, order, lines, extensionsLeft };
      if (isLive(basket) || !rowIsLive(basket)) return shown;
      return { ...shown, status: 'expired', statusReason: 'timeout', version: version + 1 };
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
      return complete(model, basket, step);
    case 'cancel':
      return cancel(model, basket);
    case 'expire':
      if (rowIsLive(basket)) basket.overdue = true;
      return 'done';
    case 'sweep':
      if (!basket.overdue) return 'not_due';
      end(model, basket, 'expired', 'timeout');
      return 'done';
    case 'add':
      return add(model, basket, step);
    case 'setQuantity':
      return setQuantity(model, basket, step);
    case 'extend':
      return extend(basket);
    case 'patch':
      return patch(basket, step.customer);
    case 'mint':
      return newGeneration(basket, true);
    case 'revoke':
      return newGeneration(basket, false);
  }
}

function create({ stock, baskets, cancelledEvents }: Model, { lines, customer }: Step & { call: 'create' }): Answer {
  if (lines.some(({ item }) => cancelledEvents.includes(items[item].event))) return 'event_cancelled';
  const live = baskets.filter((basket) => isLive(basket) && basket.customer === customer);
  if (customer !== null && live.length >= limits.maxLiveBaskets) return 'live_basket_limit';
  if (!fits(stock, lines)) return 'insufficient_stock';
  move(stock, lines, { held: 1 });
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
    lines: structuredClone(lines),
    extensionsLeft: limits.maxExtensions,
    generation: 1,
    links: [1],
    leases: [],
    order: null,
  });
  return 'done';
}

type Lines = readonly { item: ItemName; quantity: number }[];

/** Whether all of the lines can be had, those on one stock together. */
function fits(stock: Model['stock'], lines: Lines): boolean {
  return Object.entries(capacities).every(([name, capacity]) => {
    const { held, sold } = stock[name as StockName];
    const ofThis = lines.filter(({ item }) => items[item].stock === name);
    const wanted = ofThis.reduce((sum, { quantity }) => sum + quantity, 0);
    return wanted <= 0 || capacity === null || held + sold + wanted <= capacity;
  });
}

function move(stock: Model['stock'], lines: Lines, { held = 0, sold = 0 }: { held?: number; sold?: number }): void {
  for (const { item, quantity } of lines) {
    const row = stock[items[item].stock];
    row.held += held * quantity;
    row.sold += sold * quantity;
  }
}

function isOfEvent({ lines }: ModelBasket, event: string): boolean {
  return lines.some(({ item }) => items[item].event === event);
}

function end(
  { stock }: Model,
  basket: ModelBasket,
  status: 'expired' | 'cancelled',
  statusReason: ModelBasket['statusReason'],
): void {
  move(stock, basket.lines, { held: -1 });
  Object.assign(basket, { status, statusReason, version: basket.version + 1, overdue: false });
}

function cancelEvent(model: Model, event: string): Answer {
  if (!model.cancelledEvents.includes(event)) model.cancelledEvents.push(event);
  for (const basket of model.baskets) {
    if (isLive(basket) && isOfEvent(basket, event)) end(model, basket, 'cancelled', 'event_cancelled');
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
  return cancelledEvents.some((event) => isOfEvent(basket, event)) ? 'event_cancelled' : null;
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
  if (basket.lines.length === 0) return 'basket_empty';
  const signedIn = customer ?? basket.signedIn;
  if (basket.customer !== null && signedIn !== basket.customer) return 'customer_mismatch';
  if (customer !== null) supersede(model, basket, customer);
  Object.assign(basket, {
    status: 'checkout',
    version: basket.version + 1,
    leases: [...basket.leases, contentsOf(basket)],
    signedIn,
    customer: basket.customer ?? customer,
  });
  return 'done';
}

function leaveCheckout(basket: ModelBasket, lease: 'first' | 'newest' | null): Answer {
  if (!isLive(basket)) return 'basket_not_live';
  if (basket.status === 'open') return 'basket_not_activated';
  if (basket.status === 'activated') return 'done';
  if (lease === 'first' && basket.leases.length > 1) return 'lease_superseded';
  Object.assign(basket, { status: 'activated', version: basket.version + 1 });
  return 'done';
}

/** What a basket is paid for, however its lines are ordered. */
function contentsOf({ lines }: ModelBasket): string {
  return lines
    .map(({ item, quantity }) => `${quantity} ${item}`)
    .sort()
    .join();
}

/** The order id of a completion: the basket's own, a second one, or one that all baskets of the run share. */
export function orderOf(all: { baskets: unknown[] }, step: Step & { call: 'complete' }): string {
  return step.order === 'shared' ? 'order-shared' : `order-${step.order}-${placeOf(all, step)}`;
}

function complete(model: Model, basket: ModelBasket, step: Step & { call: 'complete' }): Answer {
  const order = orderOf(model, step);
  if (basket.status === 'completed') return basket.order === order ? 'done' : 'already_completed';
  if (basket.completionRefused) return 'expired_stock_gone';
  if (basket.status === 'cancelled') {
    return basket.statusReason === 'event_cancelled' ? 'event_cancelled' : 'basket_cancelled';
  }
  if (!basket.wasActivated) return isLive(basket) ? 'basket_not_activated' : 'basket_not_live';
  if (model.cancelledEvents.some((event) => isOfEvent(basket, event))) return 'event_cancelled';
  const paidFor = step.lease === null ? undefined : basket.leases.at(step.lease === 'first' ? 0 : -1);
  if (paidFor !== undefined && paidFor !== contentsOf(basket)) return 'lease_superseded';
  if (step.amount === 'wrong') return 'amount_mismatch';
  const holds = rowIsLive(basket);
  if (!holds && !fits(model.stock, basket.lines)) {
    basket.completionRefused = true;
    return 'expired_stock_gone';
  }
  if (model.baskets.some((other) => other.order === order)) return 'order_id_used';
  move(model.stock, basket.lines, { held: holds ? -1 : 0, sold: 1 });
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
  const refusal = frozen(basket);
  if (refusal) return refusal;
  end(model, basket, 'cancelled', 'requested');
  return 'done';
}

function patch(basket: ModelBasket, customer: string | null): Answer {
  const refusal = frozen(basket);
  if (refusal) return refusal;
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

/** Why a basket cannot be worked on. */
function frozen(basket: ModelBasket): Answer | null {
  if (!isLive(basket)) return 'basket_not_live';
  return basket.status === 'checkout' ? 'basket_in_checkout' : null;
}

function add(model: Model, basket: ModelBasket, { item, quantity }: Step & { call: 'add' }): Answer {
  const refusal = frozen(basket) ?? cannotTake(model, basket, item, quantity);
  if (refusal) return refusal;
  const line = basket.lines.find((each) => each.item === item);
  if (line === undefined) basket.lines.push({ item, quantity });
  else line.quantity += quantity;
  basket.version += 1;
  return 'done';
}

function setQuantity(model: Model, basket: ModelBasket, step: Step & { call: 'setQuantity' }): Answer {
  const line = lineOf(basket, step);
  if (line === undefined) return 'not_found';
  const { item, quantity } = line;
  const refusal = frozen(basket) ?? cannotTake(model, basket, item, step.quantity - quantity);
  if (refusal) return refusal;
  line.quantity = step.quantity;
  basket.lines = basket.lines.filter(({ quantity }) => quantity > 0);
  basket.version += 1;
  return 'done';
}

/** The line that a step means, if the basket has any: by its place, counted round and round. */
export function lineOf<Line>({ lines }: { lines: Line[] }, { line }: { line: number }): Line | undefined {
  return lines[line % lines.length];
}

/** Takes more of an item, or gives some back, or says why not. */
function cannotTake(
  { stock, cancelledEvents }: Model,
  { lines }: ModelBasket,
  item: ItemName,
  more: number,
): Answer | null {
  if (more > 0) {
    if (cancelledEvents.includes(items[item].event)) return 'event_cancelled';
    const inBasket = lines.find((line) => line.item === item)?.quantity ?? 0;
    if (inBasket + more > limits.maxPerBasket) return 'quantity_limit';
    if (!fits(stock, [{ item, quantity: more }])) return 'insufficient_stock';
  }
  move(stock, [{ item, quantity: more }], { held: 1 });
  return null;
}

function extend(basket: ModelBasket): Answer {
  const refusal = frozen(basket);
  if (refusal) return refusal;
  if (basket.extensionsLeft === 0) return 'extension_limit';
  basket.extensionsLeft -= 1;
  basket.version += 1;
  return 'done';
}
