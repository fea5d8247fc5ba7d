import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import t from 'tap';
import { freePort } from '../../src/dev/services.ts';
import { type Created, pressLink, type Redeemed } from '../support/journey.ts';
import { api, asTester, createDatabase, jwtSecret, mintToken } from '../support/service.ts';
import { shopSettings } from '../support/shop.ts';
import { until } from '../support/until.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
// Not one of the prefixes that other test files use: this process has none.
const shopId = 'shop-of-the-log-test';

/** Starts the service as its own process, as an operator does, and collects all that it writes. */
async function startProcess(t: Parameters<typeof createDatabase>[0]) {
  const databaseUrl = await createDatabase(t);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const linkSecret = 'link secret that must stay in the process';
  const dataSecret = 'data secret that must stay in the process';
  const child = spawn(process.execPath, ['--import=tsx', 'src/server.ts'], {
    cwd: project,
    env: {
      PATH: process.env.PATH,
      HOST: '127.0.0.1',
      PORT: String(port),
      PUBLIC_URL: url,
      DATABASE_URL: databaseUrl,
      REDIS_URL: process.env.TEST_REDIS_URL,
      JWT_SECRET: jwtSecret,
      LINK_KEYS: `l1:${linkSecret}`,
      DATA_KEYS: `d1:${dataSecret}`,
      LOG_LEVEL: 'info',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let written = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      written += text;
    });
  }
  const ended = once(child, 'close');
  t.teardown(() => {
    if (child.exitCode === null) child.kill('SIGKILL');
  });
  await until('the service answers', 20_000, () =>
    fetch(`${url}/health/live`).then(
      ({ ok }) => ok,
      () => {
        if (child.exitCode !== null) throw new Error(written);
        return false;
      },
    ),
  );
  return {
    url,
    databaseUrl,
    secrets: { linkSecret, dataSecret, jwtSecret, databasePassword: new URL(databaseUrl).password },
    async stop() {
      child.kill('SIGTERM');
      const [exitCode] = (await ended) as [number | null];
      return { exitCode, written };
    },
  };
}

t.test('a request is one line of the log, with its route pattern, and no secret or e-mail is in any', async (t) => {
  const service = await startProcess(t);
  const tokenFor = (scope: string) => mintToken({ shop: shopId, scope, sub: 'somebody@staff.example' });
  const tokens = {
    owner: await tokenFor('shop:write'),
    backEnd: await tokenFor('baskets:write baskets:read customers:login'),
    frontEnd: await tokenFor('confirmations:redeem'),
    expired: await mintToken({ shop: shopId, scope: 'baskets:read' }, { ttlSeconds: -3600 }),
  };
  const client = (token: string | null) => api(service.url, token);
  const owner = client(tokens.owner);
  const backEnd = client(tokens.backEnd);
  t.equal((await owner.request('PUT', `/v1/shops/${shopId}`, shopSettings)).status, 200);
  t.equal((await owner.request('PUT', '/v1/items/stalls', { name: 'Stalls', price: 1 })).status, 200);

  const email = 'anna.secret@customer.example';
  const body = { items: [{ itemId: 'stalls', quantity: 1 }], customer: { email, name: 'Anna Hush' } };
  const key = { 'idempotency-key': 'a-key-that-is-nobodys-business' };
  const created = await backEnd.request<Created>('POST', '/v1/baskets', body, key);
  t.equal(created.status, 201, created.text);
  const { id, startBasketUrl } = created.body;
  const startToken = startBasketUrl.slice(startBasketUrl.lastIndexOf('/') + 1);
  const confirmation = await pressLink(startBasketUrl);
  const frontEnd = client(tokens.frontEnd);
  const redeemed = await frontEnd.request<Redeemed>('POST', '/v1/confirmations', { token: confirmation });
  t.equal(redeemed.status, 200, redeemed.text);
  const session = redeemed.body.session.token;

  /** Where secrets come into requests that fail: each of them is another way into a log. */
  const careless = [
    await client(session).request('GET', `/v1/baskets/${id}`),
    await client(tokens.expired).request('GET', '/v1/baskets'),
    await client(null).request('GET', `/v1/baskets?token=${tokens.backEnd}`),
    await backEnd.request('GET', `/v1/baskets?email=${email}`),
    await backEnd.request('POST', '/v1/baskets', `{"customer":{"email":"${email}`),
    await backEnd.request('POST', '/v1/baskets', { ...body, customer: { email: `${email}\r\n` } }),
    await backEnd.request('GET', `/b/${startToken}x`),
    await backEnd.request('GET', `/b/${startToken}/${session}`),
    await backEnd.request('GET', `/unknown/${startToken}?token=${confirmation}`),
    await backEnd.request('GET', `/b/%zz${startToken}`),
    await backEnd.request('PUT', `/b/${startToken}`, {}),
    await frontEnd.request('POST', '/v1/confirmations', { token: `${confirmation}x` }),
    await frontEnd.request('POST', `/v1/confirmations?token=${confirmation}`, { token: confirmation }),
  ];
  // What breaks is logged with its error: a driver's error may carry what was sent.
  const database = new pg.Client({ connectionString: asTester(service.databaseUrl) });
  await database.connect();
  t.teardown(() => database.end());
  await database.query(`
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'told to fail' USING DETAIL = row_to_json(NEW)::text; END $$;
    CREATE TRIGGER fail BEFORE INSERT ON baskets FOR EACH ROW EXECUTE FUNCTION fail()`);
  const broken = await backEnd.request('POST', '/v1/baskets', body);
  t.equal(broken.status, 500);

  const { exitCode, written } = await service.stop();
  t.equal(exitCode, 0);
  const lines = written
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string; requestId?: string; route?: string; status?: number });
  const requests = lines.filter(({ msg }) => msg === 'request');
  for (const { status, headers } of [created, ...careless, broken]) {
    const requestId = headers.get('x-request-id');
    const own = requests.filter((line) => line.requestId === requestId);
    t.match(own, [{ status }], `one line with the status ${status}`);
    t.equal(own.length, 1);
  }
  t.same([...new Set(requests.map(({ route }) => route))].sort(), [
    '/b/:token',
    '/health/live',
    '/v1/baskets',
    '/v1/baskets/:id',
    '/v1/confirmations',
    '/v1/items/:itemId',
    '/v1/shops/:shopId',
    'unknown',
  ]);
  t.match(
    lines.filter(({ requestId, msg }) => requestId === broken.headers.get('x-request-id') && msg !== 'request'),
    [{ msg: 'request failed' }],
    'what broke is in the log',
  );

  const signatureOf = (token: string) => token.slice(token.lastIndexOf('.') + 1);
  const secrets = {
    ...service.secrets,
    ...tokens,
    ...Object.fromEntries(Object.entries(tokens).map(([name, token]) => [`signature of ${name}`, signatureOf(token)])),
    startToken,
    confirmation,
    session,
    email,
    'local part of the e-mail': 'anna.secret',
    name: 'Anna Hush',
    subject: 'somebody@staff.example',
    'idempotency key': key['idempotency-key'],
  };
  for (const [what, secret] of Object.entries(secrets)) {
    t.not(secret, '', what);
    t.notOk(written.includes(secret), `${what} is not in the log`);
  }
  t.notOk(/bearer|authorization/i.test(written), 'no header is in the log');
});
