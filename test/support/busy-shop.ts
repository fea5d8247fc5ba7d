import { activate, checkout, complete, createBasket, letBeSwept, openBasket, putItem } from './journey.ts';
import { api, visit } from './service.ts';
import type { openShop } from './shop.ts';

type Shop = Awaited<ReturnType<typeof openShop>>;

/**
 * Has everything happen to baskets of a shop once that metrics tell of: one of each is refunded, cancelled, ended by its
 * event, superseded and expired, one creation is refused, and links lead to the shop, to a page and nowhere. `round`
 * tells the ids of one time from those of another. Gives what none of the metrics may say.
 */
export async function haveEverythingHappen(shop: Shop, round: number): Promise<string[]> {
  const { id: bought, startBasketUrl, session } = await openBasket(shop);
  const { body } = await checkout(shop, bought);
  const orderId = `order-${round}`;
  await complete(shop, bought, { orderId, leaseId: body.leaseId });
  await shop.payments.request('POST', `/v1/baskets/${bought}/refund`, {});

  const cancelled = await createBasket(shop);
  await visit(cancelled.startBasketUrl);
  await shop.backEnd.request('POST', `/v1/baskets/${cancelled.id}/cancel`);

  await shop.owner.request('PUT', `/v1/events/matinee-${round}`, { name: 'Matinee' });
  await putItem(shop, `matinee-${round}`, 1, { eventId: `matinee-${round}` });
  const items = [{ itemId: `matinee-${round}`, quantity: 1 }];
  await createBasket(shop, { items });
  await shop.backEnd.request('POST', '/v1/baskets', { items });
  await shop.owner.request('POST', `/v1/events/matinee-${round}/cancel`);

  const customer = { id: `cus-${round}`, email: `anna-${round}@customer.example` };
  await createBasket(shop, { customer });
  const personal = await createBasket(shop, { customer });
  await visit(personal.startBasketUrl);
  await activate(shop, personal.startBasketUrl);
  await letBeSwept(shop, personal.id);
  await visit(personal.startBasketUrl);
  await api(shop.service.url, null).request('GET', '/b/not-a-link');
  const links = [startBasketUrl, cancelled.startBasketUrl, personal.startBasketUrl].map((url) => new URL(url).pathname);
  return [shop.shopId, bought, session.token, orderId, ...Object.values(customer), ...links];
}
