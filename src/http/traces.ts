import type { FastifyInstance } from 'fastify';
import type { Tracing } from '../platform/tracing.ts';

/** Makes each request to the routes registered after it a span, with its route pattern: paths and queries carry tokens. */
export function traceRequests(app: FastifyInstance, tracing: Tracing): void {
  app.addHook('onRequest', (request, reply, done) => {
    const span = tracing.startRequest(request.method, request.headers);
    // Also where the caller has left before the answer.
    reply.raw.once('close', () =>
      span.end({
        route: request.routeOptions.url ?? null,
        status: reply.statusCode,
        requestId: request.id,
        shopId: request.caller?.shopId ?? null,
      }),
    );
    span.run(done);
  });
}
