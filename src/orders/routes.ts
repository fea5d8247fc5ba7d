import { answerChange, basketExists, basketParams, basketRefusals } from '../baskets/index.ts';
import type { Api } from '../http/api.ts';
import { type Shop, withParameters } from '../shops/index.ts';
import { failCheckout, leaveCheckout, type OrderDeps, startCheckout } from './checkout.ts';
import { completeBasket } from './complete.ts';
import {
  CheckoutAnswer,
  CheckoutBody,
  CompleteBody,
  FailBody,
  RedirectAnswer,
  RefundBody,
  RefundedAnswer,
} from './model.ts';
import { refundBasket } from './refund.ts';

/** `POST` and `DELETE …/checkout`, `POST …/checkout/fail`, `POST …/complete`, `POST …/refund`. */
export function orderRoutes(app: Api, deps: OrderDeps): void {
  const exists = basketExists(deps.pool);
  const paying = { access: { scopes: ['orders:write'], session: true }, exists } as const;
  // Money has moved: what became of it is heard, however much else was called.
  const ordering = { access: { scopes: ['orders:write'] }, rateLimit: false, exists } as const;
  const shared = { tags: ['Checkout'], params: basketParams };
  const redirects = { 200: RedirectAnswer, ...basketRefusals };

  async function basketUrlOf(shopId: string): Promise<string> {
    const shop: Shop | null = await deps.shops.get(shopId);
    if (shop === null) throw new Error('a basket lost its shop');
    return shop.frontend.basketUrl;
  }

  app.post(
    '/v1/baskets/:id/checkout',
    {
      config: paying,
      schema: {
        ...shared,
        summary: 'Start checkout: freeze the basket while it is being paid',
        operationId: 'startCheckout',
        body: CheckoutBody,
        response: { 200: CheckoutAnswer, ...basketRefusals },
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) =>
          startCheckout(deps, caller, basketId, conditions, request.body.customerId ?? null),
        (basket, { answer }) => ({
          basket,
          leaseId: answer.leaseId,
          leaseExpiresAt: basket.expiresAt,
          amountDue: basket.totals.due,
        }),
      ),
  );

  app.delete(
    '/v1/baskets/:id/checkout',
    {
      config: paying,
      schema: {
        ...shared,
        summary: 'Leave checkout: back to the basket',
        operationId: 'leaveCheckout',
        response: redirects,
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) => leaveCheckout(deps, caller, basketId, conditions),
        async (basket) => ({ basket, redirectUrl: basket.cancelRedirectUrl ?? (await basketUrlOf(basket.shopId)) }),
      ),
  );

  app.post(
    '/v1/baskets/:id/checkout/fail',
    {
      config: ordering,
      schema: {
        ...shared,
        summary: 'Record that a payment failed',
        operationId: 'failCheckout',
        body: FailBody,
        response: redirects,
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) => failCheckout(deps, caller, basketId, conditions, request.body),
        async (basket) => ({
          basket,
          redirectUrl: withParameters(basket.failureRedirectUrl ?? (await basketUrlOf(basket.shopId)), {
            basket_id: basket.id,
            customer_id: request.body.customerId ?? basket.customer?.id ?? null,
          }),
        }),
      ),
  );

  app.post(
    '/v1/baskets/:id/complete',
    {
      config: ordering,
      schema: {
        ...shared,
        summary: 'Complete the basket: it was paid',
        operationId: 'completeBasket',
        body: CompleteBody,
        response: redirects,
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) => completeBasket(deps, caller, basketId, conditions, request.body),
        async (basket) => ({
          basket,
          redirectUrl: withParameters(basket.successRedirectUrl ?? (await basketUrlOf(basket.shopId)), {
            order_id: basket.orderId,
            customer_id: request.body.customerId ?? basket.customer?.id ?? null,
          }),
        }),
      ),
  );

  app.post(
    '/v1/baskets/:id/refund',
    {
      config: ordering,
      schema: {
        ...shared,
        summary: 'Record a refund that was made elsewhere',
        operationId: 'refundBasket',
        body: RefundBody,
        response: { 200: RefundedAnswer, ...basketRefusals },
      },
    },
    (request, reply) =>
      answerChange(
        request,
        reply,
        (caller, basketId, conditions) => refundBasket(deps, caller, basketId, conditions, request.body),
        (basket, { answer }) => ({ basket, refund: answer.refund }),
      ),
  );
}
