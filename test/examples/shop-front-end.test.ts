import { once } from 'node:events';
import { createServer } from 'node:http';
import t, { type Test } from 'tap';
import type * as ShopExpress from '../../examples/shop-express.ts';
import type * as ShopFastify from '../../examples/shop-fastify.ts';
import type * as ShopFrontEnd from '../../examples/shop-front-end.ts';
import { importExample } from '../support/example.ts';
import { createBasket, pressLink } from '../support/journey.ts';
import { mintToken, visit } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';

// Next.js itself is large; what it calls is this function, with such a Request.
t.test(
  'the shop of the examples keeps the basket in a session, and ends a guest’s when another is opened',
  async (t) => {
    const shop = await openShop(t);
    const { GET, sessionOf } = await importExample<typeof ShopFrontEnd>('shop-front-end', {
      BASKETLINK_URL: shop.service.url,
      BASKETLINK_TOKEN: await mintToken({ shop: shop.shopId, scope: 'confirmations:redeem' }),
    });
    const { confirmUrl, basketUrl } = shopSettings.frontend;
    const open = async (startBasketUrl: string, cookie = '') => {
      const address = `${confirmUrl}?token=${await pressLink(startBasketUrl)}`;
      const answer = await GET(new Request(address, { headers: { cookie } }));
      t.equal(answer.headers.get('location'), basketUrl);
      return answer.headers.get('set-cookie')?.split(';')[0] ?? '';
    };
    const inBrowser = (cookie: string) => sessionOf(new Request(basketUrl, { headers: { cookie } }));

    const guests = await createBasket(shop);
    const asGuest = await open(guests.startBasketUrl);
    t.match(inBrowser(asGuest), { customerId: null, currentBasketId: guests.id, sessionToken: /^ses_/ });

    const own = await createBasket(shop, { customer: { id: 'cus-7' } });
    const asCustomer = await open(own.startBasketUrl, asGuest);
    t.not(asCustomer, asGuest, 'who gains rights has a new session');
    t.match(inBrowser(asCustomer), { customerId: 'cus-7', currentBasketId: own.id });
    t.match(await shop.availability('stalls'), { held: 1 }, 'the basket before is not held any more');
  },
);

/** The servers of the examples, each listening at the address that it gives. */
const servers = {
  async Fastify(t: Test, environment: Record<string, string>) {
    const { openShopServer } = await importExample<typeof ShopFastify>('shop-fastify', environment);
    const server = openShopServer('https://tickets.roxy.example');
    t.teardown(() => server.close());
    return server.listen({ port: 0, host: '127.0.0.1' });
  },
  async Express(t: Test, environment: Record<string, string>) {
    const { openShopApp } = await importExample<typeof ShopExpress>('shop-express', environment);
    const server = createServer(openShopApp('https://tickets.roxy.example')).listen(0, '127.0.0.1');
    t.teardown(() => server.close());
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('it listens on no port');
    return `http://127.0.0.1:${address.port}`;
  },
};

for (const [name, listen] of Object.entries(servers)) {
  t.test(
    `with ${name}, who follows a link comes to the basket page once, and HEAD leaves the token alone`,
    async (t) => {
      const shop = await openShop(t);
      const origin = await listen(t, {
        BASKETLINK_URL: shop.service.url,
        BASKETLINK_TOKEN: await mintToken({ shop: shop.shopId, scope: 'confirmations:redeem' }),
      });
      const { basketUrl } = shopSettings.frontend;

      const { startBasketUrl } = await createBasket(shop);
      const address = `${origin}/basket/confirm?token=${await pressLink(startBasketUrl)}&utm_source=mail`;
      t.match((await visit(address, undefined, 'HEAD')).status, /^40[45]$/);
      const arrived = await visit(address);
      t.match(arrived, { status: 303, headers: { location: basketUrl, 'referrer-policy': 'no-referrer' } });
      t.match(arrived.headers['set-cookie'], [/^__Host-session=[\w-]{36}; Path=\/; Secure; HttpOnly; SameSite=Lax$/]);
      t.match(await visit(address), { status: 303, headers: { location: /error=confirmation_used/ } });
    },
  );
}
