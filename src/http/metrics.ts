import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ProblemCode } from '../errors.ts';

/** A request as it was answered. `route` is the pattern, or `unknown` where there is none. */
type AnsweredRequest = {
  method: string;
  route: string;
  status: number;
  durationMs: number;
  refusals: readonly ProblemCode[] | null;
};

/** Where the HTTP server says what it answers. */
export type RequestMetrics = {
  begun(): void;
  /** One that had begun is over, answered or not. */
  gone(): void;
  answered(request: AnsweredRequest): void;
};

/** Methods that have routes. The parser knows some thirty more, which nobody needs to see apart. */
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Makes the metrics of requests. Paths, ids and shops are in none of them: a route is its pattern. */
export function requestMetrics(registry: Registry): RequestMetrics {
  const registers = [registry];
  let inFlight = 0;
  new Gauge({
    name: 'basketlink_http_requests_in_flight',
    help: 'How many requests are being answered?',
    registers,
    collect() {
      this.set(inFlight);
    },
  });
  const requests = new Counter({
    name: 'basketlink_http_requests_total',
    help: 'How many requests were answered, on which route and with which status? Paths without a route are `unknown`.',
    labelNames: ['method', 'route', 'status'],
    registers,
  });
  const durations = new Histogram({
    name: 'basketlink_http_request_duration_seconds',
    help: 'How long did it take to answer?',
    labelNames: ['method', 'route'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  });
  const refused = new Counter({
    name: 'basketlink_refusals_total',
    help: 'Why were callers refused? By the code of the problem; each entry of a batch counts.',
    labelNames: ['route', 'code'],
    registers,
  });
  /** What prom-client would look up anew for each request. */
  const requestsOf = childrenOf(requests);
  const durationsOf = childrenOf(durations);
  const refusedOf = childrenOf(refused);
  return {
    begun() {
      inFlight += 1;
    },
    gone() {
      inFlight -= 1;
    },
    answered({ method: sent, route, status, durationMs, refusals }) {
      const method = methods.has(sent) ? sent : 'other';
      requestsOf(method, route, String(status)).inc();
      durationsOf(method, route).observe(durationMs / 1000);
      if (refusals !== null) for (const code of refusals) refusedOf(route, code).inc();
    },
  };
}

function childrenOf<Child>(metric: { labels(...values: string[]): Child }): (...values: string[]) => Child {
  const children = new Map<string, Child>();
  return (...values) => {
    const name = values.join(' ');
    const child = children.get(name) ?? metric.labels(...values);
    children.set(name, child);
    return child;
  };
}
