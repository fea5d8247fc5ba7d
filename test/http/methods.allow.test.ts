import t from 'tap';
import { createBasket } from '../support/journey.ts';
import { contentsOf } from '../support/refusal.ts';
import { api, mintToken, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const asked = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

const shop = await openShop(t);

t.test('a method that a path does not have is a 405 that names those it has, and does nothing', async (t) => {
  const { id } = await createBasket(shop);
  const { body: document } = await shop.backEnd.request<{ paths: Record<string, object> }>('GET', '/openapi.json');
  const documented = Object.entries(document.paths).map(([path, methods]) => ({
    path: path.replace('{id}', id).replace('{lineId}', '1').replace('{shopId}', 'roxy').replace('{eventId}', 'evt-1'),
    methods: Object.keys(methods).map((method) => method.toUpperCase()),
  }));
  const unlisted = ['/health/live', '/health/ready', '/openapi.json', '/docs', '/docs/', '/problems/not_found'];
  const before = await contentsOf(shop.service.pool);
  for (const { path, methods } of [...documented, ...unlisted.map((path) => ({ path, methods: ['GET'] }))]) {
    const refused = asked.filter((method) => !methods.includes(method));
    t.notSame(refused, [], path);
    for (const method of refused) {
      const answer = await shop.owner.request(method, path, method === 'GET' ? undefined : {});
      t.match(answer, { status: 405, body: { code: 'method_not_allowed' } }, `${method} ${path}`);
      const allowed = answer.headers.get('allow')?.split(', ') ?? [];
      // OPTIONS is there too where a page of the shop may call.
      const expected = methods.includes('GET') ? [...methods, 'HEAD'] : methods;
      t.same(allowed.filter((name) => name !== 'OPTIONS').sort(), expected.sort(), `${method} ${path}: ${allowed}`);
    }
  }
  t.same(await contentsOf(shop.service.pool), before, 'nothing was written');
});

t.test('HEAD is GET without the body, and neither it nor OPTIONS has an effect', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop);
  await shop.owner.request('PUT', '/v1/pools/arena', { name: 'Arena', capacity: 10 });
  const authorization = `Bearer ${await mintToken({ shop: 'roxy', scope: 'baskets:read shop:write' })}`;
  const { body: document } = await shop.backEnd.request<{ paths: Record<string, object> }>('GET', '/openapi.json');
  const named = { shopId: 'roxy', eventId: 'evt-1', itemId: 'stalls', poolId: 'arena', id, basketId: id };
  const values: Record<string, string> = { ...named, token: new URL(startBasketUrl).pathname.replace('/b/', '') };
  const documented = Object.entries(document.paths)
    .filter(([, methods]) => 'get' in methods)
    .map(([path]) => path.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? `no value for ${name}`));
  t.ok(documented.length >= 10, 'there are routes');
  const unlisted = [
    '/v1/baskets/unknown',
    '/b/unknown',
    '/openapi.json',
    '/docs',
    '/problems/not_found',
    '/health/ready',
  ];
  const paths = [...documented, ...unlisted];
  const before = await contentsOf(shop.service.pool);
  for (const path of paths) {
    const visited = async (method: string) => {
      const { status, headers, text } = await visit(`${shop.service.url}${path}`, { authorization }, method);
      // The time of a basket moves on between the two, and with it nothing but these.
      const { date, 'x-request-id': requestId, ...same } = headers;
      return { status, headers: same, text };
    };
    const got = await visited('GET');
    t.not(got.text, '', path);
    t.same(await visited('HEAD'), { ...got, text: '' }, `HEAD ${path}`);
    t.match((await visited('OPTIONS')).status, /^(204|405)$/, `OPTIONS ${path}`);
  }
  t.same(await contentsOf(shop.service.pool), before, 'nothing was written');
});

t.test('a path that is not there is a 404 whatever the method and the credential', async (t) => {
  for (const client of [api(shop.service.url, null), shop.owner]) {
    for (const method of asked) {
      t.match(await client.request(method, '/v1/nothing/here'), { status: 404, body: { code: 'not_found' } }, method);
    }
  }
});
