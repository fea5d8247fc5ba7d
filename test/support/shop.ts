import type { Test } from 'tap';
import type { Config } from '../../src/config.ts';
import { api, mintToken, startTestService } from './service.ts';

/** What a shop of the tests is set up with; the item and event of the documentation's examples. */
export const shopSettings = {
  name: 'Roxy',
  currency: 'GBP',
  frontend: {
    confirmUrl: 'https://tickets.roxy.example/basket/confirm',
    basketUrl: 'https://tickets.roxy.example/basket',
    errorUrl: 'https://tickets.roxy.example/basket/problem',
  },
  allowedRedirectOrigins: ['https://tickets.roxy.example', 'https://partner.example'],
};

/**
 * A service with one shop, an event `evt-1` and an item `stalls` of it (100 at 25.00, 20 % tax), and clients for each
 * of the parties: the owner, a back end that creates baskets, the shop front end's server and its payment back end.
 */
export async function openShop(
  t: Test,
  { settings = {}, config = {} }: { settings?: object; config?: Partial<Config> } = {},
) {
  const service = await startTestService(t, config);
  return { service, ...(await openShopAt(service.url, settings)) };
}

/** The same on a service that runs already and has no such shop yet. */
export async function openShopAt(serviceUrl: string, settings: object = {}) {
  const shopId = 'roxy';
  const as = (token: string) => api(serviceUrl, token);
  const withScope = async (scope: string, partner?: string) =>
    as(await mintToken({ shop: shopId, scope, ...(partner === undefined ? {} : { partner }) }));
  const owner = await withScope('shop:write catalogue:read');
  const shop = {
    shopId,
    owner,
    backEnd: await withScope('baskets:read baskets:write customers:login'),
    frontEnd: await withScope('confirmations:redeem'),
    payments: await withScope('orders:write baskets:read'),
    as,
    withScope,
    async availability(itemId: string) {
      const { body } = await owner.request<{ availability: object }>('GET', `/v1/items/${itemId}`);
      return body.availability;
    },
  };
  const put = async (path: string, body: object) => {
    const { status, text } = await owner.request('PUT', path, body);
    if (status !== 200) throw new Error(`PUT ${path}: ${status} ${text}`);
  };
  await put(`/v1/shops/${shopId}`, { ...shopSettings, ...settings });
  await put('/v1/events/evt-1', { name: 'The Concert', startsAt: '2027-03-05T19:30:00.000Z' });
  await put('/v1/items/stalls', {
    name: 'Stalls',
    eventId: 'evt-1',
    price: 2500,
    taxRate: 0.2,
    capacity: 100,
    maxPerBasket: 8,
  });
  return shop;
}
