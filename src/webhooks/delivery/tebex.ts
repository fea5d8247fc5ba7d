import { createHash, createHmac } from 'node:crypto';
import { decimalOf } from '../../money/index.ts';
import type { ChangeRow, Message, RenderBasket } from './message.ts';

/** What one wallet gets of what is paid, in minor units. */
type RevenueShare = { walletRef: string; amount: number; gatewayFeePercent?: number };

/** What is read of a basket as back ends see it. */
export type ShownBasket = {
  id: string;
  currency: string;
  customer: { email: string | null; name: string | null; username: string | null; usernameId: string | null } | null;
  items: readonly {
    itemId: string;
    name: string;
    quantity: number;
    unitPrice: number;
    total: number;
    variables: Record<string, string>;
    custom: Record<string, unknown>;
  }[];
  totals: { tax: number; total: number; due: number };
  discountCodes: readonly string[];
  giftCards: readonly { last4: string; applied: number }[];
  revenueShare?: readonly RevenueShare[];
  custom: Record<string, unknown>;
  ipAddress?: string | null;
  country: string | null;
  completedAt: string | null;
};

/** The variables of a line that is a present: who gets it. */
export const giftVariables = { usernameId: 'gift_username_id', username: 'gift_username' } as const;

const complete = { id: 1, description: 'Complete' };
const refunded = { id: 2, description: 'Refund' };
const declined = { id: 18, description: 'Declined' };
const pending = { id: 19, description: 'Pending Checkout' };

/** What Tebex calls a change of a basket, and the status of the payment by it. All other changes have no name there. */
const names: Record<string, { type: string; status: typeof complete }> = {
  'basket.completed': { type: 'payment.completed', status: complete },
  'basket.refunded': { type: 'payment.refunded', status: refunded },
  'basket.checkout_failed': { type: 'payment.declined', status: declined },
  'basket.expired': { type: 'basket.abandoned', status: pending },
  'basket.authenticated': { type: 'basket.authenticated', status: pending },
};

/** Whether Tebex would tell of such a change at all. */
export function hasTebexName(type: string): boolean {
  return Object.hasOwn(names, type) || type === 'webhook.test';
}

/**
 * A message as Tebex sends them, with `X-Signature`, the HMAC-SHA-256 of the hexadecimal SHA-256 of the body. It holds one
 * signature: that of the newest secret. A test is the message that validates an endpoint. Null for a type without a name.
 *
 * Tebex' own libraries do not hash the body, but what they make of it: PHP's writes `/` and letters beyond ASCII as escapes
 * and an empty object as a list, JavaScript's does not. So nothing here has any of them but what the shop, the partner or
 * the customer wrote.
 *
 * @see https://docs.tebex.io/developers/webhooks/overview
 */
export function tebexMessage(
  [secret = '']: readonly string[],
  deliveryId: string,
  change: ChangeRow,
  renderBasket: RenderBasket,
): Message | null {
  if (!hasTebexName(change.type)) return null;
  const name = names[change.type];
  const envelope = {
    id: deliveryId,
    type: name?.type ?? 'validation.webhook',
    date: tebexTime(change.createdAt),
    subject: name ? paymentOf(renderBasket(change.data, change.createdAt), name.status, change.createdAt) : {},
  };
  const body = Buffer.from(JSON.stringify(envelope));
  const bodyHash = createHash('sha256').update(body).digest('hex');
  const signature = createHmac('sha256', secret).update(bodyHash).digest('hex');
  return { body, headers: { 'content-type': 'application/json', 'x-signature': signature } };
}

/** The payment of a completed basket as it is by now: Tebex' payment object, as in messages. */
export function completedPayment(basket: ShownBasket & { refundedAt: string | null }, now: Date): object {
  return paymentOf(basket, basket.refundedAt === null ? complete : refunded, now);
}

/** What Tebex tells of a payment, as far as a basket has it. */
function paymentOf(basket: ShownBasket, status: typeof complete, changedAt: Date): object {
  const money = (amountMinor: number) => ({
    amount: decimalOf(amountMinor, basket.currency),
    currency: basket.currency,
  });
  const { customer } = basket;
  const username = customer?.username ? { id: customer.usernameId, username: customer.username } : null;
  return {
    transaction_id: `tbx-${basket.id.slice('bkt_'.length)}`,
    status,
    payment_sequence: 'oneoff',
    created_at: tebexTime(basket.completedAt === null ? changedAt : new Date(basket.completedAt)),
    price: money(basket.totals.total),
    price_paid: money(basket.totals.due),
    payment_method: null,
    fees: { tax: money(basket.totals.tax), gateway: money(0) },
    customer: {
      first_name: customer?.name ?? null,
      last_name: null,
      email: customer?.email ?? null,
      ip: basket.ipAddress ?? null,
      username,
      marketing_consent: false,
      country: basket.country,
      postal_code: null,
    },
    products: basket.items.map((item) => ({
      id: item.itemId,
      name: item.name,
      quantity: item.quantity,
      base_price: money(item.unitPrice),
      paid_price: money(item.total),
      variables: Object.entries(item.variables)
        .filter(([name]) => !isGiftVariable(name))
        .map(([identifier, option]) => ({ identifier, option })),
      expires_at: null,
      custom: unlessEmpty(item.custom),
      username: recipientOf(item.variables) ?? username,
    })),
    coupons: basket.discountCodes.map((code) => ({ code })),
    gift_cards: basket.giftCards.map(({ last4, applied }) => ({ card_number: last4, amount: money(applied) })),
    recurring_payment_reference: null,
    custom: unlessEmpty(basket.custom),
    revenue_share: (basket.revenueShare ?? []).map((share) => tebexShare(share, basket.currency)),
    decline_reason: null,
  };
}

/** A share as Tebex writes it, with a decimal. */
export function tebexShare({ walletRef, amount, gatewayFeePercent }: RevenueShare, currency: string) {
  return {
    wallet_ref: walletRef,
    amount: decimalOf(amount, currency),
    gateway_fee_percent: gatewayFeePercent ?? null,
  };
}

function isGiftVariable(name: string): boolean {
  return Object.values<string>(giftVariables).includes(name);
}

/** Who gets a present; null for what is the customer's own. */
function recipientOf(variables: Record<string, string>): { id: string | null; username: string | null } | null {
  const id = variables[giftVariables.usernameId] ?? null;
  const username = variables[giftVariables.username] ?? null;
  return id === null && username === null ? null : { id, username };
}

/** A time as Tebex writes it: seconds and an offset, as PHP's DATE_ATOM. */
export function tebexTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}+00:00`;
}

function unlessEmpty(custom: Record<string, unknown>): Record<string, unknown> | null {
  return Object.keys(custom).length === 0 ? null : custom;
}
