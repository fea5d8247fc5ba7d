import { Type } from '@sinclair/typebox';
import { BasketAnswer, basketHeaders, basketRefusals, showBasket } from '../baskets/index.ts';
import { isRefusal } from '../errors.ts';
import { shopCaller } from '../http/access.ts';
import type { Api } from '../http/api.ts';
import { idempotencyKeyOf } from '../http/idempotency.ts';
import { sendProblem } from '../http/problems.ts';
import { Id, Nullable, OneOf, Shared, strict, Time } from '../http/schema.ts';
import { type RedeemDeps, redeemConfirmation } from './redeem.ts';

const RedeemBody = Type.Object(
  {
    token: Type.String({ minLength: 1, maxLength: 500 }),
    customerId: Type.Unsafe<string | null>({ ...Nullable(Id), default: null }),
    context: Type.Unsafe<'customer' | 'box_office'>({ ...OneOf('customer', 'box_office'), default: 'customer' }),
    currentBasketId: Type.Unsafe<string | null>({ ...Nullable(Id), default: null }),
    sessionToken: Type.Unsafe<string | null>({ ...Nullable(Type.String({ maxLength: 500 })), default: null }),
  },
  strict,
);

const RedeemAnswer = Type.Object({
  basket: Shared(BasketAnswer),
  customer: Type.Object({
    id: Nullable(Id),
    registered: Type.Boolean(),
    login: OneOf('auto', 'signIn', 'none'),
  }),
  session: Type.Object({ token: Type.String(), expiresAt: Time }),
  redirectUrl: Type.String(),
  expiredBasketIds: Type.Array(Type.String()),
  droppedCodes: Type.Optional(
    Type.Array(Type.String(), { description: 'Where there are any: codes that were used up while the basket waited' }),
  ),
});

/** `POST /v1/confirmations`: the back channel of the shop front end. */
export function handoffRoutes(app: Api, deps: RedeemDeps): void {
  app.post(
    '/v1/confirmations',
    {
      // A customer stands behind each: one credential redeems for all of a shop.
      config: { access: { scopes: ['confirmations:redeem'] }, rateLimit: false },
      schema: {
        tags: ['Hand-off'],
        summary: 'Redeem a confirmation token',
        operationId: 'redeemConfirmation',
        body: RedeemBody,
        response: { 200: RedeemAnswer, ...basketRefusals },
      },
    },
    async (request, reply) => {
      const caller = shopCaller(request);
      const key = idempotencyKeyOf(request, caller);
      if (isRefusal(key)) return sendProblem(reply, key);
      const redeemed = await redeemConfirmation(deps, caller, request.body, key);
      if (isRefusal(redeemed)) return sendProblem(reply, redeemed);
      const { basket } = redeemed;
      return basketHeaders(reply, basket, redeemed.replayed).send({
        basket: showBasket(basket, redeemed.now, 'backEnd'),
        customer: { id: basket.customerId, registered: basket.customerId !== null, login: redeemed.login },
        session: { token: redeemed.sessionToken, expiresAt: redeemed.sessionExpiresAt.toISOString() },
        redirectUrl: redeemed.redirectUrl,
        expiredBasketIds: redeemed.expiredBasketIds,
        ...(redeemed.droppedCodes.length > 0 ? { droppedCodes: redeemed.droppedCodes } : {}),
      });
    },
  );
}
