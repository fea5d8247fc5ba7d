import { type Static, Type } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';
import { isRefusal, type Refusal, refuse } from '../../errors.ts';
import { shopCaller } from '../../http/access.ts';
import type { Api } from '../../http/api.ts';
import { sendProblem } from '../../http/problems.ts';
import { problemResponses, Shared } from '../../http/schema.ts';
import { type CardDeps, deleteCard, putCard } from './changes.ts';
import { CardNumber, GiftCardAnswer, GiftCardBody, stockIdOfCard } from './model.ts';
import { findCard } from './store.ts';

const cardParams = Type.Object({ number: CardNumber });

/** `PUT`, `GET` and `DELETE /v1/gift-cards/{number}`. */
export function giftCardRoutes(app: Api, deps: CardDeps): void {
  const { pool, stock, cardKeys } = deps;
  app.addSchema(GiftCardAnswer);
  const access = { scopes: ['shop:write'] } as const;
  const refusals = problemResponses(400, 401, 403, 404, 409, 422, 503);
  const schema = { tags: ['Codes'], params: cardParams, response: { 200: Shared(GiftCardAnswer), ...refusals } };

  async function answerOf(shopId: string, number: string): Promise<Static<typeof GiftCardAnswer> | Refusal> {
    const card = await findCard(pool, cardKeys, shopId, number);
    if (card === null) return refuse('not_found');
    const stockId = stockIdOfCard(card);
    const money = (await stock.availability(pool, shopId, [stockId])).get(stockId);
    return {
      last4: card.last4,
      balance: (money?.capacity ?? 0) - (money?.sold ?? 0),
      available: money?.available ?? 0,
      currency: card.currency,
      createdAt: card.createdAt.toISOString(),
      updatedAt: card.updatedAt.toISOString(),
    };
  }
  const exists = async (request: FastifyRequest) => {
    const { number } = request.params as Static<typeof cardParams>;
    return (await findCard(pool, cardKeys, shopCaller(request).shopId, number)) !== null;
  };

  app.put(
    '/v1/gift-cards/:number',
    {
      config: { access },
      schema: {
        ...schema,
        summary: 'Issue a gift card or set what is left on it',
        operationId: 'putGiftCard',
        body: GiftCardBody,
      },
    },
    async (request, reply) => {
      const { shopId } = shopCaller(request);
      const { number } = request.params;
      const refusal = await putCard(deps, shopId, number, request.body);
      const answer = refusal ?? (await answerOf(shopId, number));
      return isRefusal(answer) ? sendProblem(reply, answer) : reply.send(answer);
    },
  );
  app.get(
    '/v1/gift-cards/:number',
    { config: { access, exists }, schema: { ...schema, summary: 'Read a gift card', operationId: 'getGiftCard' } },
    async (request, reply) => {
      const answer = await answerOf(shopCaller(request).shopId, request.params.number);
      return isRefusal(answer) ? sendProblem(reply, answer) : reply.send(answer);
    },
  );
  app.delete(
    '/v1/gift-cards/:number',
    {
      config: { access, exists },
      schema: {
        ...schema,
        summary: 'Delete a gift card; baskets that have it keep what they hold of it',
        operationId: 'deleteGiftCard',
        response: { 204: Type.Null(), ...refusals },
      },
    },
    async (request, reply) => {
      const refusal = await deleteCard(deps, shopCaller(request).shopId, request.params.number);
      return refusal ? sendProblem(reply, refusal) : reply.code(204).send(null);
    },
  );
}
