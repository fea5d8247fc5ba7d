import type { CodeType } from '../catalogue/index.ts';
import type { BasketRow } from '../holds/index.ts';
import { appliedOf, totalsOfBasket } from './cards.ts';
import { maskEmail } from './masking.ts';
import { type Basket, type BasketAnswer, toBasket } from './model.ts';

/** For whom a basket is shown: the front end's session sees less than the back ends do. */
export type Viewer = 'backEnd' | 'session';

/** The basket as the API shows it. A session sees no `revenueShare`, `ipAddress` or `partner`, and the e-mail masked. */
export function showBasket(basket: Basket, now: Date, viewer: Viewer): BasketAnswer {
  const { content, waiting } = basket;
  const { email, name, username, usernameId } = content.customer;
  const anyCustomer = basket.customerId !== null || Object.keys(content.customer).length > 0;
  return {
    id: basket.basketId,
    shopId: basket.shopId,
    ...(viewer === 'backEnd' ? { partner: basket.partner } : {}),
    status: basket.status,
    statusReason: basket.statusReason,
    version: basket.version,
    currency: content.currency,
    reserve: basket.linkExpiresAt === null ? 'creation' : 'activation',
    customer: anyCustomer
      ? {
          id: basket.customerId,
          email: email === undefined ? null : viewer === 'session' ? maskEmail(email) : email,
          name: name ?? null,
          username: username ?? null,
          usernameId: usernameId ?? null,
        }
      : null,
    items: basket.lines.map(({ stockId, taxRateTenThousandths, ...line }) => line),
    totals: totalsOfBasket(basket),
    discountCodes: namesOf(basket, 'discount'),
    accessCodes: namesOf(basket, 'access'),
    giftCards: basket.giftCards.map((card) => ({ last4: card.last4, applied: appliedOf(card) })),
    creatorCode: namesOf(basket, 'creator')[0] ?? null,
    successRedirectUrl: content.successRedirectUrl,
    failureRedirectUrl: content.failureRedirectUrl,
    cancelRedirectUrl: content.cancelRedirectUrl,
    autoRedirect: content.autoRedirect,
    linkMode: content.linkMode,
    reference: basket.reference,
    campaign: basket.campaign,
    ...(viewer === 'backEnd' ? { ipAddress: content.ipAddress } : {}),
    country: content.country,
    locale: content.locale,
    ...(viewer === 'backEnd' ? { revenueShare: content.revenueShare } : {}),
    custom: content.custom,
    modifiable: content.modifiable,
    extensionsLeft: basket.extensionsLeft,
    extendableUntil: waiting ? null : basket.lifetimeEndsAt.toISOString(),
    serverTime: now.toISOString(),
    createdAt: basket.createdAt.toISOString(),
    updatedAt: basket.updatedAt.toISOString(),
    expiresAt: waiting ? null : basket.expiresAt.toISOString(),
    ...(waiting ? { linkExpiresAt: basket.expiresAt.toISOString() } : {}),
    activatedAt: basket.activatedAt?.toISOString() ?? null,
    completedAt: basket.completedAt?.toISOString() ?? null,
    refundedAt: basket.refundedAt?.toISOString() ?? null,
    late: basket.late,
    orderId: basket.orderId,
  };
}

/** The basket in an outbox snapshot, as back ends see it. */
export function showSnapshot(row: unknown, now: Date): BasketAnswer {
  return showBasket(toBasket(row as BasketRow), now, 'backEnd');
}

function namesOf({ codes }: Basket, type: CodeType): string[] {
  return codes.filter((code) => code.type === type).map(({ code }) => code);
}
