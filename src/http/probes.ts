import { Type } from '@sinclair/typebox';
import type pg from 'pg';
import type { Registry } from 'prom-client';
import type { RedisConnection } from '../platform/redis.ts';
import type { Api } from './api.ts';
import { OneOf } from './schema.ts';

const Readiness = Type.Object({
  status: OneOf('ok', 'degraded', 'unavailable'),
  checks: Type.Object({ postgres: OneOf('ok', 'failed'), redis: OneOf('ok', 'failed') }),
});

/** Never refused for a limit or for pressure. */
const config = { rateLimit: false } as const;

/**
 * `GET /metrics`, in Prometheus' format, `GET /health/live` and `GET /health/ready`. Without Redis the service is slower,
 * not wrong: degraded, and ready. Without Postgres, or unless it is serving, it is not ready.
 */
export function probes(
  app: Api,
  deps: { pool: pg.Pool; redis: RedisConnection; metrics: { registry: Registry }; isServing: () => boolean },
): void {
  app.get('/metrics', { config, schema: { hide: true } }, async (_request, reply) =>
    reply.type(deps.metrics.registry.contentType).send(await deps.metrics.registry.metrics()),
  );
  app.get('/health/live', { config, schema: { hide: true } }, async () => ({ status: 'ok' }));
  app.get(
    '/health/ready',
    { config, schema: { hide: true, response: { 200: Readiness, 503: Readiness } } },
    async (_request, reply) => {
      const [postgres, redis] = await Promise.all([
        deps.pool.query('SELECT 1').then(
          () => true,
          () => false,
        ),
        deps.redis.ping(),
      ]);
      const ready = postgres && deps.isServing();
      return reply.code(ready ? 200 : 503).send({
        status: !ready ? 'unavailable' : redis ? 'ok' : 'degraded',
        checks: { postgres: postgres ? 'ok' : 'failed', redis: redis ? 'ok' : 'failed' },
      });
    },
  );
}
