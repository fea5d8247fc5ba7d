import type pg from 'pg';
import type { openBatchQueue } from '../platform/batch-queue.ts';
import type { QueueMetrics } from '../platform/metrics.ts';
import { commitCreations } from './arbiter.ts';
import type { HoldMetrics } from './metrics.ts';
import type { Creation, CreationOutcome } from './model.ts';

/** Commits a creation. `overloaded`: too many are waiting already, and nothing was tried. */
export type CommitCreation = (creation: Creation) => Promise<CreationOutcome | 'overloaded'>;

/**
 * Group commit of creations. Rejects with what Postgres throws when the outcome is unknown. `sawRedisEpoch` as in
 * commitCreations.
 */
export function openCommitQueue(
  pool: pg.Pool,
  sawRedisEpoch: (epoch: number) => void,
  metrics: { queue: QueueMetrics; holds: HoldMetrics },
  openQueue: typeof openBatchQueue,
): CommitCreation {
  return openQueue({
    work: async (creations: readonly Creation[]) => {
      const outcomes = await commitCreations(pool, creations, sawRedisEpoch);
      metrics.holds.changed('created', outcomes.filter(({ outcome }) => outcome === 'created').length);
      return outcomes;
    },
    metrics: metrics.queue,
    shopOf: ({ shopId }) => shopId,
    // The second of two with one idempotency key must see the first's row.
    keysOf: ({ shopId, idempotency }) =>
      idempotency === null ? [] : [`${shopId}/${idempotency.keyHash.toString('base64')}`],
    maxBatch: 200,
    maxInFlight: 2,
    maxWaiting: 5000,
  });
}
