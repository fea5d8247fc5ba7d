import t from 'tap';
import { createBasket, pressLink } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { mintToken } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const { body: document } = await shop.owner.request<{
  paths: Record<string, { post?: { parameters?: { in: string; name: string }[] } }>;
}>('GET', '/openapi.json');
const everyScope = 'shop:write baskets:write confirmations:redeem orders:write';
const client = shop.as(await mintToken({ shop: shop.shopId, scope: everyScope }));
const { id, startBasketUrl } = await createBasket(shop);
const values: Record<string, string> = { id, shopId: shop.shopId, eventId: 'evt-1' };
const item = { itemId: 'stalls', quantity: 1 };
/** Of the calls that an empty body is not enough for. */
const bodies: Record<string, object> = {
  '/v1/shops/{shopId}/api-keys': { name: 'key', scopes: ['baskets:read'] },
  '/v1/baskets': { items: [item] },
  '/v1/baskets/{id}/lines': item,
  '/v1/baskets/{id}/complete': { orderId: 'order-1' },
  '/v1/confirmations': { token: await pressLink(startBasketUrl), context: 'customer', customerId: null },
};
const posts = Object.entries(document.paths).filter(([path, { post }]) => path.startsWith('/v1/') && post);

t.test(
  'every POST of the API looks at its Idempotency-Key before it does anything, and says so in its document',
  async (t) => {
    t.ok(posts.length >= 11);
    for (const [template, { post }] of posts) {
      const path = template.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? `no value for ${name}`);
      await assertRefused(t, shop, template, { status: 400, code: 'invalid_idempotency_key' }, () =>
        client.request('POST', path, bodies[template] ?? {}, { 'idempotency-key': '""' }),
      );
      t.ok(
        post?.parameters?.some((parameter) => parameter.in === 'header' && parameter.name === 'Idempotency-Key'),
        template,
      );
    }
  },
);
