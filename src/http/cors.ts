import type { FastifyInstance } from 'fastify';

const preflightHeaders = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST, PATCH, DELETE',
  'access-control-allow-headers': 'authorization, content-type, idempotency-key, if-match, if-none-match',
  'access-control-max-age': '7200',
};
const exposedHeaders = 'ETag, Date, Retry-After, Idempotent-Replayed';

/**
 * Lets a shop's pages call the routes that admit a session token. Preflights are answered alike for every origin and
 * look nothing up; an answer may be read only by a session's caller on one of its shop's front end origins, which
 * `frontendOrigins` gives. Registered after bearerAccess, whose caller it needs, and before the routes.
 */
export function sessionCors(app: FastifyInstance, frontendOrigins: (shopId: string) => Promise<string[]>): void {
  const preflighted = new Set<string>();
  app.addHook('onRoute', ({ url, config }) => {
    if (!config?.access?.session || preflighted.has(url)) return;
    preflighted.add(url);
    app.options(url, { schema: { hide: true } }, (_request, reply) => reply.code(204).headers(preflightHeaders).send());
  });
  app.addHook('onRequest', async (request, reply) => {
    if (!request.routeOptions.config.access?.session) return;
    reply.header('vary', 'Origin');
    const { caller } = request;
    const { origin } = request.headers;
    if (caller?.kind !== 'session' || origin === undefined) return;
    if (!(await frontendOrigins(caller.shopId)).includes(origin)) return;
    reply.header('access-control-allow-origin', origin).header('access-control-expose-headers', exposedHeaders);
  });
}
