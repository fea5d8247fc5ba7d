import { type Static, Type } from '@sinclair/typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type pg from 'pg';
import { isRefusal, type Refusal, refuse } from '../../errors.ts';
import { shopCaller } from '../../http/access.ts';
import type { Api } from '../../http/api.ts';
import { makeCursor, readCursor } from '../../http/cursor.ts';
import { idempotencyKeyOf } from '../../http/idempotency.ts';
import { sendProblem } from '../../http/problems.ts';
import { Id, Nullable, OneOf, pageParameters, problemResponses, Shared, strict, Time } from '../../http/schema.ts';
import type { Keyring } from '../../platform/crypto.ts';
import { DeliveryAnswer, toDeliveryAnswer } from '../model.ts';
import { findWebhook } from '../store.ts';
import { type Repeat, retryDelivery, retrySince, testWebhook } from './repeat.ts';
import { hasDelivery, listDeliveries } from './store.ts';

const params = Type.Object({ webhookId: Id });
const deliveryParams = Type.Object({ webhookId: Id, deliveryId: Id });

/** `POST …/test`, `GET …/deliveries`, `POST …/deliveries/{deliveryId}/retry` and `POST …/retry` of `/v1/webhooks/{webhookId}`. */
export function deliveryRoutes(app: Api, { pool, cursorKeys }: { pool: pg.Pool; cursorKeys: Keyring }): void {
  app.addSchema(DeliveryAnswer);
  const access = { scopes: ['webhooks:write'] } as const;
  const refusals = problemResponses(400, 401, 403, 404, 409, 422, 503);
  const find = (request: FastifyRequest) =>
    findWebhook(pool, shopCaller(request), (request.params as Static<typeof params>).webhookId);
  const exists = async (request: FastifyRequest) => (await find(request)) !== null;
  const deliveryExists = async (request: FastifyRequest) => {
    const webhook = await find(request);
    const { deliveryId } = request.params as Static<typeof deliveryParams>;
    return webhook !== null && hasDelivery(pool, webhook, deliveryId);
  };
  const tags = ['Webhooks'];

  /** Answers 202 to a call that has something sent. */
  async function answerRepeat<Answer>(
    request: FastifyRequest,
    reply: FastifyReply,
    repeat: (repeat: Repeat) => Promise<{ answer: Answer; replayed: boolean } | Refusal>,
  ): Promise<FastifyReply> {
    const owner = shopCaller(request);
    const key = idempotencyKeyOf(request, owner);
    if (isRefusal(key)) return sendProblem(reply, key);
    const { webhookId } = request.params as Static<typeof params>;
    const result = await repeat({ owner, webhookId, key });
    if (isRefusal(result)) return sendProblem(reply, result);
    if (result.replayed) reply.header('idempotent-replayed', 'true');
    return reply.code(202).send(result.answer);
  }

  app.post(
    '/v1/webhooks/:webhookId/test',
    {
      config: { access, exists },
      schema: {
        tags,
        summary: 'Send a webhook a message of the type webhook.test',
        operationId: 'testWebhook',
        params,
        body: Type.Object({}, strict),
        response: { 202: Shared(DeliveryAnswer), ...refusals },
      },
    },
    (request, reply) => answerRepeat(request, reply, (repeat) => testWebhook(pool, repeat)),
  );

  app.get(
    '/v1/webhooks/:webhookId/deliveries',
    {
      config: { access, exists },
      schema: {
        tags,
        summary: 'List what a webhook was sent, with every try',
        operationId: 'listDeliveries',
        params,
        querystring: Type.Object(
          { status: Type.Optional(OneOf('pending', 'delivered', 'failed')), ...pageParameters },
          strict,
        ),
        response: {
          200: Type.Object({ data: Type.Array(Shared(DeliveryAnswer)), nextCursor: Nullable(Type.String()) }),
          ...refusals,
        },
      },
    },
    async (request, reply) => {
      const webhook = await find(request);
      if (webhook === null) return sendProblem(reply, refuse('not_found'));
      const { status = null, limit, cursor } = request.query;
      const list = ['deliveries', webhook.shopId, String(webhook.webhookNumber), status ?? ''];
      const position = cursor === undefined ? [] : readCursor(cursorKeys, list, cursor);
      if (isRefusal(position)) return sendProblem(reply, position);
      const found = await listDeliveries(pool, webhook, status, position[0] ?? null, limit + 1);
      const page = found.slice(0, limit);
      const last = found.length > limit ? page.at(-1) : undefined;
      return reply.send({
        data: page.map(toDeliveryAnswer),
        nextCursor: last ? makeCursor(cursorKeys, list, [last.deliveryId]) : null,
      });
    },
  );

  app.post(
    '/v1/webhooks/:webhookId/deliveries/:deliveryId/retry',
    {
      config: { access, exists: deliveryExists },
      schema: {
        tags,
        summary: 'Send a delivery again',
        operationId: 'retryDelivery',
        params: deliveryParams,
        body: Type.Object({}, strict),
        response: { 202: Shared(DeliveryAnswer), ...refusals },
      },
    },
    (request, reply) =>
      answerRepeat(request, reply, (repeat) => retryDelivery(pool, repeat, request.params.deliveryId)),
  );

  app.post(
    '/v1/webhooks/:webhookId/retry',
    {
      config: { access, exists },
      schema: {
        tags,
        summary: 'Send a webhook all that it was not told of since a moment',
        operationId: 'retryWebhook',
        params,
        body: Type.Object({ since: Type.String({ ...Time, description: 'Changes are kept for 30 days.' }) }, strict),
        response: {
          202: Type.Object({
            retried: Type.Integer(),
            more: Type.Boolean({ description: 'More is left than one call sends: make it again' }),
          }),
          ...refusals,
        },
      },
    },
    (request, reply) =>
      answerRepeat(request, reply, (repeat) => retrySince(pool, repeat, new Date(request.body.since))),
  );
}
