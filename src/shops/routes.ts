import { type Static, Type } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';
import type pg from 'pg';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import { callerOfRequest } from '../http/access.ts';
import type { Api } from '../http/api.ts';
import { schemaRefusal, sendProblem } from '../http/problems.ts';
import { Id, mergePatchOf, problemResponses, Shared } from '../http/schema.ts';
import { type Keyring, seal } from '../platform/crypto.ts';
import { withTransaction } from '../platform/postgres.ts';
import { LaravelKeysBody, type Shop, ShopAnswer, ShopSettings, toShopAnswer } from './model.ts';
import { completeSettings, mayManage, mergePatch, notIgnorable } from './rules.ts';
import { putLaravelKeys, putShop, readShop, type ShopCache } from './store.ts';
import { writeShop } from './write.ts';

const access = { scopes: ['platform', 'shop:write'] } as const;
const params = Type.Object({ shopId: Id });

/** `PUT`, `PATCH` and `GET /v1/shops/{shopId}`, `PUT /v1/shops/{shopId}/laravel-keys`. */
export function shopRoutes(
  app: Api,
  { pool, shops, sealKeys }: { pool: pg.Pool; shops: ShopCache; sealKeys: Keyring },
): void {
  app.addSchema(ShopSettings);
  app.addSchema(ShopAnswer);
  const responses = { 200: Shared(ShopAnswer), ...problemResponses(400, 401, 403, 404, 422) };
  const exists = async (request: FastifyRequest) => {
    const { shopId } = request.params as Static<typeof params>;
    return mayManage(callerOfRequest(request), shopId) && (await readShop(pool, shopId)) !== null;
  };

  app.put(
    '/v1/shops/:shopId',
    {
      config: {
        access,
        exists: async (request) =>
          mayManage(callerOfRequest(request), (request.params as Static<typeof params>).shopId),
      },
      schema: {
        tags: ['Shops'],
        summary: 'Create or replace a shop',
        operationId: 'putShop',
        params,
        body: Shared(ShopSettings),
        response: responses,
      },
    },
    async (request, reply) => {
      const { shopId } = request.params;
      if (!mayManage(callerOfRequest(request), shopId)) return sendProblem(reply, refuse('not_found'));
      const shop = await writeShop(pool, shopId, request.body);
      if (isRefusal(shop)) return sendProblem(reply, shop);
      shops.forget(shopId);
      return reply.send(toShopAnswer(shop));
    },
  );

  app.patch(
    '/v1/shops/:shopId',
    {
      config: { access, exists },
      schema: {
        tags: ['Shops'],
        summary: 'Change some settings of a shop',
        operationId: 'patchShop',
        params,
        body: mergePatchOf(ShopSettings),
        response: responses,
      },
    },
    async (request, reply) => {
      const { shopId } = request.params;
      const check = request.compileValidationSchema(ShopSettings);
      const result = await withTransaction<Shop | Refusal>(pool, async (tx) => {
        const shop = mayManage(callerOfRequest(request), shopId) ? await readShop(tx, shopId, 'lock') : null;
        if (shop === null) return refuse('not_found');
        const merged = mergePatch(settingsOf(shop), request.body);
        if (!check(merged)) return schemaRefusal(check.errors?.[0], 'body');
        const settings = completeSettings(merged as Static<typeof ShopSettings>);
        return isRefusal(settings) ? settings : putShop(tx, shopId, settings, shop.publicToken);
      });
      if (isRefusal(result)) return sendProblem(reply, result);
      shops.forget(shopId);
      return reply.send(toShopAnswer(result));
    },
  );

  app.get(
    '/v1/shops/:shopId',
    {
      config: { access, exists },
      schema: { tags: ['Shops'], summary: 'Read a shop', operationId: 'getShop', params, response: responses },
    },
    async (request, reply) => {
      const { shopId } = request.params;
      const shop = mayManage(callerOfRequest(request), shopId) ? await readShop(pool, shopId) : null;
      return shop ? reply.send(toShopAnswer(shop)) : sendProblem(reply, refuse('not_found'));
    },
  );

  app.put(
    '/v1/shops/:shopId/laravel-keys',
    {
      config: { access: { ...access, noPartner: true }, exists },
      schema: {
        tags: ['Shops'],
        summary: 'Register the keys of start links in Laravel’s format',
        operationId: 'putLaravelKeys',
        params,
        body: LaravelKeysBody,
        response: { 204: Type.Null(), ...problemResponses(400, 401, 403, 404, 422) },
      },
    },
    async (request, reply) => {
      const { shopId } = request.params;
      if (!mayManage(callerOfRequest(request), shopId)) return sendProblem(reply, refuse('not_found'));
      const [needed] = notIgnorable(request.body);
      if (needed !== undefined) {
        const detail = `cannot name ${needed}: a link needs it`;
        const errors = [{ pointer: '/ignoredParameters', detail }];
        return sendProblem(
          reply,
          refuse('invalid_settings', { detail: `/ignoredParameters ${detail}.`, extensions: { errors } }),
        );
      }
      const sealed = request.body.keys.length === 0 ? null : await seal(sealKeys, JSON.stringify(request.body));
      if (!(await putLaravelKeys(pool, shopId, sealed))) return sendProblem(reply, refuse('not_found'));
      shops.forget(shopId);
      return reply.code(204).send(null);
    },
  );
}

function settingsOf(shop: Shop): Record<string, unknown> {
  const { shopId, shopNumber, version, publicToken, sealedLaravelKeys, createdAt, updatedAt, ...settings } = shop;
  return settings;
}
