import { type Static, Type } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';
import type pg from 'pg';
import { isRefusal, type Refusal, refuse } from '../../errors.ts';
import { type ApiCaller, callerOfRequest, shopScopes } from '../../http/access.ts';
import type { Api } from '../../http/api.ts';
import { makeCursor, readCursor } from '../../http/cursor.ts';
import { idempotencyKeyOf } from '../../http/idempotency.ts';
import { sendProblem } from '../../http/problems.ts';
import { Id, Nullable, OneOf, pageParameters, problemResponses, strict, Time } from '../../http/schema.ts';
import type { Keyring } from '../../platform/crypto.ts';
import { mayManage } from '../rules.ts';
import { readShop } from '../store.ts';
import { createApiKey } from './create.ts';
import { deleteApiKey, hasApiKey, listApiKeys } from './store.ts';
import type { ApiKeyVerifier } from './verify.ts';

/** A partner manages none, not even its own: whoever limited it decides what it may do. */
const access = { scopes: ['platform', 'shop:write'], noPartner: true } as const;
const shopParams = Type.Object({ shopId: Id });
const keyParams = Type.Object({ shopId: Id, apiKeyId: Id });
const shown = {
  apiKeyId: Id,
  name: Type.String({ minLength: 1, maxLength: 200 }),
  scopes: Type.Array(OneOf(...shopScopes), { minItems: 1, uniqueItems: true }),
  partner: Type.Unsafe<string | null>({ ...Nullable(Id), default: null }),
};
const ApiKeyAnswer = Type.Object({ ...shown, createdAt: Time });

/** `POST` and `GET /v1/shops/{shopId}/api-keys`, `DELETE /v1/shops/{shopId}/api-keys/{apiKeyId}`. */
export function apiKeyRoutes(
  app: Api,
  deps: { pool: pg.Pool; cursorKeys: Keyring; sealKeys: Keyring; apiKeys: ApiKeyVerifier },
): void {
  const { pool } = deps;
  const refusals = problemResponses(400, 401, 403, 404, 409, 422);
  const exists = async (request: FastifyRequest) => !isRefusal(await manager(pool, request));
  const keyExists = async (request: FastifyRequest) => {
    const { shopId, apiKeyId } = request.params as Static<typeof keyParams>;
    return (await exists(request)) && hasApiKey(pool, shopId, apiKeyId);
  };

  app.post(
    '/v1/shops/:shopId/api-keys',
    {
      config: { access, exists },
      schema: {
        tags: ['Shops'],
        summary: 'Make an API key, which is shown this once',
        operationId: 'createApiKey',
        params: shopParams,
        body: Type.Object({ name: shown.name, scopes: shown.scopes, partner: shown.partner }, strict),
        response: { 201: Type.Object({ ...shown, apiKey: Type.String(), createdAt: Time }), ...refusals },
      },
    },
    async (request, reply) => {
      const caller = await manager(pool, request);
      if (isRefusal(caller)) return sendProblem(reply, caller);
      const key = idempotencyKeyOf(request, caller);
      if (isRefusal(key)) return sendProblem(reply, key);
      const created = await createApiKey(deps, caller.shopId, request.body, key);
      if (isRefusal(created)) return sendProblem(reply, created);
      if (created.replayed) reply.header('idempotent-replayed', 'true');
      return reply.code(201).send(created.result);
    },
  );

  app.get(
    '/v1/shops/:shopId/api-keys',
    {
      config: { access, exists },
      schema: {
        tags: ['Shops'],
        summary: 'List the API keys of a shop',
        operationId: 'listApiKeys',
        params: shopParams,
        querystring: Type.Object(pageParameters, strict),
        response: {
          200: Type.Object({ data: Type.Array(ApiKeyAnswer), nextCursor: Nullable(Type.String()) }),
          ...refusals,
        },
      },
    },
    async (request, reply) => {
      const caller = await manager(pool, request);
      if (isRefusal(caller)) return sendProblem(reply, caller);
      const { limit, cursor } = request.query;
      const list = ['api-keys', caller.shopId];
      const position = cursor === undefined ? [] : readCursor(deps.cursorKeys, list, cursor);
      if (isRefusal(position)) return sendProblem(reply, position);
      const found = await listApiKeys(pool, caller.shopId, position[0] ?? null, limit + 1);
      const page = found.slice(0, limit);
      const last = found.length > limit ? page.at(-1) : undefined;
      return reply.send({
        data: page.map(({ shopId, createdAt, ...apiKey }) => ({ ...apiKey, createdAt: createdAt.toISOString() })),
        nextCursor: last ? makeCursor(deps.cursorKeys, list, [last.apiKeyId]) : null,
      });
    },
  );

  app.delete(
    '/v1/shops/:shopId/api-keys/:apiKeyId',
    {
      config: { access, exists: keyExists },
      schema: {
        tags: ['Shops'],
        summary: 'Delete an API key; it works nowhere after ten seconds at most',
        operationId: 'deleteApiKey',
        params: keyParams,
        response: { 204: Type.Null(), ...refusals },
      },
    },
    async (request, reply) => {
      const { apiKeyId } = request.params;
      const caller = await manager(pool, request);
      if (isRefusal(caller)) return sendProblem(reply, caller);
      if (!(await deleteApiKey(pool, caller.shopId, apiKeyId))) return sendProblem(reply, refuse('not_found'));
      deps.apiKeys.forget(apiKeyId);
      return reply.code(204).send(null);
    },
  );
}

/** The caller of a route about a shop's keys, with that shop. Refusal: `not_found`. */
async function manager(pool: pg.Pool, request: FastifyRequest): Promise<(ApiCaller & { shopId: string }) | Refusal> {
  const caller = callerOfRequest(request);
  const { shopId } = request.params as Static<typeof shopParams>;
  if (caller.kind !== 'api' || !mayManage(caller, shopId)) return refuse('not_found');
  return (await readShop(pool, shopId)) === null ? refuse('not_found') : { ...caller, shopId };
}
