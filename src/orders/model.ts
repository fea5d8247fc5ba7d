import { type Static, Type } from '@sinclair/typebox';
import { BasketAnswer } from '../baskets/index.ts';
import { Id, Nullable, Shared, strict, Time } from '../http/schema.ts';

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

const RefundLine = Type.Object(
  { lineId: Id, quantity: Type.Integer({ minimum: 1, maximum: 10_000, description: 'units' }) },
  strict,
);
export const RefundBody = Type.Object(
  {
    lines: Type.Optional(
      Type.Array(RefundLine, { minItems: 1, maxItems: 200, description: 'default: all that is not refunded yet' }),
    ),
    restock: Type.Boolean({ default: true, description: 'whether the units are on sale again' }),
    paymentReference: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  },
  strict,
);
export type RefundRequest = Static<typeof RefundBody>;

const RefundAnswer = Type.Object({
  refundId: Type.String(),
  paymentReference: Nullable(Type.String()),
  lines: Type.Array(Type.Object({ lineId: Id, itemId: Id, quantity: Type.Integer(), amount: Amount })),
  amount: Amount,
  currency: Type.String(),
  restocked: Type.Boolean(),
  createdAt: Time,
});
export type RefundAnswer = Static<typeof RefundAnswer>;
export const RefundedAnswer = Type.Object({ basket: Shared(BasketAnswer), refund: RefundAnswer });

export const CheckoutAnswer = Type.Object({
  basket: Shared(BasketAnswer),
  leaseId: Type.String(),
  leaseExpiresAt: Time,
  amountDue: Amount,
});

export const RedirectAnswer = Type.Object({ basket: Shared(BasketAnswer), redirectUrl: Type.String() });
