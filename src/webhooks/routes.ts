import { type Static, Type } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';
import { isRefusal, refuse } from '../errors.ts';
import { shopCaller } from '../http/access.ts';
import type { Api } from '../http/api.ts';
import { makeCursor, readCursor } from '../http/cursor.ts';
import { idempotencyKeyOf } from '../http/idempotency.ts';
import { sendProblem } from '../http/problems.ts';
import { Id, Nullable, pageParameters, problemResponses, Shared, strict } from '../http/schema.ts';
import type { Keyring } from '../platform/crypto.ts';
import { deliveryRoutes } from './delivery/routes.ts';
import { RotatedWebhook, toWebhookAnswer, WebhookAnswer, WebhookBody, WrittenWebhook } from './model.ts';
import { putWebhook, type RegisterDeps, rotateSecret } from './register.ts';
import { deleteWebhook, findWebhook, listWebhooks } from './store.ts';

const params = Type.Object({ webhookId: Id });

/**
 * `PUT`, `GET` and `DELETE /v1/webhooks/{webhookId}`, `GET /v1/webhooks`, `POST …/rotate-secret`, and what was sent to
 * them. A partner has webhooks of its own, and ids of its own for them.
 */
export function webhookRoutes(app: Api, deps: RegisterDeps & { cursorKeys: Keyring }): void {
  const { pool, cursorKeys } = deps;
  for (const schema of [WebhookAnswer, WrittenWebhook, RotatedWebhook]) app.addSchema(schema);
  const access = { scopes: ['webhooks:write'] } as const;
  const refusals = problemResponses(400, 401, 403, 404, 409, 422, 503);
  const find = (request: FastifyRequest) =>
    findWebhook(pool, shopCaller(request), (request.params as Static<typeof params>).webhookId);
  const exists = async (request: FastifyRequest) => (await find(request)) !== null;
  const schema = { tags: ['Webhooks'], params, response: { 200: Shared(WebhookAnswer), ...refusals } };

  app.put(
    '/v1/webhooks/:webhookId',
    {
      config: { access },
      schema: {
        ...schema,
        summary: 'Register a webhook, or change it and enable it again',
        operationId: 'putWebhook',
        body: WebhookBody,
        response: { ...schema.response, 200: Shared(WrittenWebhook) },
      },
    },
    async (request, reply) => {
      const put = await putWebhook(deps, shopCaller(request), request.params.webhookId, request.body);
      if (isRefusal(put)) return sendProblem(reply, put);
      return reply.send({ ...toWebhookAnswer(put.webhook), ...(put.secret === null ? {} : { secret: put.secret }) });
    },
  );

  app.get(
    '/v1/webhooks/:webhookId',
    { config: { access, exists }, schema: { ...schema, summary: 'Read a webhook', operationId: 'getWebhook' } },
    async (request, reply) => {
      const webhook = await find(request);
      return webhook ? reply.send(toWebhookAnswer(webhook)) : sendProblem(reply, refuse('not_found'));
    },
  );

  app.delete(
    '/v1/webhooks/:webhookId',
    {
      config: { access, exists },
      schema: {
        ...schema,
        summary: 'Delete a webhook; what was not delivered yet is not sent any more',
        operationId: 'deleteWebhook',
        response: { 204: Type.Null(), ...refusals },
      },
    },
    async (request, reply) => {
      const deleted = await deleteWebhook(pool, shopCaller(request), request.params.webhookId);
      return deleted ? reply.code(204).send(null) : sendProblem(reply, refuse('not_found'));
    },
  );

  app.get(
    '/v1/webhooks',
    {
      config: { access },
      schema: {
        tags: ['Webhooks'],
        summary: 'List the webhooks of the shop, or of the partner',
        operationId: 'listWebhooks',
        querystring: Type.Object(pageParameters, strict),
        response: {
          200: Type.Object({ data: Type.Array(Shared(WebhookAnswer)), nextCursor: Nullable(Type.String()) }),
          ...refusals,
        },
      },
    },
    async (request, reply) => {
      const { shopId, partner } = shopCaller(request);
      const { limit, cursor } = request.query;
      const list = ['webhooks', shopId, partner ?? ''];
      const position = cursor === undefined ? [] : readCursor(cursorKeys, list, cursor);
      if (isRefusal(position)) return sendProblem(reply, position);
      const before = position[0] === undefined ? null : Number(position[0]);
      const found = await listWebhooks(pool, { shopId, partner }, before, limit + 1);
      const page = found.slice(0, limit);
      const last = found.length > limit ? page.at(-1) : undefined;
      return reply.send({
        data: page.map(toWebhookAnswer),
        nextCursor: last ? makeCursor(cursorKeys, list, [String(last.webhookNumber)]) : null,
      });
    },
  );

  app.post(
    '/v1/webhooks/:webhookId/rotate-secret',
    {
      config: { access, exists },
      schema: {
        ...schema,
        summary: 'Make a new secret, which is shown this once; the one before signs too for 24 hours',
        operationId: 'rotateWebhookSecret',
        body: Type.Object({}, strict),
        response: { ...schema.response, 200: Shared(RotatedWebhook) },
      },
    },
    async (request, reply) => {
      const caller = shopCaller(request);
      const key = idempotencyKeyOf(request, caller);
      if (isRefusal(key)) return sendProblem(reply, key);
      const rotated = await rotateSecret(deps, caller, request.params.webhookId, key);
      if (isRefusal(rotated)) return sendProblem(reply, rotated);
      if (rotated.replayed) reply.header('idempotent-replayed', 'true');
      return reply.send(rotated.result);
    },
  );

  deliveryRoutes(app, deps);
}
