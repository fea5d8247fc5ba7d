import { type Basket, showBasket } from '../baskets/index.ts';
import type { SellableItem } from '../catalogue/index.ts';
import { decimalOf } from '../money/index.ts';
import { giftVariables, tebexShare } from '../webhooks/index.ts';

/** The id of what a back end has put into the basket and the web store does not sell: its clients cannot read null. */
const noPackage = 0;

/** What is shown of a basket beside itself. `links` holds the one that it has: to pay, or of the payment. */
export type Beside = {
  ident: string;
  items: ReadonlyMap<string, SellableItem>;
  links: { checkout: string } | { payment: string };
  /** Whether it is for who may know how the money is shared. */
  sharesMoney: boolean;
};

/**
 * A basket in the words of Tebex' Headless API: exactly the keys that its clients know. Amounts are decimals of the
 * currency; `base_price` and `sales_tax` add up to `total_price`, which is before gift cards.
 *
 * @see https://docs.tebex.io/developers/headless-api/endpoints
 */
export function renderBasket(basket: Basket, now: Date, { ident, items, links, sharesMoney }: Beside) {
  const shown = showBasket(basket, now, 'backEnd');
  const { currency, customer, totals } = shown;
  const shares = (shown.revenueShare ?? []).map((share) => tebexShare(share, currency));
  const money = (amountMinor: number) => decimalOf(amountMinor, currency);
  return {
    id: shown.id,
    ident,
    complete: shown.status === 'completed',
    email: customer?.email ?? null,
    username: customer?.username ?? null,
    username_id: usernameIdOf(customer?.usernameId ?? null),
    coupons: shown.discountCodes.map((code) => ({ code, coupon_code: code })),
    giftcards: shown.giftCards.map(({ last4 }) => ({ card_number: maskedCard(last4) })),
    creator_code: shown.creatorCode,
    cancel_url: shown.cancelRedirectUrl,
    complete_url: shown.successRedirectUrl,
    complete_auto_redirect: shown.autoRedirect,
    country: shown.country,
    ip: shown.ipAddress ?? null,
    base_price: money(totals.total - totals.tax),
    sales_tax: money(totals.tax),
    total_price: money(totals.total),
    currency,
    packages: shown.items.map((line, at) => {
      const item = items.get(line.itemId);
      return {
        id: item?.packageId ?? noPackage,
        name: line.name,
        description: item?.description ?? '',
        image: item?.image ?? null,
        slug: line.itemId,
        type: line.type,
        in_basket: {
          quantity: line.quantity,
          price: money(line.unitPrice),
          gift_username_id: line.variables[giftVariables.usernameId] ?? null,
          gift_username: line.variables[giftVariables.username] ?? null,
        },
        // Shares are of the whole basket, and the lists of packages are added up: so one has them all.
        revenue_share: at === 0 && sharesMoney ? shares : [],
      };
    }),
    custom: Object.keys(shown.custom).length === 0 ? null : shown.custom,
    links,
  };
}

/** A card as it is shown: what its number ends with. */
function maskedCard(last4: string): string {
  return `**** ${last4}`;
}

/** The name of a card for its removal: its number, or what was shown of it. */
export function cardNamed(cardNumber: string): string {
  return cardNumber.replace(/^[*\s]+/, '');
}

/** An account of a game: a number where it is one that JavaScript keeps exactly, as Tebex sends them, else the text. */
function usernameIdOf(usernameId: string | null): number | string | null {
  const number = Number(usernameId);
  return usernameId !== null && Number.isSafeInteger(number) && String(number) === usernameId ? number : usernameId;
}
