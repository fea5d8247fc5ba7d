import type { Queryable } from '../../src/platform/postgres.ts';

/** A hold asked of one stock row, a hold given back, or a hold that was refused because there was not enough. */
type StockOperation = { kind: 'hold' | 'release' | 'refusal'; stockId: string; quantity: number };

/** What was done with one basket, and for a refusal the code that it was refused with. */
type BasketOperation = { kind: string; basketId: string; refusedWith?: string };

/**
 * Something that happened at one moment between two: after `invokedMs` and before `endedMs`, which is Infinity for what
 * may take effect at any later time. `optional` marks what may also never happen: its caller was not told.
 */
type Timed = { invokedMs: number; endedMs: number; optional: boolean };

export type StockCall = StockOperation & Timed;
export type BasketCall = BasketOperation & Timed;

/** A call as a client saw it. Times are milliseconds since 1970, by a clock that does not jump. */
export type Call = {
  client: string;
  operation: string;
  /** What the caller gave to tell its attempts apart: the idempotency key of a creation, the order id of a completion. */
  key: string | null;
  basketId: string | null;
  invokedMs: number;
  endedMs: number;
  /** `unknown`: no answer, or one that does not say whether the call took effect. */
  outcome: 'ok' | 'refused' | 'unknown';
  /** Of the answer; null when there was none. */
  status: number | null;
};

/** The time of histories: as Date.now(), but it neither jumps nor goes back. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Everything that the clients of a load did, in the order in which it ended. */
export type History = { calls: Call[]; stock: StockCall[]; baskets: BasketCall[] };

/** An empty history. Whoever makes calls adds them, and what they mean for stock rows and baskets. */
export function newHistory(): History {
  return { calls: [], stock: [], baskets: [] };
}

/**
 * What of a history no correct service could have done, in words. `capacities` are the stock rows' by their ids, with
 * nothing held when the history begins. `staleRefusalMs`: for how long a refusal may be said on what was true before
 * (the service believes a sold-out answer of Redis for a second after Postgres has said the same).
 */
export function findImpossible(
  history: History,
  capacities: ReadonlyMap<string, number>,
  { staleRefusalMs = 0 } = {},
): string[] {
  const found: string[] = [];
  for (const [stockId, calls] of groupBy(history.stock, (call) => call.stockId)) {
    const capacity = capacities.get(stockId);
    if (capacity === undefined) continue;
    const stale = calls.map((call) =>
      call.kind === 'refusal' ? { ...call, invokedMs: call.invokedMs - staleRefusalMs } : call,
    );
    const problem = whyNotCounter(stale, capacity);
    if (problem !== null) found.push(`stock ${stockId}: ${problem}`);
  }
  for (const [basketId, calls] of groupBy(history.baskets, (call) => call.basketId)) {
    if (!isLinearizable(basketModel, calls)) {
      const told = calls.map(
        ({ kind, refusedWith, optional }) =>
          `${kind}${refusedWith ? ` → ${refusedWith}` : ''}${optional ? ' (unknown)' : ''}`,
      );
      found.push(`basket ${basketId}: no order explains ${told.join(', ')}`);
    }
  }
  return found;
}

/** A specification of one object: the states that an operation can lead to from a state; none when it is impossible. */
type Model<Operation> = { initial: string; step(state: string, operation: Operation): string[] };

/**
 * Whether calls are linearizable: whether each can be given one moment between its call and its end, so that in the
 * order of these moments the model allows all of them. Optional calls may be left out.
 *
 * Source: J. M. Wing and C. Gong, "Testing and Verifying Concurrent Objects", JPDC 17 (1993), with the memory of visited
 * configurations that G. Lowe adds in "Testing for linearizability", Concurrency and Computation 29 (2017). Exponential
 * in the number of calls that overlap: for objects with few of them.
 */
export function isLinearizable<Operation>(model: Model<Operation>, calls: readonly (Operation & Timed)[]): boolean {
  const visited = new Set<string>();
  function search(done: bigint, state: string): boolean {
    const left = calls.flatMap((call, at) => ((done >> BigInt(at)) & 1n ? [] : [{ call, at }]));
    const required = left.filter(({ call }) => !call.optional);
    if (required.length === 0) return true;
    const configuration = `${done}/${state}`;
    if (visited.has(configuration)) return false;
    visited.add(configuration);
    // Nothing may come before a call that had ended when it was made.
    const firstEndMs = Math.min(...required.map(({ call }) => call.endedMs));
    return left
      .filter(({ call }) => call.invokedMs <= firstEndMs)
      .some(({ call, at }) => model.step(state, call).some((next) => search(done | (1n << BigInt(at)), next)));
  }
  return search(0n, model.initial);
}

/**
 * A basket as its clients see it. Live states may end by themselves, which calls of the kind `expire` stand for. What a
 * refusal says must be true of the state in which it is said.
 */
const basketModel: Model<BasketOperation> = {
  initial: 'none',
  step(state, { kind, refusedWith }) {
    if (refusedWith !== undefined) return (refusedWhen[refusedWith]?.includes(state) ?? true) ? [state] : [];
    return (transitions[kind] ?? [])
      .filter(({ from }) => from.includes(state))
      .map(({ to }) => (to === 'as it is' ? state : to));
  },
};

const live = ['open', 'activated', 'checkout'];

const transitions: Record<string, { from: string[]; to: string }[]> = {
  create: [{ from: ['none'], to: 'open' }],
  activate: [
    { from: ['open', 'activated'], to: 'activated' },
    { from: ['checkout'], to: 'as it is' },
  ],
  checkout: [{ from: ['activated', 'checkout'], to: 'checkout' }],
  leave: [{ from: ['checkout'], to: 'activated' }],
  // Late money is accepted after an expiry, and the same order again is the same answer.
  complete: [{ from: ['activated', 'checkout', 'expired', 'completed'], to: 'completed' }],
  cancel: [{ from: ['open', 'activated'], to: 'cancelled' }],
  expire: [{ from: live, to: 'expired' }],
};

const refusedWhen: Record<string, string[]> = {
  basket_not_live: ['completed', 'expired', 'cancelled'],
  basket_in_checkout: ['checkout'],
  basket_not_activated: ['open'],
  already_completed: ['completed'],
  basket_cancelled: ['cancelled'],
  basket_expired: ['expired'],
  link_used: ['completed'],
  expired_stock_gone: ['expired'],
};

/** Configurations that the search of one stock row may visit before it gives up, which counts as a finding. */
const maxConfigurations = 300_000;

/**
 * Why calls on one stock row are not linearizable as a counter that starts at 0, is raised by holds only where it stays
 * within the capacity, lowered by releases, and refuses only what does not fit; null when they are.
 *
 * Two bounds are looked at first, since each finds its kind of fault at once: the least that can be held at the end of
 * each hold (every release early, every hold late, what is optional left out), and the most that can be held during each
 * refusal. Then the search of `isLinearizable`, made fit for thousands of calls by what is special about a counter:
 * - Calls of one kind and quantity are interchangeable, so of those that are pending the one that must end first goes
 *   first (the exchange argument of earliest-deadline scheduling), and a configuration is how many of each went.
 * - A refusal changes nothing, so it happens as soon as the counter allows it.
 * - Nothing needs to happen but just before some call ends ("just-in-time linearization", Lowe 2017).
 */
export function whyNotCounter(calls: readonly StockCall[], capacity: number): string | null {
  return whyBeyondBounds(calls, capacity) ?? whyNoOrder(calls, capacity);
}

function whyBeyondBounds(calls: readonly StockCall[], capacity: number): string | null {
  const changes = calls.filter(({ kind }) => kind !== 'refusal');
  const signed = ({ kind, quantity }: StockCall) => (kind === 'hold' ? quantity : -quantity);
  const least = runningSums(
    'down first',
    changes
      .filter(({ kind, optional }) => kind === 'release' || !optional)
      .map((call) => ({ atMs: call.kind === 'hold' ? call.endedMs : call.invokedMs, change: signed(call) })),
  );
  const tooMuch = least.find(({ sum }) => sum > capacity);
  if (tooMuch) return `${tooMuch.sum} of ${capacity} must have been held at ${tooMuch.atMs}`;

  const most = runningSums(
    'up first',
    changes
      .filter(({ kind, optional }) => kind === 'hold' || !optional)
      .map((call) => ({ atMs: call.kind === 'hold' ? call.invokedMs : call.endedMs, change: signed(call) })),
  );
  for (const { kind, quantity, invokedMs, endedMs } of calls) {
    if (kind !== 'refusal') continue;
    const first = firstNotBefore(most, invokedMs);
    let highest = most[first - 1]?.sum ?? 0;
    for (let at = first; at < most.length && (most[at]?.atMs ?? Infinity) <= endedMs; at += 1) {
      highest = Math.max(highest, most[at]?.sum ?? 0);
    }
    if (highest + quantity <= capacity) {
      return `${quantity} were refused between ${invokedMs} and ${endedMs}, when at most ${highest} of ${capacity} can have been held`;
    }
  }
  return null;
}

type Sum = { atMs: number; sum: number };

/** The sum after each change in the order of time. What happens at one time goes in favour of the bound looked for. */
function runningSums(order: 'up first' | 'down first', changes: { atMs: number; change: number }[]): Sum[] {
  const sign = order === 'up first' ? -1 : 1;
  let sum = 0;
  return changes
    .sort((a, b) => a.atMs - b.atMs || sign * (a.change - b.change))
    .map(({ atMs, change }) => {
      sum += change;
      return { atMs, sum };
    });
}

function firstNotBefore(sums: readonly Sum[], atMs: number): number {
  let low = 0;
  let high = sums.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sums[middle]?.atMs ?? Infinity) < atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

type Pending = StockCall & { id: number };
/** How far the search is: what has been called and has not happened yet, those that must end first in front. */
type Configuration = { event: number; taken: number; pending: readonly Pending[] };

function whyNoOrder(calls: readonly StockCall[], capacity: number): string | null {
  const numbered = calls.map((call, id) => ({ ...call, id }));
  const events = [
    ...numbered.map((call) => ({ atMs: call.invokedMs, isCall: true, call })),
    ...numbered.filter(({ optional }) => !optional).map((call) => ({ atMs: call.endedMs, isCall: false, call })),
  ].sort((a, b) => a.atMs - b.atMs || Number(b.isCall) - Number(a.isCall));

  const visited = new Set<string>();
  const stack: Configuration[] = [{ event: 0, taken: 0, pending: [] }];
  let furthest = 0;
  for (let now = stack.pop(); now !== undefined; now = stack.pop()) {
    let { event, pending } = now;
    const { taken } = now;
    pending = unexplained(pending, taken, capacity);
    for (; event < events.length; event += 1) {
      const { isCall, call } = events[event] as (typeof events)[number];
      if (isCall) pending = unexplained(withCall(pending, call), taken, capacity);
      else if (pending.some(({ id }) => id === call.id)) break;
    }
    const ending = events[event]?.call;
    if (ending === undefined) return null;
    furthest = Math.max(furthest, event);
    const configuration = `${event}/${pending.map(({ id }) => id).join()}`;
    if (visited.has(configuration)) continue;
    visited.add(configuration);
    if (visited.size > maxConfigurations) return `undecided after ${maxConfigurations} configurations`;
    for (const next of movesFrom(pending, taken, capacity, ending)) {
      const change = next.kind === 'hold' ? next.quantity : -next.quantity;
      stack.push({ event, taken: taken + change, pending: pending.filter(({ id }) => id !== next.id) });
    }
  }
  const { kind, quantity, invokedMs, endedMs } = events[furthest]?.call ?? {};
  return `no order of ${calls.length} calls has room for the ${kind} of ${quantity} between ${invokedMs} and ${endedMs}`;
}

function withCall(pending: readonly Pending[], call: Pending): Pending[] {
  const at = pending.findIndex(({ endedMs }) => endedMs > call.endedMs);
  return at < 0 ? [...pending, call] : [...pending.slice(0, at), call, ...pending.slice(at)];
}

/** Without the refusals that are true now. */
function unexplained(pending: readonly Pending[], taken: number, capacity: number): readonly Pending[] {
  const isTrue = ({ kind, quantity }: Pending) => kind === 'refusal' && taken + quantity > capacity;
  return pending.some(isTrue) ? pending.filter((call) => !isTrue(call)) : pending;
}

/**
 * What can happen before `ending` ends, one of each kind and quantity, the most promising last: it is tried first. While
 * refusals wait for more to be held, holds go before releases; what is optional comes after what must happen.
 */
function movesFrom(pending: readonly Pending[], taken: number, capacity: number, ending: Pending): Pending[] {
  const kinds = new Map<string, Pending>();
  for (const call of pending) {
    const possible = call.kind === 'hold' ? taken + call.quantity <= capacity : call.quantity <= taken;
    const name = `${call.kind}/${call.quantity}/${call.optional}`;
    if (call.kind !== 'refusal' && possible && !kinds.has(name)) kinds.set(name, call);
  }
  const wantsMore = pending.some(({ kind }) => kind === 'refusal');
  const rank = (call: Pending) => {
    if (call.id === ending.id && (call.kind === 'hold' || !wantsMore)) return 0;
    const preferred = wantsMore ? 'hold' : 'release';
    return (call.kind === preferred ? 1 : 2) + (call.optional ? 2 : 0);
  };
  return [...kinds.values()].sort((a, b) => rank(b) - rank(a));
}

/**
 * Baskets that clients were told something of which Postgres does not know: that they were created (201), completed or
 * cancelled (200); in words, one for each basket.
 */
export async function findLost(db: Queryable, { calls }: History): Promise<string[]> {
  const told = calls.filter(({ outcome, basketId }) => outcome === 'ok' && basketId !== null);
  const { rows } = await db.query<{ basket_id: string; status: string; order_id: string | null }>(
    'SELECT basket_id, status, order_id FROM baskets WHERE basket_id = ANY($1)',
    [[...new Set(told.map(({ basketId }) => basketId))]],
  );
  const known = new Map(rows.map((row) => [row.basket_id, row]));
  const lost = told.filter(({ operation, basketId, key }) => {
    const row = known.get(basketId ?? '');
    if (row === undefined) return true;
    if (operation === 'complete') return row.status !== 'completed' || row.order_id !== key;
    return operation === 'cancel' && row.status !== 'cancelled';
  });
  return [...groupBy(lost, ({ basketId }) => basketId)].map(
    ([basketId, calls]) => `lost: ${calls.map(({ operation }) => operation).join(', ')} of ${basketId}`,
  );
}

/**
 * Idempotency keys that have made more than one basket, by the answers, or by the rows in Postgres where the key was
 * given as the basket's reference too; in words.
 */
export async function findDoubled(db: Queryable, { calls }: History): Promise<string[]> {
  const creations = calls.filter(({ operation, key }) => operation === 'create' && key !== null);
  const answered = [...groupBy(creations, ({ key }) => key)].map(([key, ofKey]) => ({
    key,
    baskets: new Set(ofKey.flatMap(({ basketId }) => basketId ?? [])).size,
  }));
  const { rows } = await db.query<{ key: string; baskets: number }>(
    'SELECT reference AS key, count(*) AS baskets FROM baskets WHERE reference = ANY($1) GROUP BY reference',
    [creations.map(({ key }) => key)],
  );
  return [...answered, ...rows]
    .filter(({ baskets }) => baskets > 1)
    .map(({ key, baskets }) => `the idempotency key ${key} made ${baskets} baskets`);
}

function groupBy<T, Key>(values: readonly T[], keyOf: (value: T) => Key): Map<Key, T[]> {
  const groups = new Map<Key, T[]>();
  for (const value of values) {
    const group = groups.get(keyOf(value));
    if (group) group.push(value);
    else groups.set(keyOf(value), [value]);
  }
  return groups;
}
