import { Counter, Gauge, type Registry } from 'prom-client';

/** What is counted about the copy of the reservations in Redis. */
export type HoldMetrics = { drift: Gauge; epochChanges: Counter };

/** Makes the metrics in a registry. */
export function holdMetrics(registry: Registry): HoldMetrics {
  const registers = [registry];
  return {
    drift: new Gauge({
      name: 'basketlink_redis_drift_units',
      help: 'Units of stock by which Redis was wrong when it was last compared with Postgres, before it was repaired.',
      registers,
    }),
    epochChanges: new Counter({
      name: 'basketlink_redis_epoch_changes_total',
      help: 'How often this replica has raised the epoch and built the copy in Redis anew.',
      registers,
    }),
  };
}
