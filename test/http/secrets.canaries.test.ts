import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import pg from 'pg';
import t, { type Test } from 'tap';
import { type Created, pressLink, type Redeemed } from '../support/journey.ts';
import { startReceiver } from '../support/receiver.ts';
import { contentsOfRedis } from '../support/redis.ts';
import { startReplica } from '../support/replica.ts';
import { startRedisServer } from '../support/servers.ts';
import { api, asTester, createDatabase, fromRunner, mintToken, visit } from '../support/service.ts';
import { openShopAt } from '../support/shop.ts';
import { until } from '../support/until.ts';
import { basic, type TebexBasket } from '../support/web-store.ts';

/*
 * Every secret that the service is given or gives away is a text that occurs nowhere else, so that it is found wherever
 * it was left, when things work and when they fail: in what is logged, refused, measured, kept, sent on or shown.
 */

const places = ['log', 'refusals', 'metrics', 'outbox', 'webhooks', 'database', 'redis', 'session', 'page'] as const;
type Place = (typeof places)[number];
/** Where a text may be found, and must be: that it is found there shows that it would be elsewhere. */
type Canary = { text: string; mayBeIn: readonly Place[] };

const unique = () => randomBytes(12).toString('hex');
const secret = (text: string): Canary => ({ text, mayBeIn: [] });
/** Who did something and why is written down beside it. */
const trail = (text: string): Canary => ({ text, mayBeIn: ['database'] });
/** A basket's own data: its creator reads it back, and so do webhooks, which the outbox is for. */
const backEndData = (text: string): Canary => ({ text, mayBeIn: ['outbox', 'webhooks', 'database'] });
/** The part of it that the shop front end gets with a session, too. */
const basketData = (text: string): Canary => ({ text, mayBeIn: ['outbox', 'webhooks', 'database', 'session'] });

const custom = basketData(`custom-${unique()}`);
const given = {
  'JWT secret': secret(`jwt-secret-${unique()}-${unique()}`),
  'link key': secret(`link-key-${unique()}-${unique()}`),
  'data key': secret(`data-key-${unique()}-${unique()}`),
  'password of Redis': secret(`redis-${unique()}`),
  'key of Laravel links': secret(`base64:${randomBytes(32).toString('base64')}`),
  'idempotency key': secret(`idempotency-${unique()}`),
  'subject of a JWT': trail(`subject-${unique()}@staff.example`),
  'reason of an adjustment': trail(`reason-${unique()}`),
  'e-mail address': backEndData(`mail-${unique()}@customer.example`),
  'name of a customer': basketData(`name-${unique()}`),
  'user name': basketData(`user-${unique()}`),
  'id of a user name': basketData(`user-id-${unique()}`),
  'IP address': backEndData('203.0.113.187'),
  'custom data': custom,
  'custom data of a line': basketData(`line-${unique()}`),
  'variable of a line': basketData(`variable-${unique()}`),
  'custom data of a dynamic package': { text: `package-${unique()}`, mayBeIn: ['database'] } satisfies Canary,
  'number of a gift card': secret(`card-${unique()}`),
  // Its uses are counted in Redis, too.
  'discount code': {
    text: `CODE-${unique().toUpperCase()}`,
    mayBeIn: ['outbox', 'webhooks', 'database', 'redis', 'session'],
  } satisfies Canary,
  'redirect URL': basketData(`https://partner.example/paid/${unique()}`),
};

/** How a text may look where it was not meant to be. */
function spellings(text: string): string[] {
  const bytes = Buffer.from(text);
  const base64 = bytes.toString('base64').replace(/=+$/, '');
  return [text, encodeURIComponent(text), bytes.toString('hex'), base64, bytes.toString('base64url')];
}

const needsRedis = fromRunner('TEST_REDIS_KIND') !== 'redis-server' && 'redis-server is not installed';

t.test('no secret is left where it does not belong, whatever succeeds or fails', { skip: needsRedis }, async (t) => {
  const { canaries, found } = await plantEverywhere(t);
  for (const [what, { text, mayBeIn }] of Object.entries(canaries)) {
    t.not(text, '', what);
    for (const place of places) {
      const isThere = spellings(text).some((spelling) => found[place].includes(spelling));
      t.equal(isThere, mayBeIn.includes(place), `${what}: ${place}`);
    }
  }
});

/** Lets a service work with the canaries, and gives all that it left behind, by place. */
async function plantEverywhere(t: Test) {
  const redis = await startRedisServer(t);
  const redisPassword = given['password of Redis'].text;
  await redis.cli('CONFIG', 'SET', 'requirepass', redisPassword);
  const redisUrl = new URL(redis.url);
  redisUrl.password = redisPassword;
  const databaseUrl = await createDatabase(t);
  const jwtSecret = given['JWT secret'].text;
  const env = {
    JWT_SECRET: `${jwtSecret},the secret that signs the tokens of every test`,
    LINK_KEYS: `l1:${given['link key'].text}`,
    DATA_KEYS: `d1:${given['data key'].text}`,
    LOG_LEVEL: 'debug',
    // Counted in Redis, and never reached.
    RATE_LIMIT_MAX: '1000000',
    RATE_LIMIT_CLICKS: '1000000',
    WEBHOOK_ALLOW_PRIVATE: 'true',
  };
  const replica = await startReplica(t, { databaseUrl, redisUrl: redisUrl.href, env });
  const database = new pg.Client({ connectionString: asTester(databaseUrl) });
  await database.connect();
  t.teardown(() => database.end());

  // It succeeds.
  const shop = await openShopAt(replica.url);
  const sub = given['subject of a JWT'].text;
  const jwtFor = (scope: string) => mintToken({ shop: shop.shopId, scope, sub }, { secret: jwtSecret });
  const jwt = await jwtFor(
    'shop:write catalogue:read webhooks:write baskets:read baskets:write confirmations:redeem orders:write',
  );
  const caller = api(replica.url, jwt);
  const key = { 'idempotency-key': given['idempotency key'].text };
  const answered = async <Body>(status: number, answer: Promise<{ status: number; body: Body; text: string }>) => {
    const { body, text, ...rest } = await answer;
    if (rest.status !== status) throw new Error(`${rest.status} ${text}`);
    return body;
  };
  /** Twice, so that what a stored answer keeps is opened again. */
  const twice = async <Body>(status: number, path: string, body: object) => {
    await answered(status, caller.request('POST', path, body, key));
    return answered(status, caller.request<Body>('POST', path, body, key));
  };
  const receiver = await startReceiver(t);
  const webhook = { url: receiver.url };
  const { secret: webhookSecret } = await answered(
    200,
    caller.request<{ secret: string }>('PUT', '/v1/webhooks/hook-1', webhook),
  );
  const rotated = await twice<{ secret: string }>(200, '/v1/webhooks/hook-1/rotate-secret', {});
  const keys = { keys: [given['key of Laravel links'].text] };
  await answered(204, caller.request('PUT', `/v1/shops/${shop.shopId}/laravel-keys`, keys));
  const wanted = { name: 'booking', scopes: ['baskets:read', 'baskets:write', 'confirmations:redeem'] };
  const { apiKey } = await twice<{ apiKey: string }>(201, `/v1/shops/${shop.shopId}/api-keys`, wanted);
  await answered(200, api(replica.url, apiKey).request('GET', '/v1/baskets'));
  const codePath = `/v1/discount-codes/${given['discount code'].text}`;
  await answered(200, caller.request('PUT', codePath, { type: 'percent', value: 1000 }));
  const cardPath = `/v1/gift-cards/${given['number of a gift card'].text}`;
  await answered(200, caller.request('PUT', cardPath, { balance: 100_000, currency: 'GBP' }));
  const basket = {
    giftCards: [given['number of a gift card'].text],
    discountCodes: [given['discount code'].text],
    items: [
      {
        itemId: 'stalls',
        quantity: 1,
        custom: { note: given['custom data of a line'].text },
        variables: { seat: given['variable of a line'].text },
      },
    ],
    customer: {
      email: given['e-mail address'].text,
      name: given['name of a customer'].text,
      username: given['user name'].text,
      usernameId: given['id of a user name'].text,
    },
    ipAddress: given['IP address'].text,
    successRedirectUrl: given['redirect URL'].text,
    custom: { note: custom.text },
  };
  await twice(200, '/v1/items/stalls/adjustments', { delta: 1, reason: given['reason of an adjustment'].text });
  const created = await twice<Created>(201, '/v1/baskets', basket);
  const path = `/v1/baskets/${created.id}`;
  const minted = await twice<Created>(200, `${path}/link`, {});
  const page = await visit(minted.startBasketUrl, { accept: 'text/html' });
  const confirmation = await pressLink(minted.startBasketUrl);
  const redeemed = await twice<Redeemed>(200, '/v1/confirmations', { token: confirmation });
  const session = redeemed.session.token;
  const read = await api(replica.url, session).request('GET', path);
  await answered(200, caller.request('PATCH', `/v1/shops/${shop.shopId}`, { link: { format: 'laravel' } }));
  const other = await answered(201, caller.request<Created>('POST', '/v1/baskets', basket));
  const laravelLink = other.startBasketUrl;
  await answered(200, caller.request('POST', '/v1/confirmations', { token: await pressLink(laravelLink) }));
  await twice(200, `${path}/checkout`, {});
  await twice(200, `${path}/complete`, { orderId: 'order-1' });

  const customer = { authProviders: [{ name: 'Sign in', url: 'https://ident.example/' }] };
  const settings = { tebex: { enabled: true }, customer };
  const { publicToken } = await answered(
    200,
    caller.request<{ publicToken: string }>('PATCH', `/v1/shops/${shop.shopId}`, settings),
  );
  await answered(200, caller.request('PATCH', '/v1/items/stalls', { packageId: 5 }));
  const store = { authorization: basic(publicToken, apiKey) };
  const inStore = <Body>(method: string, path: string, body?: object) =>
    answered(200, caller.request<Body>(method, `/api${path}`, body, { ...store, ...key }));
  const said = {
    username: given['user name'].text,
    email: given['e-mail address'].text,
    ip_address: given['IP address'].text,
    custom: { note: custom.text },
  };
  const { data: sold } = await inStore<{ data: TebexBasket }>('POST', `/accounts/${publicToken}/baskets`, said);
  await inStore('POST', `/baskets/${sold.ident}/packages`, { package_id: 5, target_username: said.username });
  const categories = `/accounts/${publicToken}/categories?includePackages=1&basketIdent=${sold.ident}`;
  const [category] = (await inStore<{ data: { id: number }[] }>('GET', categories)).data;
  const dynamicCustom = { note: given['custom data of a dynamic package'].text };
  await inStore('PUT', `/baskets/${sold.ident}/dynamic-packages`, {
    username: said.username,
    category_id: category?.id,
    packages: [{ name: 'Sword', price: 1, slug: 'sword', custom: dynamicCustom }],
  });
  const signIn = `/baskets/${sold.ident}/auth?returnUrl=${encodeURIComponent(given['redirect URL'].text)}`;
  const [provider] = await inStore<{ url: string }[]>('GET', signIn);
  const state = new URL(provider?.url ?? '').searchParams.get('state') ?? '';
  const user = { username: said.username, usernameId: given['id of a user name'].text };
  await twice(200, `/v1/baskets/${sold.id}/authorize`, { ...user, state });
  await answered(
    200,
    caller.request('POST', '/v1/confirmations', { token: await pressLink(sold.links.checkout ?? '') }),
  );
  await answered(200, caller.request('POST', `/v1/baskets/${sold.id}/complete`, { orderId: 'order-2' }));
  const { data: paid } = await inStore<{ data: TebexBasket }>('GET', `/baskets/${sold.ident}`);
  const payment = paid.links.payment?.slice(`${replica.url}/api`.length) ?? '';
  await inStore('GET', payment);

  const canaries: Record<string, Canary> = {
    ...given,
    'password of Postgres': secret(new URL(databaseUrl).password),
    JWT: secret(jwt),
    'signature of a JWT': secret(jwt.slice(jwt.lastIndexOf('.') + 1)),
    'API key': secret(apiKey),
    'token of a start link': secret(created.startBasketUrl.slice(created.startBasketUrl.lastIndexOf('/') + 1)),
    'token of a newer start link': secret(minted.startBasketUrl.slice(minted.startBasketUrl.lastIndexOf('/') + 1)),
    'signature of a Laravel link': secret(new URL(laravelLink).searchParams.get('signature') ?? ''),
    'confirmation token': secret(confirmation),
    'session token': secret(session),
    'state of a sign-in': secret(state),
    ident: secret(sold.ident),
    'secret of a payment': secret(payment.slice('/payments/tbx-'.length)),
    'Basic credential': secret(store.authorization.slice('Basic '.length)),
    'secret of a webhook': secret(webhookSecret.slice('whsec_'.length)),
    'newer secret of a webhook': secret(rotated.secret.slice('whsec_'.length)),
  };
  await until('a webhook is told of all', 20_000, async () =>
    receiver.received.some(({ type }) => type === 'basket.completed'),
  );

  await answered(200, caller.request('POST', '/v1/customers/nobody/erase'));

  // It fails, with secrets wherever a request can carry one.
  const refusals: string[] = [];
  const refused = async (answer: Promise<{ status: number; headers: Headers; text: string }>) => {
    const { status, headers, text } = await answer;
    t.ok(status >= 400, `refused with ${status}`);
    refusals.push(JSON.stringify([...headers]), text);
  };
  for (const { text } of Object.values(canaries)) {
    const inPath = encodeURIComponent(text);
    const careless: [method: string, path: string, body?: unknown, headers?: Record<string, string>][] = [
      ['GET', `/unknown/${inPath}?token=${inPath}`],
      ['GET', `/v1/baskets/${inPath}`],
      ['GET', `/v1/baskets?email=${inPath}`],
      ['GET', `/v1/baskets?cursor=${inPath}`],
      ['PUT', `/v1/items/${inPath}`, { name: text }],
      ['PUT', `/v1/discount-codes/${inPath}`, { type: text }],
      ['GET', `/v1/discount-codes/${inPath}x`],
      ['POST', `${path}/codes`, { type: 'discount', code: text }],
      ['DELETE', `${path}/codes/discount/${inPath}`],
      ['POST', `${path}/codes`, { type: 'giftCard', code: text }],
      ['DELETE', `${path}/codes/giftCard/${inPath}`],
      ['PUT', `/v1/gift-cards/${inPath}`, { balance: text }],
      ['GET', `/v1/gift-cards/${inPath}x`],
      ['GET', `/b/${inPath}x`],
      ['GET', `/b/${inPath}/${inPath}`],
      ['GET', `/b/%zz${inPath}`],
      ['POST', `/b/${inPath}x`, undefined, { origin: 'https://evil.example', accept: 'application/json' }],
      ['PUT', `/b/${inPath}`, {}],
      ['GET', `/basket/start/${inPath}?expires=${inPath}&g=${inPath}&shop=roxy&signature=${inPath}x`],
      ['GET', `/problems/${inPath}`],
      ['POST', '/v1/baskets', `{"customer":{"email":"${text}`],
      ['POST', '/v1/baskets', { items: text, customer: text, custom: text }],
      ['POST', '/v1/baskets', { ...basket, customer: { email: `${text}\r\n` } }],
      ['POST', '/v1/baskets', { ...basket, successRedirectUrl: `https://${inPath}@elsewhere.example/${inPath}` }],
      ['POST', '/v1/baskets', { ...basket, items: [{ itemId: 'stalls', quantity: 1, custom: text }] }],
      ['POST', '/v1/baskets', basket, { 'idempotency-key': `${text}\u00ff` }],
      ['PATCH', path, { customer: { email: text, id: text } }, { 'if-match': text }],
      ['POST', `${path}/authorize`, { username: text, usernameId: text }],
      ['POST', `/v1/baskets/${other.id}/authorize`, { ...user, state: `${text}x` }],
      ['GET', `/api/baskets/${inPath}x`, undefined, store],
      ['GET', `/api/payments/${inPath}x`, undefined, store],
      ['POST', `/api/accounts/${inPath}x/baskets`, { username: text, email: text }, store],
      ['POST', `/api/accounts/${publicToken}/baskets`, { email: `${text}\r\n`, complete_url: text }, store],
      ['POST', `/api/baskets/${sold.ident}/packages`, { package_id: text, variable_data: text }, store],
      ['PUT', `/api/baskets/${sold.ident}/dynamic-packages`, { username: text, packages: text }, store],
      ['POST', `/api/baskets/${sold.ident}/coupons`, { coupon_code: `${text}x` }, store],
      ['GET', `/api/baskets/${sold.ident}/auth?returnUrl=x${inPath}`, undefined, store],
      ['GET', `/api/baskets/${sold.ident}`, undefined, { authorization: basic(publicToken, `${text}x`) }],
      ['POST', '/v1/confirmations', { token: `${text}x` }],
      ['POST', '/v1/confirmations', { token: text, sessionToken: text, currentBasketId: text, context: text }],
      ['POST', `/v1/confirmations?token=${inPath}`, { token: text }],
      ['POST', `${path}/complete`, { orderId: text, paymentReference: text, amount: text }],
      ['PUT', `/v1/shops/${shop.shopId}/laravel-keys`, { keys: text }],
      ['PUT', `/v1/shops/${shop.shopId}/laravel-keys`, { keys: [text, 1] }],
      ['PUT', `/v1/webhooks/${inPath}`, { url: text, types: text }],
      ['PUT', '/v1/webhooks/hook-1', { url: `https://${inPath}@elsewhere.example/${inPath}` }],
      ['PUT', '/v1/webhooks/hook-1', { ...webhook, secret: text }],
      ['GET', `/v1/webhooks/${inPath}x`],
      ['POST', `/v1/webhooks/hook-1/deliveries/${inPath}/retry`],
      ['GET', `/v1/changes?after=${inPath}`],
      ['GET', '/v1/baskets', undefined, { authorization: `Bearer ${text}x` }],
      ['GET', '/v1/baskets', undefined, { authorization: `Basic ${Buffer.from(text).toString('base64')}` }],
      ['GET', '/unknown', undefined, { cookie: text, referer: `https://elsewhere.example/${inPath}` }],
    ];
    for (const request of careless) await refused(caller.request(...request));
  }
  const { rows: tables } = await database.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migrations'`,
  );
  // What breaks is logged with its error: a driver's error may carry what was sent.
  for (const { name } of tables) {
    await database.query(`ALTER TABLE ${name} RENAME TO out_of_reach`);
    const answers = await Promise.all([
      caller.request('POST', '/v1/baskets', basket, { 'idempotency-key': `${given['idempotency key'].text}-${name}` }),
      caller.request('PUT', `/v1/shops/${shop.shopId}/laravel-keys`, keys),
      caller.request('POST', `/v1/shops/${shop.shopId}/api-keys`, wanted, { 'idempotency-key': unique() }),
      caller.request('POST', '/v1/confirmations', { token: confirmation }),
      caller.request('POST', `/v1/baskets/${other.id}/complete`, { orderId: 'order-1' }),
      caller.request('POST', `${path}/refund`),
      caller.request('GET', '/v1/items/stalls'),
      caller.request('GET', '/v1/pools/arena'),
      caller.request('POST', '/v1/items/stalls/adjustments', { delta: 1, reason: 'again' }),
      caller.request('GET', codePath),
      caller.request('PUT', '/v1/webhooks/hook-1', webhook),
      caller.request('POST', '/v1/webhooks/hook-1/rotate-secret'),
      caller.request('GET', '/v1/webhooks/hook-1/deliveries'),
      caller.request('PUT', cardPath, { balance: 200_000, currency: 'GBP' }),
      caller.request('GET', `${path}/timeline`),
      caller.request('POST', `${path}/link`),
      caller.request('POST', `/v1/baskets/${other.id}/authorize`, user),
      caller.request('GET', `/api${signIn}`, undefined, store),
      caller.request('GET', `/api${payment}`, undefined, store),
      caller.request('GET', `/api${categories}`, undefined, store),
      caller.request('PATCH', path, { customer: basket.customer }),
      api(replica.url, session).request('GET', path),
      api(replica.url, apiKey).request('GET', '/v1/baskets'),
    ]);
    await database.query(`ALTER TABLE out_of_reach RENAME TO ${name}`);
    for (const answer of answers)
      if (answer.status >= 400) refusals.push(JSON.stringify([...answer.headers]), answer.text);
    t.ok(
      answers.some(({ status }) => status === 500),
      `without ${name} something breaks`,
    );
  }

  // It cannot start, or goes on without what it is refused by.
  const wrong = (url: string) => url.replace(/:[^:@]*@/, (password) => `${password.slice(0, -1)}x@`);
  const unstarted = startReplica(t, { databaseUrl: wrong(databaseUrl), redisUrl: redisUrl.href, env });
  const why = await unstarted.then(
    () => '',
    (error: Error) => error.message,
  );
  // PgBouncer's words, and Postgres'.
  t.match(why, /(SASL|password) authentication failed/);
  const apart = await startReplica(t, { databaseUrl, redisUrl: wrong(redisUrl.href), env });
  await refused(api(apart.url, jwt).request('POST', '/v1/confirmations', { token: confirmation }));

  const textOf = async (table: string) => {
    const { rows } = await database.query<{ text: string }>(`SELECT row_to_json(x)::text AS text FROM ${table} x`);
    return rows.map(({ text }) => text).join('\n');
  };
  const kept: string[] = [];
  for (const { name } of tables) kept.push(await textOf(name));
  const metrics = (await api(replica.url, null).request('GET', '/metrics')).text;
  const inspector = new Redis(redisUrl.href);
  t.teardown(() => inspector.disconnect());
  const found: Record<Place, string> = {
    log: [replica.log(), apart.log(), why].join('\n'),
    refusals: refusals.join('\n'),
    metrics,
    outbox: await textOf('outbox'),
    webhooks: JSON.stringify(receiver.received.map(({ path, headers, text }) => [path, headers, JSON.parse(text)])),
    database: kept.join('\n'),
    redis: JSON.stringify(await contentsOfRedis(inspector)),
    session: read.text,
    page: page.text,
  };
  t.match(found, {
    log: /"customer erased"[\s\S]*"request failed"/,
    refusals: /internal_error/,
    metrics: /^basketlink_refusals_total\{route="\/v1\/confirmations"/m,
    outbox: /basket\.completed|completed/,
    webhooks: /basket\.completed/,
    redis: /stalls/,
    page: /<form/,
  });
  return { canaries, found };
}
