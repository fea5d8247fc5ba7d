import t from 'tap';
import { api, mintToken } from '../support/service.ts';
import { shopSettings } from '../support/shop.ts';
import { basic, createInStore, openWebStore, type TebexBasket, type TebexProblem } from '../support/web-store.ts';

const rateLimitMax = 400;
const store = await openWebStore(t, { config: { rateLimitMax, trustProxy: 'loopback' } });
const { account, anybody, storeBackEnd, service } = store;
const from = (address: string) => ({ 'x-forwarded-for': address });
const inStore = (path: string) => `${account}/baskets${path}`;

const routes = (ident: string): [method: string, path: string][] => [
  ['POST', inStore('')],
  ...[inStore(`/${ident}`), `/baskets/${ident}`].flatMap((base): [string, string][] => [
    ['POST', `${base}/packages`],
    ['POST', `${base}/packages/remove`],
    ['PUT', `${base}/packages/5`],
    ...['coupons', 'giftcards', 'creator-codes'].flatMap((kind): [string, string][] => [
      ['POST', `${base}/${kind}`],
      ['POST', `${base}/${kind}/remove`],
    ]),
  ]),
];
const nul = String.fromCharCode(0);
const oddities: unknown[] = [
  ...[-1, 0.5, 1e308, 2_147_483_648, '1e3', '0x10', ' 5', true, [], [5], {}, { $gt: '' }, '5; DROP TABLE items', '💣'],
  ...[nul, `a${nul}b`, 'x'.repeat(5000), '\ud800', '__proto__'],
];
const fields = [
  ...['package_id', 'quantity', 'variable_data', 'target_username_id', 'target_username', 'custom', 'coupon_code'],
  ...['card_number', 'creator_code', 'complete_url', 'username', 'email', 'complete_auto_redirect', 'ip_address'],
];

t.test('whatever a stranger sends is refused with words or does what it says, and is never our fault', async (t) => {
  const { ident } = await createInStore(store, 'storeBackEnd');
  let sent = 0;
  for (const [method, path] of routes(ident)) {
    for (const [at, odd] of oddities.entries()) {
      // Each field in turn has each oddity, and everything else of the request is as it should be.
      const body = { package_id: 5, quantity: 1, coupon_code: 'no', card_number: 'no', creator_code: 'no' };
      const field = fields[(at + sent) % fields.length] ?? '';
      const written = JSON.stringify({ ...body, [field]: odd });
      sent += 1;
      const answer = await anybody.request<TebexProblem>(method, path, written, from(`10.0.${sent % 250}.1`));
      const told = `${method} ${path.slice(-24)} ${field} ${JSON.stringify(odd)}: ${answer.status} ${answer.text}`;
      t.ok(answer.status < 500, told);
      if (answer.status === 200) continue;
      t.equal(answer.headers.get('content-type'), 'application/problem+json', told);
      t.equal(answer.body.error_code, answer.body.code, told);
      t.notMatch(answer.text, ident, 'an answer that says the secret');
    }
  }
});

t.test('pages of every origin may ask and read, answers and refusals alike', async (t) => {
  const { ident } = await createInStore(store, 'anybody');
  const asked = { origin: 'https://store.example', 'access-control-request-method': 'PUT' };
  const preflight = await anybody.request('OPTIONS', `/baskets/${ident}/packages/5`, undefined, asked);
  t.equal(preflight.status, 204);
  t.equal(preflight.headers.get('access-control-allow-origin'), '*');
  t.match(preflight.headers.get('access-control-allow-methods'), /PUT/);
  t.match(preflight.headers.get('access-control-allow-headers'), /Authorization/);
  for (const path of [`/baskets/${ident}`, '/baskets/none', `${account}/baskets/${ident}/`]) {
    const answer = await anybody.request('GET', path, undefined, { origin: 'https://store.example' });
    t.equal(answer.headers.get('access-control-allow-origin'), '*', path);
    t.equal(answer.headers.get('cache-control'), 'no-store', path);
    t.notOk(answer.headers.has('access-control-allow-credentials'), path);
  }
});

t.test('bodies that clients really send are read', async (t) => {
  const json = { 'content-type': 'application/json; charset=utf-8' };
  const { body } = await anybody.request<{ data: TebexBasket }>('POST', inStore('/'), '', json);
  t.match(body.data, { complete: false });
  const path = `/baskets/${body.data.ident}`;
  t.equal((await anybody.request('GET', path, undefined, json)).status, 200);
  t.equal((await anybody.request('POST', `${path}/packages/`, { package_id: 6, quantity: null })).status, 200);
  const bare = await fetch(new URL(`/api${path}/creator-codes/remove`, service.url), { method: 'POST' });
  t.equal(bare.status, 422, 'there is none, and the body is not what is wrong');
  t.match(await bare.json(), { detail: /creator_code/ });
});

t.test('a back end of another shop is none here, nor where the path names a basket alone', async (t) => {
  const attic = api(service.url, await mintToken({ scope: 'platform' }));
  const { body } = await attic.request<{ publicToken: string }>('PUT', '/v1/shops/attic', {
    ...shopSettings,
    tebex: { enabled: true },
  });
  const made = { name: 'its own', scopes: ['baskets:write'] };
  const key = await attic.request<{ apiKey: string }>('POST', '/v1/shops/attic/api-keys', made);
  const stranger = store.as(basic(body.publicToken, key.body.apiKey));
  t.equal((await stranger.request('POST', `/accounts/${body.publicToken}/baskets`)).status, 200, 'the key is good');

  const { ident } = await createInStore(store, 'storeBackEnd');
  for (const path of [`/baskets/${ident}`, inStore(`/${ident}`)]) {
    t.equal((await stranger.request('GET', path)).status, 401, path);
    t.equal((await stranger.request('POST', `${path}/packages`, { package_id: 5 })).status, 401, path);
  }
  t.same((await storeBackEnd.request<{ data: TebexBasket }>('GET', `/baskets/${ident}`)).body.data.packages, []);
});

t.test('anybody is limited by address, and a back end by its key wherever it calls from', async (t) => {
  const calls = async (client: typeof anybody, address: string) => {
    const statuses = new Map<number, number>();
    for (let call = 0; call <= rateLimitMax; call += 1) {
      const { status } = await client.request('GET', '/baskets/none', undefined, from(address));
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    return Object.fromEntries(statuses);
  };
  t.same(await calls(anybody, '203.0.113.1'), { 404: rateLimitMax, 429: 1 });
  const limited = await anybody.request<TebexProblem>('GET', '/baskets/none', undefined, from('203.0.113.1'));
  t.match(limited.body, { error_code: 'rate_limited' });
  t.ok(Number(limited.headers.get('retry-after')) > 0);
  t.equal((await anybody.request('GET', '/baskets/none', undefined, from('203.0.113.2'))).status, 404);
  t.equal((await storeBackEnd.request('GET', '/baskets/none', undefined, from('203.0.113.1'))).status, 404);
});
