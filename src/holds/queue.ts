import type pg from 'pg';
import { isUnavailable } from '../platform/postgres.ts';
import { commitCreations } from './arbiter.ts';
import type { Creation, CreationOutcome } from './model.ts';

const maxBatch = 200;
const maxInFlight = 2;
const maxWaiting = 5000;

type Waiting = {
  creation: Creation;
  resolve: (outcome: CreationOutcome) => void;
  reject: (error: unknown) => void;
};

/** Commits a creation. `overloaded`: too many are waiting already, and nothing was tried. */
export type CommitCreation = (creation: Creation) => Promise<CreationOutcome | { outcome: 'overloaded' }>;

/**
 * Group commit: creations that arrive while a commit is in flight are committed together by the next one, in the order
 * of their arrival, so that a wall of requests costs a few transactions and no connection per request. A lone creation
 * is committed at once. Rejects with what Postgres throws when the outcome is unknown. `sawRedisEpoch` as in
 * commitCreations.
 */
export function openCommitQueue(pool: pg.Pool, sawRedisEpoch: (epoch: number) => void): CommitCreation {
  let waiting: Waiting[] = [];
  let inFlight = 0;

  async function commitBatch(batch: Waiting[]): Promise<void> {
    try {
      const outcomes = await commitCreations(
        pool,
        batch.map(({ creation }) => creation),
        sawRedisEpoch,
      );
      for (const [at, { resolve, reject }] of batch.entries()) {
        const outcome = outcomes[at];
        if (outcome) resolve(outcome);
        else reject(new Error('a commit left a creation out'));
      }
    } catch (error) {
      const [only, ...others] = batch;
      if (only && others.length > 0 && !isUnavailable(error)) {
        // One creation that Postgres cannot take must not harm those that happened to arrive with it.
        for (const one of batch) await commitBatch([one]);
      } else {
        for (const { reject } of batch) reject(error);
      }
    }
  }

  function pump(): void {
    while (inFlight < maxInFlight && waiting.length > 0) {
      const { batch, rest } = takeBatch(waiting);
      waiting = rest;
      inFlight += 1;
      void commitBatch(batch).finally(() => {
        inFlight -= 1;
        pump();
      });
    }
  }

  return (creation) => {
    if (waiting.length >= maxWaiting) return Promise.resolve({ outcome: 'overloaded' });
    return new Promise((resolve, reject) => {
      waiting.push({ creation, resolve, reject });
      pump();
    });
  };
}

/** The next batch: the first that wait, but no two with one idempotency key, since the second must see the first's row. */
function takeBatch(waiting: readonly Waiting[]): { batch: Waiting[]; rest: Waiting[] } {
  const keys = new Set<string>();
  const batch: Waiting[] = [];
  const rest: Waiting[] = [];
  for (const one of waiting) {
    const { shopId, idempotency } = one.creation;
    const key = idempotency && `${shopId}/${idempotency.keyHash.toString('base64')}`;
    if (batch.length === maxBatch || (key !== null && keys.has(key))) {
      rest.push(one);
    } else {
      batch.push(one);
      if (key !== null) keys.add(key);
    }
  }
  return { batch, rest };
}
