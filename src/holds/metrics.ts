import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { countBy } from '../platform/metrics.ts';

const changes = [
  'created',
  'activated',
  'completed',
  'refunded',
  'cancelled',
  'event_cancelled',
  'superseded',
  'expired',
] as const;

/** What is counted about baskets and what they hold, and about the copy of it in Redis. */
export type HoldMetrics = {
  /** So many baskets were changed, and it is committed. */
  changed(how: (typeof changes)[number], baskets?: number): void;
  expiryLateness: Histogram;
  drift: Gauge;
  driftRepaired: Counter;
  epochChanges: Counter;
};

/** Makes the metrics in a registry. */
export function holdMetrics(registry: Registry): HoldMetrics {
  const registers = [registry];
  return {
    changed: countBy(registry, {
      name: 'basketlink_basket_changes_total',
      help: 'What became of baskets, and of the stock that they hold? `completed` is sold; what is `cancelled`, `event_cancelled`, `superseded` or `expired` is on sale again.',
      label: 'change',
      values: changes,
    }),
    expiryLateness: new Histogram({
      name: 'basketlink_expiry_lateness_seconds',
      help: 'How long after `expiresAt` did the stock of a basket go on sale again?',
      buckets: [0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 300],
      registers,
    }),
    drift: new Gauge({
      name: 'basketlink_redis_drift_units',
      help: 'By how many units of stock was Redis wrong when it was last compared with Postgres, before it was repaired?',
      registers,
    }),
    driftRepaired: new Counter({
      name: 'basketlink_redis_drift_repaired_units_total',
      help: 'By how many units was Redis found wrong, in all comparisons together?',
      registers,
    }),
    epochChanges: new Counter({
      name: 'basketlink_redis_epoch_changes_total',
      help: 'How often has this replica raised the epoch and built the copy in Redis anew?',
      registers,
    }),
  };
}
