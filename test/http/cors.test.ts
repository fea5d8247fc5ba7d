import t from 'tap';
import { api, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

type Created = { id: string; startBasketUrl: string };

t.test(
  'only a session on its shop’s own origins may read answers across origins, and preflights tell nobody anything',
  async (t) => {
    const shop = await openShop(t);
    const { url } = shop.service;
    const { body: basket } = await shop.backEnd.request<Created>('POST', '/v1/baskets', {
      items: [{ itemId: 'stalls', quantity: 1 }],
      linkMode: 'redirect',
    });
    const path = `/v1/baskets/${basket.id}`;
    const click = await visit(basket.startBasketUrl);
    const token = new URL(click.headers.location ?? '').searchParams.get('token');
    const { body } = await shop.frontEnd.request<{ session: { token: string } }>('POST', '/v1/confirmations', {
      token,
    });
    const session = api(url, body.session.token);
    const readableBy = async (client: typeof session, origin: string) =>
      (await client.request('GET', path, undefined, { origin })).headers.get('access-control-allow-origin');

    t.equal(await readableBy(session, 'https://tickets.roxy.example'), 'https://tickets.roxy.example');
    t.equal(await readableBy(session, 'https://evil.example'), null);
    t.equal(await readableBy(shop.backEnd, 'https://tickets.roxy.example'), null);

    const preflight = async (target: string, origin: string) => {
      const { status, headers, text } = await visit(
        `${url}${target}`,
        { origin, 'access-control-request-method': 'GET' },
        'OPTIONS',
      );
      const { date, 'x-request-id': requestId, ...same } = headers;
      return { status, same, text };
    };
    const known = await preflight(path, 'https://tickets.roxy.example');
    t.equal(known.status, 204);
    t.same(await preflight('/v1/baskets/bkt_unknown', 'https://evil.example'), known);
    t.equal((await preflight('/v1/items', 'https://tickets.roxy.example')).status, 405, 'no other route answers CORS');
  },
);
