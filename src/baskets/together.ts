import type pg from 'pg';
import { claimKeys, giveKeysUp, type IdempotencyKey, keepAnswers, nameOfKey } from '../http/idempotency.ts';
import type { openBatchQueue } from '../platform/batch-queue.ts';
import type { QueueMetrics } from '../platform/metrics.ts';
import { hasSqlState, sqlState, waitForLocksAtMost, withTransaction } from '../platform/postgres.ts';
import { type BasketCaller, type Conditions, mayNotChange } from './change.ts';
import type { Basket } from './model.ts';
import { type FreeBasket, lockFreeBaskets } from './store.ts';

/** How long a batch waits for a lock that one of its requests wants, before each of them goes on alone. */
const lockWaitMs = 500;

/** What a request to change a basket says, whatever the change. */
export type ChangeRequest = { caller: BasketCaller; basketId: string; conditions: Conditions };

/** A request with its basket, locked, which its caller may change. */
export type Free<Request> = FreeBasket & { request: Request };

/** A changed basket, what its answer has beyond it, and Postgres' time of the change. */
type Made<Answer> = { basket: Basket; answer: Answer; now: Date; replayed: false };

/** How requests of one sort change baskets. */
type ChangeOfMany<Request, Answer> = {
  /**
   * Decides requests for baskets that nobody else works on. Saves those baskets that are changed as nearly all are, and
   * gives them as they are now; of one that it leaves out it has written nothing.
   */
  change: (tx: pg.PoolClient, free: readonly Free<Request>[]) => Promise<readonly Basket[]>;
  /** What the answer has beyond the basket. */
  answerOf: (decidedOn: Free<Request>) => Answer;
  /** What else no two requests of a batch may have in common, beside their basket and their key. */
  alsoApart: (request: Request) => readonly string[];
};

/**
 * Group commit of changes of baskets: those asked for while others are being committed are decided and committed together.
 * No basket that somebody else works on is waited for, and no key or row of stock for long, so that none is slow because
 * of another. Gives null where a request must be decided alone, which has changed nothing: it is not of the common sort,
 * or was in somebody's way; `overloaded` as openBatchQueue.
 */
export function openChangeQueue<Request extends ChangeRequest, Answer extends Record<string, unknown>>(
  pool: pg.Pool,
  metrics: QueueMetrics,
  openQueue: typeof openBatchQueue,
  sort: ChangeOfMany<Request, Answer>,
): (request: Request) => Promise<Made<Answer> | null | 'overloaded'> {
  return openQueue({
    work: (requests: readonly Request[]) => changeTogether(pool, requests, sort),
    shopOf: ({ caller }) => caller.shopId,
    keysOf: (request) => [
      `basket ${nameOf(request)}`,
      ...keysOf([request]).map((key) => `key ${nameOfKey(key)}`),
      ...sort.alsoApart(request),
    ],
    maxBatch: 100,
    maxInFlight: 2,
    maxWaiting: 5000,
    metrics,
  });
}

async function changeTogether<Request extends ChangeRequest, Answer extends Record<string, unknown>>(
  pool: pg.Pool,
  requests: readonly Request[],
  sort: ChangeOfMany<Request, Answer>,
): Promise<(Made<Answer> | null)[]> {
  try {
    const work = (tx: pg.PoolClient) => changeIn(tx, requests, sort);
    const made = await withTransaction(pool, work, ({ size }) => size > 0);
    return requests.map((request) => made.get(request) ?? null);
  } catch (error) {
    if (hasSqlState(error, sqlState.lockNotAvailable)) return requests.map(() => null);
    throw error;
  }
}

async function changeIn<Request extends ChangeRequest, Answer extends Record<string, unknown>>(
  tx: pg.PoolClient,
  requests: readonly Request[],
  { change, answerOf }: ChangeOfMany<Request, Answer>,
): Promise<Map<Request, Made<Answer>>> {
  const names = requests.map(({ caller, basketId }) => ({ shopId: caller.shopId, basketId }));
  // Keys first, as runOnce has it: whoever waits for a basket has its key already.
  const [, claimed, found] = await Promise.all([
    waitForLocksAtMost(tx, lockWaitMs),
    claimKeys(tx, keysOf(requests)),
    lockFreeBaskets(tx, names),
  ]);
  const fresh = requests.filter(({ conditions: { key } }) => key === null || claimed.has(nameOfKey(key)));
  const free = fresh.flatMap((request) => {
    const basket = found.get(nameOf(request));
    const may = basket && mayNotChange(request.caller, request.conditions.ifMatch, basket) === null;
    return may ? [{ ...basket, request }] : [];
  });
  const changed = await change(tx, free);
  const saved = new Map(changed.map((basket) => [`${basket.shopId}/${basket.basketId}`, basket]));
  const made = new Map<Request, Made<Answer>>();
  for (const one of free) {
    const basket = saved.get(nameOf(one.request));
    if (basket) made.set(one.request, { basket, answer: answerOf(one), now: one.now, replayed: false });
  }
  // Rolled back, and with it the keys.
  if (made.size === 0) return made;
  await Promise.all([
    keepAnswers(tx, answersToKeep(made)),
    giveKeysUp(tx, keysOf(fresh.filter((request) => !made.has(request)))),
  ]);
  return made;
}

function answersToKeep(made: ReadonlyMap<ChangeRequest, Made<Record<string, unknown>>>) {
  return [...made].flatMap(([{ conditions }, { basket, now, answer }]) => {
    const { basketId, sequence } = basket;
    const stored = { status: 200, basketId, sequence, answer: { ...answer, now: now.toISOString() } };
    return conditions.key === null ? [] : [{ ...stored, key: conditions.key }];
  });
}

const nameOf = ({ caller, basketId }: ChangeRequest) => `${caller.shopId}/${basketId}`;

const keysOf = (requests: readonly ChangeRequest[]): IdempotencyKey[] =>
  requests.flatMap(({ conditions: { key } }) => key ?? []);
