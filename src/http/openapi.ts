import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { Problem } from './schema.ts';

/**
 * Collects the OpenAPI document from the schemas of the routes that are registered after it, and serves it at
 * `/openapi.json`. `openapi.yaml` is the same document, written by `npm run openapi`.
 */
export async function openApi(app: FastifyInstance): Promise<void> {
  app.addSchema(Problem);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'basketlink',
        version: '1',
        description: 'Signed basket links with held stock, handed over to a shop front end exactly once.',
      },
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'A JWT or an API key that has the scope.' },
          session: { type: 'http', scheme: 'bearer', description: 'The session token of the basket in the path.' },
        },
      },
    },
    refResolver: { buildLocalReference: (json, _baseUri, _fragment, index) => String(json.$id ?? `def-${index}`) },
    transform: ({ schema, url, route }) => {
      const access = route.config?.access;
      if (!access) return { schema, url };
      const needs = access.scopes.map((scope) => `\`${scope}\``).join(' or ');
      const session = access.session ? ', or a session token of this basket' : '';
      const partner = access.noPartner ? ' Not for a credential with a `partner`.' : '';
      const security = [
        ...access.scopes.map((scope) => ({ bearer: [scope] })),
        ...(access.session ? [{ session: [] }] : []),
      ];
      const documented = {
        ...schema,
        security,
        description: `Scope: ${needs}${session}.${partner}`,
        ...(access.noPartner ? { 'x-no-partner': true } : {}),
        headers: headersOf(String(route.method), url),
      };
      return { schema: documented, url };
    },
  });
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
}

/** The request headers of a call of the API. They are checked where they are read, not by a schema. */
function headersOf(method: string, url: string) {
  const idempotencyKey = {
    type: 'string',
    minLength: 1,
    maxLength: 255,
    description: 'Any text of your own, new for each call: the same call with the same key is made once.',
  };
  const ifMatch = { type: 'string', description: 'The ETag that the change was decided on; 412 when it is another.' };
  const changesBasket = method !== 'GET' && url.startsWith('/v1/baskets/:id');
  return {
    type: 'object',
    properties: {
      ...(method === 'POST' ? { 'Idempotency-Key': idempotencyKey } : {}),
      ...(changesBasket ? { 'If-Match': ifMatch } : {}),
    },
  };
}
