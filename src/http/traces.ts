import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { RequestSpan, Tracing } from '../platform/tracing.ts';

/** Makes each request to the routes registered after it a span, with its route pattern: paths and queries carry tokens. */
export function traceRequests(app: FastifyInstance, tracing: Tracing): void {
  const spans = new WeakMap<FastifyRequest, RequestSpan>();
  app.addHook('onRequest', (request, reply, done) => {
    const span = tracing.startRequest(request.method, request.headers);
    spans.set(request, span);
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
  // What comes after a body is called by its arrival.
  app.addHook('preValidation', (request, _reply, done) => {
    const span = spans.get(request);
    if (span === undefined) done();
    else span.run(done);
  });
}
