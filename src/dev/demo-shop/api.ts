import { createBasketlinkClient } from '../../client/index.ts';
import type { Payment } from './sessions.ts';

export type { Basket, Problem } from '../../client/index.ts';

/** An item as the shop offers it, at `price` in minor units of the shop's currency. */
export type Item = { itemId: string; name: string; price: number; accessRequired: boolean };

/** An item of which a basket that was made anew has fewer than the one before. */
export type Unavailable = { itemId: string; requested: number; available: number };

/** What a customer can enter beside a basket. */
export const codeTypes = ['discount', 'giftCard', 'access'] as const;
type CodeType = (typeof codeTypes)[number];

type BasketAccess = { id: string; sessionToken: string };

export type BasketlinkApi = ReturnType<typeof createBasketlinkApi>;

/**
 * The calls of basketlink that a shop front end makes, from its server. `redeemToken` carries `confirmations:redeem`,
 * `ordersToken` carries `orders:write`, `catalogueToken` carries `catalogue:read`; what the customer does to the basket is
 * done with the basket's session token. No method throws: each gives `data` or `error`.
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
  // A customer waits for the page.
  const clientWith = (token: string) => createBasketlinkClient({ baseUrl: apiUrl, token, tries: 2 });
  const [orders, catalogue] = [clientWith(ordersToken), clientWith(catalogueToken)];
  /** The client with what a call on a basket by its session needs. */
  const of = ({ id, sessionToken }: BasketAccess) => ({ client: clientWith(sessionToken), path: { id } });

  return {
    /** What redeems the confirmation tokens of clicks. */
    redeemer: clientWith(redeemToken),

    readBasket(basket: BasketAccess) {
      const { client, path } = of(basket);
      return client.GET('/v1/baskets/{id}', { params: { path } });
    },

    /** What the shop sells, as much of it as one page of the list has. */
    listItems() {
      return catalogue.GET('/v1/items', { params: { query: { limit: 100 } } });
    },

    /** Puts one more of an item into the basket. */
    addLine(basket: BasketAccess, itemId: string) {
      const { client, path } = of(basket);
      return client.POST('/v1/baskets/{id}/lines', { params: { path }, body: { itemId, quantity: 1 } });
    },

    /** Changes how many of a line there are; none takes the line out. */
    changeLine(basket: BasketAccess, lineId: string, quantity: number) {
      const { client, path } = of(basket);
      const params = { path: { ...path, lineId } };
      return quantity === 0
        ? client.DELETE('/v1/baskets/{id}/lines/{lineId}', { params })
        : client.PATCH('/v1/baskets/{id}/lines/{lineId}', { params, body: { quantity } });
    },

    applyCode(basket: BasketAccess, type: CodeType, code: string) {
      const { client, path } = of(basket);
      return client.POST('/v1/baskets/{id}/codes', { params: { path }, body: { type, code } });
    },

    removeCode(basket: BasketAccess, type: CodeType, code: string) {
      const { client, path } = of(basket);
      return client.DELETE('/v1/baskets/{id}/codes/{type}/{code}', { params: { path: { ...path, type, code } } });
    },

    extend(basket: BasketAccess) {
      const { client, path } = of(basket);
      return client.POST('/v1/baskets/{id}/extend', { params: { path } });
    },

    /** Makes a new basket of one that has expired or was cancelled, with what is left of it and a session of its own. */
    recreate(basket: BasketAccess) {
      const { client, path } = of(basket);
      return client.POST('/v1/baskets/{id}/recreate', { params: { path } });
    },

    /** Freezes the basket for payment. Only the shop's back end may say who is signed in; a guest checks out as the session. */
    startCheckout(basket: BasketAccess, customerId: string | null) {
      const { client, path } = of(basket);
      return customerId === null
        ? client.POST('/v1/baskets/{id}/checkout', { params: { path } })
        : orders.POST('/v1/baskets/{id}/checkout', { params: { path }, body: { customerId } });
    },

    leaveCheckout(basket: BasketAccess) {
      const { client, path } = of(basket);
      return client.DELETE('/v1/baskets/{id}/checkout', { params: { path } });
    },

    failCheckout(basketId: string, { leaseId }: Payment, customerId: string | null) {
      const body = { leaseId, reason: 'declined', ...(customerId === null ? {} : { customerId }) };
      return orders.POST('/v1/baskets/{id}/checkout/fail', { params: { path: { id: basketId } }, body });
    },

    /** Turns the paid basket into the order. The order id is the key: paying twice for one order is answered as once. */
    complete(basketId: string, payment: Payment, customerId: string | null) {
      const { orderId, leaseId, amountDueMinor: amount, currency } = payment;
      const params = { path: { id: basketId }, header: { 'Idempotency-Key': orderId } };
      const body = { orderId, leaseId, amount, currency, ...(customerId === null ? {} : { customerId }) };
      return orders.POST('/v1/baskets/{id}/complete', { params, body });
    },
  };
}
