import { readBasket, showBasket } from '../baskets/index.ts';
import { type Refusal, refuse } from '../errors.ts';
import { completedPayment } from '../webhooks/index.ts';
import type { StorefrontDeps } from './baskets.ts';
import { readPaymentSecret } from './ident.ts';

/**
 * The payment that a secret of `links.payment` is of, in Tebex' form: complete, or a refund once everything was refunded.
 * The secret works for ever and the link to a receipt is passed on, so it shows no more than a session is shown: the
 * e-mail masked, no `ip` and no `revenue_share`. Back ends are told of these by webhooks. Refusal: `not_found`, also while
 * nothing is paid.
 */
export async function showPayment(
  { pool, shops, paymentKeys }: Pick<StorefrontDeps, 'pool' | 'shops' | 'paymentKeys'>,
  secret: string,
): Promise<object | Refusal> {
  const named = readPaymentSecret(paymentKeys, secret);
  const shop = named && (await shops.byNumber(named.shopNumber));
  if (!named || !shop?.tebex.enabled) return refuse('not_found');
  const found = await readBasket(pool, shop.shopId, named.basketId);
  if (found?.basket.status !== 'completed') return refuse('not_found');
  return completedPayment(showBasket(found.basket, found.now, 'session'), found.now);
}
