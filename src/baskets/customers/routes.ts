import { Type } from '@sinclair/typebox';
import { isRefusal } from '../../errors.ts';
import { shopCaller } from '../../http/access.ts';
import type { Api } from '../../http/api.ts';
import { idempotencyKeyOf } from '../../http/idempotency.ts';
import { sendProblem } from '../../http/problems.ts';
import { Id, problemResponses, strict } from '../../http/schema.ts';
import { type EraseDeps, eraseCustomer } from './erase.ts';

const ErasedAnswer = Type.Object({
  customerId: Id,
  erasedBaskets: Type.Integer({ description: 'Ended baskets that were erased by this call.' }),
  liveBasketIds: Type.Array(Type.String(), { description: 'Left as they are: call again when they have ended.' }),
});

/** `POST /v1/customers/{customerId}/erase`. */
export function customerRoutes(app: Api, deps: EraseDeps): void {
  app.post(
    '/v1/customers/:customerId/erase',
    {
      // Across the baskets of all partners: nobody's who is limited to one.
      config: { access: { scopes: ['shop:write'], noPartner: true } },
      schema: {
        tags: ['Customers'],
        summary: 'Remove personal data from the ended baskets of a customer',
        operationId: 'eraseCustomer',
        params: Type.Object({ customerId: Id }),
        body: Type.Object({}, strict),
        response: { 200: ErasedAnswer, ...problemResponses(400, 401, 403, 404, 409, 422, 503) },
      },
    },
    async (request, reply) => {
      const caller = shopCaller(request);
      const { shopId } = caller;
      const { customerId } = request.params;
      const key = idempotencyKeyOf(request, caller);
      if (isRefusal(key)) return sendProblem(reply, key);
      const result = await eraseCustomer(deps, shopId, customerId, key);
      if (isRefusal(result)) return sendProblem(reply, result);
      const { erased, replayed } = result;
      if (replayed) reply.header('idempotent-replayed', 'true');
      else {
        const { erasedBaskets, liveBasketIds } = erased;
        request.log.info({ shopId, erasedBaskets, liveBaskets: liveBasketIds.length }, 'customer erased');
      }
      return reply.send({ customerId, ...erased });
    },
  );
}
