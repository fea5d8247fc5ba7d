import t from 'tap';
import { browserTests, openDemoShop, openElsewhere } from '../support/browser.ts';

const browserTest = browserTests(t);

type Seen = { status: number; requestId: string | null; body: { data?: { ident: string } } };

browserTest('a page of any origin fills a basket of a web store and reads what it is told', async (t, context) => {
  const shop = await openDemoShop(t);
  const { body: settings } = await shop.owner.request<{ publicToken: string }>('GET', `/v1/shops/${shop.shopId}`);
  const page = await context.newPage();
  await page.goto(await openElsewhere(t, '<p>A store front without a server</p>'));
  const post = (path: string, sent: object): Promise<Seen> =>
    page.evaluate(
      async ([url = '', body = '']) => {
        const headers = { 'content-type': 'application/json', 'idempotency-key': 'from-a-page' };
        const response = await fetch(url, { method: 'POST', headers, body });
        return {
          status: response.status,
          requestId: response.headers.get('x-request-id'),
          body: (await response.json()) as object,
        };
      },
      [`${shop.service.url}/api${path}`, JSON.stringify(sent)],
    );

  const created = await post(`/accounts/${settings.publicToken}/baskets`, { username: 'Anna' });
  t.match(created, { status: 200, requestId: /./, body: { data: { username: 'Anna', packages: [] } } });
  const basket = `/baskets/${created.body.data?.ident}`;
  t.match(await post(`${basket}/packages`, { package_id: 101, quantity: 2 }), {
    status: 200,
    body: { data: { total_price: 60, packages: [{ name: 'Stalls', in_basket: { quantity: 2 } }] } },
  });
  t.match(await post(`${basket}/coupons`, { coupon_code: 'nonsense' }), {
    status: 422,
    requestId: /./,
    body: { error_code: 'code_unknown', detail: /./ },
  });
});
