import { type Static, Type } from '@sinclair/typebox';
import { BasketAnswer } from '../baskets/index.ts';
import { Id, Shared, strict, Time } from '../http/schema.ts';

const Amount = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'minor units' });

export const CheckoutBody = Type.Object({ customerId: Type.Optional(Id) }, strict);

export const FailBody = Type.Object(
  {
    leaseId: Type.Optional(Type.String({ maxLength: 200 })),
    reason: Type.Optional(Type.String({ maxLength: 500 })),
    customerId: Type.Optional(Id),
  },
  strict,
);
export type FailRequest = Static<typeof FailBody>;

export const CompleteBody = Type.Object(
  {
    orderId: Id,
    leaseId: Type.Optional(Type.String({ maxLength: 200 })),
    amount: Type.Optional(Amount),
    currency: Type.Optional(Type.String({ maxLength: 16 })),
    fees: Type.Optional(Amount),
    paymentReference: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    customerId: Type.Optional(Id),
  },
  strict,
);
export type CompleteRequest = Static<typeof CompleteBody>;

export const CheckoutAnswer = Type.Object({
  basket: Shared(BasketAnswer),
  leaseId: Type.String(),
  leaseExpiresAt: Time,
  amountDue: Amount,
});

export const RedirectAnswer = Type.Object({ basket: Shared(BasketAnswer), redirectUrl: Type.String() });
