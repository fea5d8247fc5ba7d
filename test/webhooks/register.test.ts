import t from 'tap';
import type { ProblemCode } from '../../src/errors.ts';
import { deriveKeyring, seal, sealPurpose, unseal } from '../../src/platform/crypto.ts';
import { assertRefused, contentsOf } from '../support/refusal.ts';
import { api, mintToken, startTestService } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

type Shown = {
  webhookId: string;
  url: string;
  types: string[];
  format: string;
  status: string;
  disabledAt: string | null;
  disabledReason: string | null;
  secret?: string;
};
type Page = { data: Shown[]; nextCursor: string | null };

const shop = await openShop(t);
const { pool, config } = shop.service;
const owner = await shop.withScope('webhooks:write');
const url = 'https://receiver.example/hooks';

async function put(webhookId: string, body: object = { url }, client = owner): Promise<Shown> {
  const answer = await client.request<Shown>('PUT', `/v1/webhooks/${webhookId}`, body);
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.body;
}
const read = async (webhookId: string, client = owner) =>
  (await client.request<Shown>('GET', `/v1/webhooks/${webhookId}`)).body;

/** All that the database holds, as text. */
async function everythingStored(): Promise<string> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`,
  );
  const kept: string[] = [];
  for (const { name } of rows) {
    const { rows: texts } = await pool.query<{ text: string }>(`SELECT row_to_json(x)::text AS text FROM ${name} x`);
    kept.push(...texts.map(({ text }) => text));
  }
  return kept.join('\n');
}

t.test('a webhook begins with all types in the standard format, and is read, listed and deleted', async (t) => {
  const { secret, ...made } = await put('first');
  t.match(made, {
    ...{ webhookId: 'first', url, types: ['*'], format: 'standard', status: 'enabled' },
    ...{ disabledAt: null, disabledReason: null, failingSince: null, createdAt: /Z$/, updatedAt: /Z$/ },
  });
  t.match(secret, /^whsec_[A-Za-z0-9+/]{32}$/);
  t.same(await read('first'), made);

  for (const webhookId of ['second', 'third']) await put(webhookId);
  const first = await owner.request<Page>('GET', '/v1/webhooks?limit=2');
  const rest = await owner.request<Page>('GET', `/v1/webhooks?limit=2&cursor=${first.body.nextCursor}`);
  const ids = [...first.body.data, ...rest.body.data].map(({ webhookId }) => webhookId);
  t.same(ids, ['third', 'second', 'first']);
  t.equal(rest.body.nextCursor, null);

  for (const webhookId of ids) {
    t.match(await owner.request('DELETE', `/v1/webhooks/${webhookId}`), { status: 204, text: '' });
    const missing = { status: 404, code: 'not_found' } as const;
    for (const method of ['GET', 'DELETE']) {
      await assertRefused(t, shop, method, missing, () => owner.request(method, `/v1/webhooks/${webhookId}`));
    }
  }
  t.not((await put('first')).secret, secret, 'another under the same id has a secret of its own');
});

t.test('a secret is shown when it is made and never again, and is stored encrypted alone', async (t) => {
  const secrets: string[] = [];
  const key = { 'idempotency-key': 'rotate-1' };
  const rotate = () => owner.request<Required<Shown>>('POST', '/v1/webhooks/secretive/rotate-secret', {}, key);
  secrets.push((await put('secretive')).secret ?? '');
  const { status, body: rotated } = await rotate();
  t.equal(status, 200);
  secrets.push(rotated.secret);
  t.equal(new Set(secrets).size, 2);
  t.equal((await rotate()).body.secret, rotated.secret, 'to whoever repeats the call that made it');

  const shown = [
    await put('secretive', { url, types: ['basket.completed'] }),
    await read('secretive'),
    (await owner.request('GET', '/v1/webhooks')).body,
    (await owner.request('GET', '/v1/webhooks/secretive/deliveries')).body,
  ];
  const stored = await everythingStored();
  for (const secret of secrets) {
    t.match(secret, /^whsec_/);
    t.notOk(JSON.stringify(shown).includes(secret));
    const bytes = Buffer.from(secret.slice('whsec_'.length), 'base64');
    for (const spelling of [secret.slice('whsec_'.length), bytes.toString('hex'), bytes.toString('base64url')]) {
      t.notOk(stored.includes(spelling));
    }
  }
  const { rows } = await pool.query<{ secret: string; former: string }>(
    `SELECT sealed_secret AS secret, former_sealed_secret AS former FROM webhooks WHERE webhook_id = 'secretive'`,
  );
  const keys = deriveKeyring(config.dataKeys, sealPurpose);
  const opened = [await unseal(keys, rows[0]?.former ?? ''), await unseal(keys, rows[0]?.secret ?? '')];
  t.same(opened, secrets, 'it can be opened to sign with');
});

t.test('putting a webhook again changes it and enables it, and keeps its secret', async (t) => {
  const { secret, ...made } = await put('again');
  const stored = async () => (await pool.query(`SELECT sealed_secret FROM webhooks WHERE webhook_id = 'again'`)).rows;
  const before = await stored();
  await pool.query(
    `UPDATE webhooks SET disabled_at = now(), disabled_reason = 'gone', failing_since = now() WHERE webhook_id = 'again'`,
  );
  t.match(await read('again'), { status: 'disabled', disabledReason: 'gone', disabledAt: /Z$/, failingSince: /Z$/ });
  const changed = await put('again', { url: `${url}/2`, types: ['basket.completed', 'event.cancelled'] });
  t.match(changed, { ...made, url: `${url}/2`, types: ['basket.completed', 'event.cancelled'], updatedAt: /Z$/ });
  t.equal('secret' in changed, false);
  t.same(await stored(), before);
  t.same(await read('again'), changed);
});

t.test('a partner has webhooks of its own, under ids of its own', async (t) => {
  const clients = {
    shop: owner,
    acme: await shop.withScope('webhooks:write', 'acme'),
    other: await shop.withScope('webhooks:write', 'other'),
  };
  for (const [who, client] of Object.entries(clients)) await put('mine', { url: `${url}/${who}` }, client);
  for (const [who, client] of Object.entries(clients)) {
    t.equal((await read('mine', client)).url, `${url}/${who}`);
    const { data } = (await client.request<Page>('GET', '/v1/webhooks?limit=100')).body;
    const seen = data.filter(({ webhookId }) => webhookId === 'mine').map((webhook) => webhook.url);
    t.same(seen, [`${url}/${who}`], who);
  }
  await put('theirs', { url }, clients.acme);
  const missing = { status: 404, code: 'not_found' } as const;
  for (const [who, client] of Object.entries({ shop: clients.shop, other: clients.other })) {
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/rotate-secret'],
      ['POST', '/test'],
      ['GET', '/deliveries'],
      ['POST', '/deliveries/dlv_01h455vb4pex5vsknk084sn02q/retry'],
    ] as const) {
      const send = () => client.request(method, `/v1/webhooks/theirs${path}`);
      await assertRefused(t, shop, `${who}: ${method} ${path}`, missing, send);
    }
    const since = { since: '2026-01-01T00:00:00.000Z' };
    await assertRefused(t, shop, who, missing, () => client.request('POST', '/v1/webhooks/theirs/retry', since));
  }
  t.equal((await clients.acme.request('DELETE', '/v1/webhooks/mine')).status, 204);
  t.equal((await read('mine')).url, `${url}/shop`, 'deleting one leaves the others');

  const { body: first } = await owner.request<Page>('GET', '/v1/webhooks?limit=1');
  const elsewhere = () => clients.acme.request('GET', `/v1/webhooks?limit=1&cursor=${first.nextCursor}`);
  await assertRefused(t, shop, 'the cursor of another', { status: 400, code: 'invalid_cursor' }, elsewhere);
});

t.test('the shop and each partner may have twenty, also when many are put at once', async (t) => {
  const many = await shop.withScope('webhooks:write', 'many');
  const answers = await Promise.all(
    Array.from({ length: 25 }, (_, nth) => many.request('PUT', `/v1/webhooks/nth-${nth}`, { url })),
  );
  t.equal(answers.filter(({ status }) => status === 200).length, 20);
  const refused = { status: 422, code: 'webhook_limit' } as const;
  await assertRefused(t, shop, 'one more', refused, () => many.request('PUT', '/v1/webhooks/more', { url }));
  const { data } = (await many.request<Page>('GET', '/v1/webhooks?limit=100')).body;
  await put(data[0]?.webhookId ?? '', { url: `${url}/changed` }, many);
  await many.request('DELETE', `/v1/webhooks/${data[1]?.webhookId}`);
  await put('more', { url }, many);
});

t.test('only URLs of public hosts are taken, on ports that are for the web', async (t) => {
  const refused = [
    ...['http://receiver.example/', 'ftp://receiver.example/', 'javascript:alert(1)', 'data:,x', 'file:///etc/passwd'],
    ...[
      'receiver.example/hooks',
      '/hooks',
      '//receiver.example/',
      'https:receiver.example',
      'https:///receiver.example',
    ],
    ...['', ' https://receiver.example/', 'https://receiver.example/ ', 'ht\ntps://receiver.example/', 'https://'],
    ...['https://receiver.example\\@evil.example/', 'https://receiver.example\\.evil.example/', 'https://a b.example/'],
    ...['https://user@receiver.example/', 'https://user:word@receiver.example/', 'https://@receiver.example/'],
    ...['https://:@receiver.example/', 'https://receiver.example/#fragment', 'https://receiver.example/\u0007'],
    ...['https://localhost/', 'https://localhost./', 'https://LOCALHOST/', 'https://a.localhost/', 'https://printer/'],
    ...['https://printer.local/', 'https://metadata.google.internal/', 'https://metadata.google.internal./'],
    ...['https://127.0.0.1/', 'https://127.1/', 'https://2130706433/', 'https://0x7f.0.0.1/', 'https://017700000001/'],
    ...['https://0.0.0.0/', 'https://0/', 'https://10.0.0.1/', 'https://172.16.0.1/', 'https://172.31.255.255/'],
    ...['https://192.168.1.1/', 'https://100.64.0.1/', 'https://100.100.100.200/', 'https://169.254.169.254/'],
    ...[
      'https://198.18.0.1/',
      'https://192.0.0.1/',
      'https://192.0.2.1/',
      'https://203.0.113.1/',
      'https://224.0.0.1/',
    ],
    ...['https://240.0.0.1/', 'https://255.255.255.255/', 'https://①②⑦.⓪.⓪.①/', 'https://127。0。0。1/'],
    ...[
      'https://[::1]/',
      'https://[::]/',
      'https://[::ffff:127.0.0.1]/',
      'https://[::127.0.0.1]/',
      'https://[fd00::1]/',
    ],
    ...['https://[fe80::1]/', 'https://[fe80::1%25eth0]/', 'https://[64:ff9b::7f00:1]/', 'https://[2002:7f00:1::]/'],
    ...['https://[2001:0:7f00:1::]/', 'https://[fd00:ec2::254]/', 'https://[2001:db8::1]/', 'https://[ff02::1]/'],
    ...['https://999.1.1.1/', 'https://receiver.example:0/', 'https://receiver.example:65536/'],
    ...[22, 25, 53, 444, 1023, 3306, 5432, 6379, 9200, 11211, 27017].map((port) => `https://receiver.example:${port}/`),
  ];
  const expected = { status: 422, code: 'webhook_url_not_allowed' as ProblemCode };
  const before = await contentsOf(pool);
  for (const one of refused) {
    const { status, body } = await owner.request('PUT', '/v1/webhooks/urls', { url: one });
    t.match({ status, body }, { status: expected.status, body: { code: expected.code } }, JSON.stringify(one));
  }
  t.same(await contentsOf(pool), before, 'nothing is written');
  await put('urls');
  await assertRefused(t, shop, 'changing to one', expected, () =>
    owner.request('PUT', '/v1/webhooks/urls', { url: 'https://169.254.169.254/latest' }),
  );

  const taken: Record<string, string> = {
    'https://receiver.example': 'https://receiver.example/',
    'HTTPS://Receiver.Example:443/a/../b?c=d': 'https://receiver.example/b?c=d',
    'https://receiver.example:80/': 'https://receiver.example:80/',
    'https://receiver.example:8443/a@b': 'https://receiver.example:8443/a@b',
    'https://ⓡeceiver。example/': 'https://receiver.example/',
    'https://bücher.example/': 'https://xn--bcher-kva.example/',
    'https://8.8.8.8/': 'https://8.8.8.8/',
    'https://134744072/': 'https://8.8.8.8/',
    'https://[2606:4700::1111]/': 'https://[2606:4700::1111]/',
  };
  for (const [given, kept] of Object.entries(taken)) t.equal((await put('urls', { url: given })).url, kept);
});

t.test('what is no webhook is a 400 that names the place, and writes nothing', async (t) => {
  const bodies: [string, unknown][] = [
    ['', {}],
    ['', '{'],
    ['/url', { url: null }],
    ['/url', { url: `https://receiver.example/${'a'.repeat(2048)}` }],
    ['/types', { url, types: [] }],
    ['/types', { url, types: '*' }],
    ['/types', { url, types: ['*', '*'] }],
    ['/types/0', { url, types: ['basket.*'] }],
    ['/types/1', { url, types: ['*', 'basket.renamed'] }],
    ['/types/0', { url, types: ['webhook.disabled'] }],
    ['/types/0', { url, types: ['webhook.test'] }],
    ['/format', { url, format: 'xml' }],
    ['/secret', { url, secret: 'whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgc2Vj' }],
    ['/status', { url, status: 'enabled' }],
  ];
  for (const [pointer, body] of bodies) {
    const what = JSON.stringify(body).slice(0, 80);
    const { status } = await owner.request('PUT', '/v1/webhooks/bad', body);
    const code = body === '{' ? 'invalid_json' : 'invalid_request';
    const answer = await assertRefused(t, shop, what, { status, code }, () =>
      owner.request('PUT', '/v1/webhooks/bad', body),
    );
    t.equal(status, 400, what);
    if (pointer !== '') t.match(answer.body, { errors: [{ pointer }] }, what);
  }
  const noId = { status: 400, code: 'invalid_request' } as const;
  await assertRefused(t, shop, 'no id', noId, () => owner.request('PUT', '/v1/webhooks/a%20b', { url }));
  for (const body of [{ evil: 1 }, { since: null }, { since: 'yesterday' }, {}]) {
    const send = () => owner.request('POST', '/v1/webhooks/urls/retry', body);
    await assertRefused(t, shop, JSON.stringify(body), { status: 400, code: 'invalid_request' }, send);
  }
});

t.test('secrets outlive the key that they were encrypted with, once a service has started with another', async (t) => {
  const { secret } = await put('rotated');
  const { secret: newer } = (await owner.request<Required<Shown>>('POST', '/v1/webhooks/rotated/rotate-secret')).body;
  const lost = await seal(deriveKeyring([{ kid: 'gone', secret: 'a key that nobody has any more' }], sealPurpose), 'x');
  await put('lost');
  await pool.query(`UPDATE webhooks SET sealed_secret = $1 WHERE webhook_id = 'lost'`, [lost]);

  const newest = { kid: 'd2', secret: 'the newest secret that encrypts stored data' };
  const { databaseUrl, dataKeys } = config;
  await startTestService(t, { databaseUrl, dataKeys: [newest, ...dataKeys] }, shop.service.redisKeyPrefix);
  const { rows } = await pool.query<Record<'webhookId' | 'secret' | 'former', string>>(
    `SELECT webhook_id AS "webhookId", sealed_secret AS secret, former_sealed_secret AS former FROM webhooks`,
  );
  const of = (webhookId: string) => rows.find((row) => row.webhookId === webhookId);
  const alone = deriveKeyring([newest], sealPurpose);
  t.equal(await unseal(alone, of('rotated')?.secret ?? ''), newer);
  t.equal(await unseal(alone, of('rotated')?.former ?? ''), secret);
  t.equal(of('lost')?.secret, lost, 'what no key opens is left as it is');
});

t.test('whoever may not work on webhooks does not', async (t) => {
  const expected = { status: 403, code: 'forbidden' } as const;
  for (const client of [shop.owner, shop.backEnd, api(shop.service.url, await mintToken({ scope: 'platform' }))]) {
    await assertRefused(t, shop, 'another scope', expected, () => client.request('PUT', '/v1/webhooks/x', { url }));
  }
});
