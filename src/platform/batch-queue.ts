import type { QueueMetrics } from './metrics.ts';
import { isUnavailable } from './postgres.ts';

/** How jobs are gathered into batches. */
type Batching<Job, Outcome> = {
  /** Does a batch of one or more, all or nothing, and gives the outcome of each in their order. */
  work: (batch: readonly Job[]) => Promise<readonly Outcome[]>;
  shopOf: (job: Job) => string;
  /** What no two jobs of a batch may have in common, such as the row that both would change. */
  keysOf: (job: Job) => readonly string[];
  maxBatch: number;
  maxInFlight: number;
  /** How many may wait, those of one shop at most half of it. */
  maxWaiting: number;
  metrics: QueueMetrics;
};

/** Longer than a commit takes unless it waits for somebody's lock. */
const patienceMs = 50;

type Waiting<Job, Outcome> = {
  job: Job;
  shopId: string;
  keys: readonly string[];
  sinceMs: number;
  resolve: (outcome: Outcome) => void;
  reject: (error: unknown) => void;
};

/**
 * Group commit: jobs that arrive while a batch is in flight wait and are done together by the next one, so that a wall
 * of requests costs a few transactions and no connection per request. A lone job is done at once. The next batch begins
 * when the one before has ended: beside it there would be two smaller ones, which mostly want the same rows. Only one
 * that takes longer than 50 ms is not waited for, since it may wait itself. Shops take turns, so
 * that none waits for another's crowd; those of one shop go in the order of their arrival, but for one that shares a
 * key with an earlier one: it waits for a later batch.
 *
 * Gives a job's outcome, or `overloaded` when too many are waiting already and nothing was tried. Rejects with what
 * `work` throws; a batch that fails is first tried job by job, unless Postgres is unavailable.
 */
export function openBatchQueue<Job, Outcome>(
  batching: Batching<Job, Outcome>,
): (job: Job) => Promise<Outcome | 'overloaded'> {
  const { work, shopOf, keysOf, maxBatch, maxInFlight, maxWaiting, metrics } = batching;
  /** Those that wait, by shop; the shop whose turn is next stands first. */
  const lanes = new Map<string, Waiting<Job, Outcome>[]>();
  let waiting = 0;
  let inFlight = 0;
  let begunAtMs = 0;
  metrics.measure(() => waiting);

  async function doBatch(batch: Waiting<Job, Outcome>[]): Promise<void> {
    try {
      const outcomes = await work(batch.map(({ job }) => job));
      for (const [at, { resolve, reject }] of batch.entries()) {
        const outcome = outcomes[at];
        if (outcome === undefined) reject(new Error('a batch left a job out'));
        else resolve(outcome);
      }
    } catch (error) {
      if (batch.length > 1 && !isUnavailable(error)) {
        // One job that Postgres cannot take must not harm those that happened to arrive with it.
        for (const one of batch) await doBatch([one]);
      } else {
        for (const { reject } of batch) reject(error);
      }
    }
  }

  function takeBatch(): Waiting<Job, Outcome>[] {
    const batch: Waiting<Job, Outcome>[] = [];
    const passedOver: Waiting<Job, Outcome>[] = [];
    const taken = new Set<string>();
    // A Map is walked in the order of insertion, what is inserted meanwhile included: a shop goes to the end by its turn.
    for (const [shopId, lane] of lanes) {
      lanes.delete(shopId);
      const first = lane.shift();
      if (lane.length > 0) lanes.set(shopId, lane);
      if (first === undefined) continue;
      if (first.keys.some((key) => taken.has(key))) {
        passedOver.push(first);
        continue;
      }
      for (const key of first.keys) taken.add(key);
      if (batch.push(first) === maxBatch) break;
    }
    for (const one of passedOver.reverse()) laneOf(one.shopId).unshift(one);
    waiting -= batch.length;
    return batch;
  }

  function laneOf(shopId: string): Waiting<Job, Outcome>[] {
    const lane = lanes.get(shopId) ?? [];
    lanes.set(shopId, lane);
    return lane;
  }

  function pump(): void {
    const isPatient = () => inFlight > 0 && performance.now() < begunAtMs + patienceMs;
    while (inFlight < maxInFlight && waiting > 0 && !isPatient()) {
      inFlight += 1;
      begunAtMs = performance.now();
      setTimeout(pump, patienceMs + 1).unref();
      const batch = takeBatch();
      metrics.begun(batch.length, begunAtMs - Math.min(...batch.map(({ sinceMs }) => sinceMs)));
      void doBatch(batch).finally(() => {
        inFlight -= 1;
        pump();
      });
    }
  }

  return (job) => {
    const shopId = shopOf(job);
    const ofShop = lanes.get(shopId)?.length ?? 0;
    if (waiting >= maxWaiting || ofShop >= maxWaiting / 2) {
      metrics.refused();
      return Promise.resolve('overloaded');
    }
    const sinceMs = performance.now();
    return new Promise((resolve, reject) => {
      laneOf(shopId).push({ job, shopId, keys: keysOf(job), sinceMs, resolve, reject });
      waiting += 1;
      pump();
    });
  };
}
