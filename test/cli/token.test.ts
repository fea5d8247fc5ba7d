import t from 'tap';
import { makeToken, type WantedToken } from '../../src/cli/token.ts';
import { api, jwtSecret, startTestService } from '../support/service.ts';
import { openShopAt } from '../support/shop.ts';

const environment = { JWT_SECRET: `${jwtSecret},another secret that is listed after the first` };

t.test('a token made on the command line is accepted, with its scopes, shop, partner and lifetime', async (t) => {
  const service = await startTestService(t);
  await openShopAt(service.url);
  const statusOf = async (wanted: WantedToken, method: string, path: string, body?: object) =>
    (await api(service.url, await makeToken(environment, wanted)).request(method, path, body)).status;
  const reader = { shop: 'roxy', scope: 'baskets:read,catalogue:read' };
  t.equal(await statusOf(reader, 'GET', '/v1/baskets'), 200);
  t.equal(await statusOf(reader, 'GET', '/v1/items/stalls'), 200);
  t.equal(await statusOf(reader, 'POST', '/v1/baskets', { items: [] }), 403);
  t.equal(await statusOf({ ...reader, shop: 'other' }, 'GET', '/v1/items/stalls'), 404);
  t.equal(await statusOf({ scope: 'platform' }, 'GET', '/v1/shops/roxy'), 200);
  const token = await makeToken(environment, { ...reader, partner: 'acme', sub: 'ops', ttlSeconds: '60' });
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;
  t.match(claims, { shop: 'roxy', partner: 'acme', sub: 'ops', scope: 'baskets:read catalogue:read' });
  t.equal(Number(claims.exp) - Number(claims.iat), 60);
});

t.test('it carries the issuer and the audience that the service asks for', async (t) => {
  const service = await startTestService(t, { jwtIssuer: 'https://issuer.example', jwtAudience: 'basketlink' });
  const wanted = { shop: 'roxy', scope: 'baskets:read' };
  const complete = { ...environment, JWT_ISSUER: 'https://issuer.example', JWT_AUDIENCE: 'basketlink' };
  const statusOf = async (environment: NodeJS.ProcessEnv) =>
    (await api(service.url, await makeToken(environment, wanted)).request('GET', '/v1/baskets')).status;
  t.equal(await statusOf(complete), 200);
  t.equal(await statusOf(environment), 401);
});

t.test('what cannot be meant is named, all of it at once, and no token is made', async (t) => {
  const wrong: [WantedToken, RegExp[]][] = [
    [{}, [/--scope is missing/, /--shop is missing/]],
    [{ shop: 'roxy', scope: 'all' }, [/--scope has all/]],
    [{ shop: 'ro xy', scope: 'baskets:read', partner: '' }, [/--shop is not an id/, /--partner is not an id/]],
    ...['0', '-1', '1.5', '1h', '', '99999999999'].map((ttlSeconds): [WantedToken, RegExp[]] => [
      { shop: 'roxy', scope: 'baskets:read', ttlSeconds },
      [/--ttl-seconds/],
    ]),
  ];
  for (const [wanted, named] of wrong) {
    const error = await makeToken(environment, wanted).catch((error: Error) => error);
    for (const pattern of named) t.match(String(error), pattern, JSON.stringify(wanted));
  }
  t.match(await makeToken({}, { shop: 'roxy', scope: 'baskets:read' }).catch(String), /JWT_SECRET is missing/);
});
