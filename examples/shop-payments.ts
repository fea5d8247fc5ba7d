import { createBasketlinkClient } from 'basketlink/client';

const { BASKETLINK_URL = 'http://localhost:3000', BASKETLINK_TOKEN = '' } = process.env;
const basketlink = createBasketlinkClient({ baseUrl: BASKETLINK_URL, token: BASKETLINK_TOKEN });

/** What the shop refunds: the money came, and what was paid for cannot be had for it. */
const toRefund = ['already_completed', 'expired_stock_gone', 'lease_superseded', 'event_cancelled', 'basket_cancelled'];

/** Freezes the basket of a session. What is to be paid, in minor units, and the lease to pay it under; or why it cannot be. */
export async function startPayment(id: string, sessionToken: string) {
  const { data, error } = await basketlink.POST('/v1/baskets/{id}/checkout', {
    params: { path: { id } },
    headers: { authorization: `Bearer ${sessionToken}` },
  });
  if (error) return { refused: error.code };
  return { amount: data.amountDue, currency: data.basket.currency, leaseId: data.leaseId };
}

/** For each notification of the payment provider, however often the same one comes. */
export async function recordPayment(payment: {
  basketId: string;
  orderId: string;
  leaseId: string;
  amount: number;
  currency: string;
}): Promise<'deliver' | 'refund'> {
  const { basketId: id, ...body } = payment;
  const { error } = await basketlink.POST('/v1/baskets/{id}/complete', { params: { path: { id } }, body });
  if (!error) return 'deliver';
  if (toRefund.includes(error.code)) return 'refund';
  throw new Error(`${error.code}: ${error.detail} (request ${error.requestId})`);
}
