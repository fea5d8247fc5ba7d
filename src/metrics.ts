import type pg from 'pg';
import { Registry } from 'prom-client';
import { type Admission, holdMetrics } from './holds/index.ts';
import { requestMetrics } from './http/metrics.ts';
import { linkMetrics } from './links/index.ts';
import { processMetrics, queueMetrics } from './platform/metrics.ts';
import { readLagSeconds, webhookMetrics } from './webhooks/index.ts';

/** The metrics of the process and of every room, in one registry. */
export type Metrics = ReturnType<typeof openMetrics>;

/** Makes all metrics of a process. What they are read from is asked only when somebody asks for them. */
export function openMetrics(pool: pg.Pool, redis: { isUsable: () => boolean }, admission: Pick<Admission, 'epoch'>) {
  const registry = new Registry();
  processMetrics(registry, pool, redis, () => admission.epoch() !== null);
  return {
    registry,
    requests: requestMetrics(registry),
    holds: holdMetrics(registry),
    queueOf: queueMetrics(registry),
    links: linkMetrics(registry),
    webhooks: webhookMetrics(registry, () => readLagSeconds(pool)),
  };
}
