import { randomUUID } from 'node:crypto';
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import type { Payment } from './sessions.ts';

const Nullable = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()]);

// Only what the pages use: a front end that insists on more than it needs breaks on the next field that is added.
const BasketSchema = Type.Object({
  id: Type.String(),
  status: Type.String(),
  statusReason: Nullable(Type.String()),
  currency: Type.String(),
  customer: Nullable(
    Type.Object({ id: Type.Optional(Nullable(Type.String())), email: Type.Optional(Nullable(Type.String())) }),
  ),
  items: Type.Array(
    Type.Object({
      lineId: Type.String(),
      name: Type.String(),
      modifiable: Type.Boolean(),
      quantity: Type.Integer(),
      unitPrice: Type.Integer(),
      subtotal: Type.Integer(),
    }),
  ),
  totals: Type.Object({
    subtotal: Type.Integer(),
    discount: Type.Integer(),
    tax: Type.Integer(),
    total: Type.Integer(),
    giftCards: Type.Integer(),
    due: Type.Integer(),
  }),
  cancelRedirectUrl: Nullable(Type.String()),
  discountCodes: Type.Array(Type.String()),
  accessCodes: Type.Array(Type.String()),
  giftCards: Type.Array(Type.Object({ last4: Type.String(), applied: Type.Integer() })),
  modifiable: Type.Boolean(),
  extensionsLeft: Type.Integer(),
  extendableUntil: Type.String(),
  serverTime: Type.String(),
  expiresAt: Nullable(Type.String()),
  orderId: Nullable(Type.String()),
});

/** What a customer can enter beside a basket. */
export const CodeType = Type.Union([Type.Literal('discount'), Type.Literal('giftCard'), Type.Literal('access')]);
type CodeType = Static<typeof CodeType>;

const RedeemedSchema = Type.Object({
  basket: BasketSchema,
  customer: Nullable(
    Type.Object({
      id: Type.Optional(Nullable(Type.String())),
      registered: Type.Boolean(),
      login: Nullable(Type.String()),
    }),
  ),
  session: Type.Object({ token: Type.String() }),
  redirectUrl: Type.String(),
});

const ItemsSchema = Type.Object({
  data: Type.Array(
    Type.Object({ itemId: Type.String(), name: Type.String(), price: Type.Integer(), accessRequired: Type.Boolean() }),
  ),
});

const RecreatedSchema = Type.Object({
  id: Type.String(),
  unavailable: Type.Array(Type.Object({ itemId: Type.String(), requested: Type.Integer(), available: Type.Integer() })),
  session: Type.Object({ token: Type.String() }),
});

const CheckoutSchema = Type.Object({
  basket: BasketSchema,
  leaseId: Type.String(),
  leaseExpiresAt: Type.String(),
  amountDue: Type.Integer(),
});

const OnwardSchema = Type.Object({ redirectUrl: Type.String() });

const ProblemSchema = Type.Object({
  code: Type.String(),
  title: Type.String(),
  detail: Type.Optional(Type.String()),
  requestId: Type.Optional(Type.String()),
  redirectUrl: Type.Optional(Type.String()),
});

/** A basket as the shop shows it. Amounts are integers in minor units of `currency`. */
export type Basket = Static<typeof BasketSchema>;

/** An item as the shop offers it, at `price` in minor units of the shop's currency. */
export type Item = Static<typeof ItemsSchema>['data'][number];

/** An item of which a basket that was made anew has fewer than the one before. */
export type Unavailable = Static<typeof RecreatedSchema>['unavailable'][number];

/** A refusal by the API with its HTTP status, or, with code `api_unreachable`, no usable answer at all. */
export type ApiProblem = Static<typeof ProblemSchema> & { status: number };

type ApiAnswer<Body> = { ok: true; body: Body } | { ok: false; problem: ApiProblem };

type BasketAccess = { id: string; sessionToken: string };

type ApiRequest = {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  bearer: string;
  body?: object;
  key?: string;
};

// The API answers within 5 s or not at all.
const TIMEOUT_MS = 6000;

export type BasketlinkApi = ReturnType<typeof createBasketlinkApi>;

/**
 * The calls of basketlink that a shop front end makes, from its server. `redeemToken` carries `confirmations:redeem`,
 * `ordersToken` carries `orders:write`, `catalogueToken` carries `catalogue:read`; what the customer does to the basket is
 * done with the basket's session token.
 * No method throws: a refusal or an API that cannot be reached comes back as a problem.
 */
export function createBasketlinkApi({
  apiUrl,
  redeemToken,
  ordersToken,
  catalogueToken,
}: {
  apiUrl: string;
  redeemToken: string;
  ordersToken: string;
  catalogueToken: string;
}) {
  async function call<Schema extends TSchema>(request: ApiRequest, schema: Schema): Promise<ApiAnswer<Static<Schema>>> {
    // One key for both tries, so that a POST whose answer was lost is answered again instead of being done again. Each
    // call has its own: one derived from a confirmation token would let a second browser replay the first one's redemption.
    const tried = { key: randomUUID(), ...request };
    const answer = await send(apiUrl, tried)
      .catch(() => send(apiUrl, tried))
      .catch(() => null);
    if (answer && answer.status < 300 && Value.Check(schema, answer.body)) return { ok: true, body: answer.body };
    if (answer && answer.status >= 400 && Value.Check(ProblemSchema, answer.body)) {
      return { ok: false, problem: { ...answer.body, status: answer.status } };
    }
    return { ok: false, problem: { status: 502, code: 'api_unreachable', title: 'No usable answer from the API' } };
  }

  return {
    /** Redeems the confirmation token of a click, once, for this browser. */
    redeem(confirmation: {
      token: string;
      customerId: string | null;
      context: 'customer' | 'box_office';
      currentBasketId: string | null;
      sessionToken: string | null;
    }) {
      return call(
        { method: 'POST', path: '/v1/confirmations', bearer: redeemToken, body: confirmation },
        RedeemedSchema,
      );
    },

    readBasket(basket: BasketAccess) {
      return call({ method: 'GET', path: basketPath(basket.id), bearer: basket.sessionToken }, BasketSchema);
    },

    /** What the shop sells, as much of it as one page of the list has. */
    listItems() {
      return call({ method: 'GET', path: '/v1/items?limit=100', bearer: catalogueToken }, ItemsSchema);
    },

    /** Puts one more of an item into the basket. */
    addLine(basket: BasketAccess, itemId: string) {
      const path = `${basketPath(basket.id)}/lines`;
      return call({ method: 'POST', path, bearer: basket.sessionToken, body: { itemId, quantity: 1 } }, BasketSchema);
    },

    /** Changes how many of a line there are; none takes the line out. */
    changeLine(basket: BasketAccess, lineId: string, quantity: number) {
      const path = `${basketPath(basket.id)}/lines/${encodeURIComponent(lineId)}`;
      const change = quantity === 0 ? { method: 'DELETE' as const } : { method: 'PATCH' as const, body: { quantity } };
      return call({ ...change, path, bearer: basket.sessionToken }, BasketSchema);
    },

    applyCode(basket: BasketAccess, type: CodeType, code: string) {
      const path = `${basketPath(basket.id)}/codes`;
      return call({ method: 'POST', path, bearer: basket.sessionToken, body: { type, code } }, BasketSchema);
    },

    removeCode(basket: BasketAccess, type: CodeType, code: string) {
      const path = `${basketPath(basket.id)}/codes/${type}/${encodeURIComponent(code)}`;
      return call({ method: 'DELETE', path, bearer: basket.sessionToken }, BasketSchema);
    },

    extend(basket: BasketAccess) {
      const path = `${basketPath(basket.id)}/extend`;
      return call({ method: 'POST', path, bearer: basket.sessionToken }, BasketSchema);
    },

    /** Makes a new basket of one that has expired or was cancelled, with what is left of it and a session of its own. */
    recreate(basket: BasketAccess) {
      const path = `${basketPath(basket.id)}/recreate`;
      return call({ method: 'POST', path, bearer: basket.sessionToken }, RecreatedSchema);
    },

    /** Freezes the basket for payment. Only the shop's back end may say who is signed in; a guest checks out as the session. */
    startCheckout(basket: BasketAccess, customerId: string | null) {
      const path = `${basketPath(basket.id)}/checkout`;
      return call(
        customerId === null
          ? { method: 'POST', path, bearer: basket.sessionToken, body: {} }
          : { method: 'POST', path, bearer: ordersToken, body: { customerId } },
        CheckoutSchema,
      );
    },

    leaveCheckout(basket: BasketAccess) {
      const path = `${basketPath(basket.id)}/checkout`;
      return call({ method: 'DELETE', path, bearer: basket.sessionToken }, OnwardSchema);
    },

    failCheckout(basketId: string, { leaseId }: Payment, customerId: string | null) {
      const path = `${basketPath(basketId)}/checkout/fail`;
      const body = { leaseId, reason: 'declined', ...(customerId === null ? {} : { customerId }) };
      return call({ method: 'POST', path, bearer: ordersToken, body }, OnwardSchema);
    },

    /** Turns the paid basket into the order. The order id is the key: paying twice for one order is answered as once. */
    complete(basketId: string, payment: Payment, customerId: string | null) {
      const { orderId, leaseId, amountDueMinor, currency } = payment;
      const path = `${basketPath(basketId)}/complete`;
      const body = {
        orderId,
        leaseId,
        amount: amountDueMinor,
        currency,
        ...(customerId === null ? {} : { customerId }),
      };
      return call({ method: 'POST', path, bearer: ordersToken, body, key: orderId }, OnwardSchema);
    },
  };
}

function basketPath(basketId: string): string {
  return `/v1/baskets/${encodeURIComponent(basketId)}`;
}

async function send(
  apiUrl: string,
  { method, path, bearer, body, key }: ApiRequest & { key: string },
): Promise<{ status: number; body: unknown }> {
  const response = await fetch(new URL(path, apiUrl), {
    method,
    headers: {
      accept: 'application/json, application/problem+json',
      authorization: `Bearer ${bearer}`,
      ...(method === 'POST' ? { 'idempotency-key': key } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: body === undefined ? null : JSON.stringify(body),
    // The API never redirects; following one would take a credential somewhere else.
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? null : JSON.parse(text) };
}
