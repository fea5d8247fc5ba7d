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
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
    },
    refResolver: { buildLocalReference: (json, _baseUri, _fragment, index) => String(json.$id ?? `def-${index}`) },
    transform: ({ schema, url, route }) => {
      const access = route.config?.access;
      if (!access) return { schema, url };
      const needs = access.scopes.map((scope) => `\`${scope}\``).join(' or ');
      const session = access.session ? ', or a session token of this basket' : '';
      return { schema: { ...schema, security: [{ bearer: [] }], description: `Scope: ${needs}${session}.` }, url };
    },
  });
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
}
