import { performance } from 'node:perf_hooks';
import type pg from 'pg';
import { Counter, collectDefaultMetrics, Gauge, Histogram, type Registry } from 'prom-client';

/**
 * Makes a counter with one label, and gives what counts by a value of it. `values` are shown from the start, as 0: a rate
 * over something that has never happened is 0 then, and not unknown.
 */
export function countBy<Value extends string>(
  registry: Registry,
  counter: { name: string; help: string; label: string; values: readonly Value[] },
): (value: Value, times?: number) => void {
  const { name, help, label, values } = counter;
  const made = new Counter({ name, help, labelNames: [label], registers: [registry] });
  const children = new Map(values.map((value) => [value, made.labels(value)]));
  for (const child of children.values()) child.inc(0);
  return (value, times = 1) => children.get(value)?.inc(times);
}

/**
 * Makes the metrics of the process itself and of its connections, those of prom-client included. They are read when
 * somebody asks for them. `isRedisUsed` says whether it is asked about stock and clicks, if it can be reached.
 */
export function processMetrics(
  registry: Registry,
  pool: Pick<pg.Pool, 'query' | 'totalCount' | 'idleCount' | 'waitingCount'>,
  redis: { isUsable: () => boolean },
  isRedisUsed: () => boolean,
): void {
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  let utilisationBefore = performance.eventLoopUtilization();
  new Gauge({
    name: 'basketlink_event_loop_utilisation_ratio',
    help: 'What part of the time since the metrics were last asked for was the event loop at work? 1: always.',
    registers,
    collect() {
      const utilisation = performance.eventLoopUtilization();
      this.set(performance.eventLoopUtilization(utilisation, utilisationBefore).utilization);
      utilisationBefore = utilisation;
    },
  });
  new Gauge({
    name: 'basketlink_postgres_up',
    help: 'Does Postgres answer? 1 or 0.',
    registers,
    async collect() {
      this.set(await pool.query('SELECT 1').then(...oneOrZero));
    },
  });
  new Gauge({
    name: 'basketlink_redis_up',
    help: 'Does Redis answer? 1, or 0 from a call that failed until a ping is answered.',
    registers,
    collect() {
      this.set(redis.isUsable() ? 1 : 0);
    },
  });
  new Gauge({
    name: 'basketlink_redis_in_use',
    help: 'Is Redis asked about stock and clicks? 1, or 0 while Postgres decides alone (degraded).',
    registers,
    collect() {
      this.set(redis.isUsable() && isRedisUsed() ? 1 : 0);
    },
  });
  new Gauge({
    name: 'basketlink_postgres_connections',
    help: 'How many connections to Postgres are there, at work (`used`) and not (`idle`)?',
    labelNames: ['state'],
    registers,
    collect() {
      this.set({ state: 'used' }, pool.totalCount - pool.idleCount);
      this.set({ state: 'idle' }, pool.idleCount);
    },
  });
  new Gauge({
    name: 'basketlink_postgres_waiting',
    help: 'How many wait for a connection to Postgres?',
    registers,
    collect() {
      this.set(pool.waitingCount);
    },
  });
}

const oneOrZero = [() => 1, () => 0] as const;

/** Where one batch queue says what it does. */
export type QueueMetrics = {
  /** Hears from the queue how to find out how many wait. */
  measure(length: () => number): void;
  /** A batch has begun, of which one has waited for so long, and no other longer. */
  begun(jobs: number, waitedMs: number): void;
  /** A job was refused, because too many wait. */
  refused(): void;
};

/** Makes the metrics of batch queues, and gives what makes those of one, by its name. */
export function queueMetrics(registry: Registry): (queue: string) => QueueMetrics {
  const [labelNames, registers] = [['queue'], [registry]];
  const lengths = new Map<string, () => number>();
  new Gauge({
    name: 'basketlink_commit_queue_length',
    help: 'How many requests wait to be committed? More than 5,000 are refused.',
    ...{ labelNames, registers },
    collect() {
      for (const [queue, length] of lengths) this.set({ queue }, length());
    },
  });
  const sizes = new Histogram({
    name: 'basketlink_commit_batch_size',
    help: 'How many requests are committed together?',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200],
    ...{ labelNames, registers },
  });
  const waits = new Histogram({
    name: 'basketlink_commit_queue_wait_seconds',
    help: 'How long has the first request of a batch waited for the batches before it?',
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    ...{ labelNames, registers },
  });
  const refusals = new Counter({
    name: 'basketlink_commit_queue_refused_total',
    help: 'How many requests were refused, because too many were waiting to be committed?',
    ...{ labelNames, registers },
  });
  return (queue) => {
    const [size, wait, refusal] = [sizes.labels(queue), waits.labels(queue), refusals.labels(queue)];
    refusal.inc(0);
    return {
      measure: (length) => void lengths.set(queue, length),
      begun(jobs, waitedMs) {
        size.observe(jobs);
        wait.observe(waitedMs / 1000);
      },
      refused: () => refusal.inc(),
    };
  };
}
