import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { Problem, problemResponses } from './schema.ts';

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
        response: { ...refusalsOfAll(route.method !== 'GET'), ...(schema.response as object) },
      };
      return { schema: documented, url };
    },
    transformObject: (document) => {
      if (!('openapiObject' in document)) throw new Error('this is a document of Swagger 2');
      withOptionalDefaults(document.openapiObject as Document);
      return document.openapiObject;
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

/** The refusals that come before any route is asked: of the request as such, and of its credential. */
function refusalsOfAll(takesBody: boolean) {
  return problemResponses(400, 401, 403, ...(takesBody ? [413] : []), 415, 429, 503);
}

type Schema = {
  $ref?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  required?: string[];
  default?: unknown;
};
type Document = {
  components: { schemas: Record<string, Schema> };
  paths: Record<string, Record<string, Operation>>;
};
type Operation = {
  parameters?: { required?: boolean; schema: Schema }[];
  requestBody?: { required: boolean; content: Record<string, { schema: Schema }> };
};

/**
 * Makes optional in requests what has a default, and the bodies that need nothing: by the time that the
 * routes' schemas are asked for what is required the defaults are filled in, but who reads the document sends a body.
 */
function withOptionalDefaults({ components, paths }: Document): void {
  for (const { parameters = [], requestBody } of Object.values(paths).flatMap((methods) => Object.values(methods))) {
    for (const parameter of parameters) if (parameter.schema.default !== undefined) parameter.required = false;
    for (const content of Object.values(requestBody?.content ?? {})) {
      const name = content.schema.$ref?.replace('#/components/schemas/', '');
      const schema = asSent((name === undefined ? undefined : components.schemas[name]) ?? content.schema);
      if (name === undefined) content.schema = schema;
      else components.schemas[name] = schema;
      if (requestBody) requestBody.required = (schema.required ?? []).length > 0;
    }
  }
}

/** The schema of what is sent, given that of what is read with the defaults in it. */
function asSent(schema: Schema): Schema {
  const { properties, items, required } = schema;
  const sent = { ...schema };
  if (items) sent.items = asSent(items);
  if (properties) {
    sent.properties = Object.fromEntries(Object.entries(properties).map(([name, part]) => [name, asSent(part)]));
  }
  const needed = required?.filter((name) => properties?.[name]?.default === undefined) ?? [];
  if (needed.length > 0) sent.required = needed;
  else delete sent.required;
  return sent;
}
