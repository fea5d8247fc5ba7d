import t from 'tap';
import type { ShownBasket } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { api, mintToken, startTestService } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

type ShownKey = { apiKeyId: string; apiKey: string; scopes: string[]; partner: string | null };
type Page = { data: ShownKey[]; nextCursor: string | null };

const items = [{ itemId: 'stalls', quantity: 1 }];
const keys = '/v1/shops/roxy/api-keys';
const shop = await openShop(t);

const wanted = { name: 'booking', scopes: ['baskets:read', 'baskets:write'] };

async function makeKey(more: object = {}, headers: Record<string, string> = {}): Promise<ShownKey> {
  const {
    status,
    body: made,
    text,
  } = await shop.owner.request<ShownKey>('POST', keys, { ...wanted, ...more }, headers);
  if (status !== 201) throw new Error(text);
  return made;
}

t.test(
  'a key is shown once, acts for its shop and partner with its scopes, and is stored as a hash alone',
  async (t) => {
    const made = await makeKey({ partner: 'acme' });
    t.match(made, { apiKeyId: /^key_/, apiKey: /^sk_\d+_[A-Za-z0-9_-]{43}$/, name: 'booking', partner: 'acme' });
    const caller = shop.as(made.apiKey);
    const created = await caller.request<ShownBasket>('POST', '/v1/baskets', { items });
    t.equal(created.status, 201, created.text);
    const { rows } = await shop.service.pool.query('SELECT partner FROM baskets WHERE basket_id = $1', [
      created.body.id,
    ]);
    t.same(rows, [{ partner: 'acme' }]);
    const beyond = await caller.request('PUT', '/v1/events/evt-9', { name: 'x' });
    t.match(beyond, { status: 403, body: { code: 'forbidden' } });

    const { body: page } = await shop.owner.request<Page>('GET', keys);
    t.same(
      page.data.map(({ apiKeyId }) => apiKeyId),
      [made.apiKeyId],
    );
    t.notOk(JSON.stringify(page).includes(made.apiKey));
    const tables = await shop.service.pool.query<{ name: string }>(
      `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`,
    );
    for (const { name } of tables.rows) {
      const stored = await shop.service.pool.query<{ text: string }>(
        `SELECT row_to_json(x)::text AS text FROM ${name} x`,
      );
      t.notOk(
        stored.rows.some(({ text }) => text.includes(made.apiKey.slice(8))),
        name,
      );
    }
  },
);

t.test('keys are listed newest first, page by page', async (t) => {
  const made = [await makeKey(), await makeKey(), await makeKey()].map(({ apiKeyId }) => apiKeyId);
  const first = await shop.owner.request<Page>('GET', `${keys}?limit=2`);
  const second = await shop.owner.request<Page>('GET', `${keys}?limit=2&cursor=${first.body.nextCursor}`);
  const seen = [...first.body.data, ...second.body.data].map(({ apiKeyId }) => apiKeyId);
  t.same(seen.slice(0, 3), made.reverse());
});

t.test('the same idempotency key shows the same API key again, and makes one', async (t) => {
  const first = await makeKey({}, { 'idempotency-key': 'once' });
  const again = await makeKey({}, { 'idempotency-key': 'once' });
  t.same(again, first);
  const { rows } = await shop.service.pool.query('SELECT count(*)::int AS made FROM api_keys WHERE api_key_id = $1', [
    first.apiKeyId,
  ]);
  t.same(rows, [{ made: 1 }]);

  const data = shop.service.config.dataKeys;
  const newest = { kid: 'd2', secret: 'the newest secret that encrypts stored data' };
  const { databaseUrl } = shop.service.config;
  const repeat = async (dataKeys: typeof data) => {
    const { url } = await startTestService(t, { databaseUrl, dataKeys }, shop.service.redisKeyPrefix);
    const owner = api(url, await mintToken({ shop: 'roxy', scope: 'shop:write' }));
    return owner.request('POST', keys, wanted, { 'idempotency-key': 'once' });
  };
  t.match(await repeat([newest, ...data]), { status: 201, body: { apiKey: first.apiKey } }, 'the data key is rotated');
  const unknown = { status: 422, body: { code: 'idempotency_key_reused' } };
  t.match(await repeat([newest]), unknown, 'the old one is gone, and nobody can tell that it is the same request');
});

t.test('a deleted key is refused at once where it was deleted, and within ten seconds everywhere', async (t) => {
  const { databaseUrl } = shop.service.config;
  const replica = await startTestService(t, { databaseUrl }, shop.service.redisKeyPrefix);
  const { apiKeyId, apiKey } = await makeKey();
  const statusAt = async (url: string) => (await api(url, apiKey).request('GET', '/v1/baskets')).status;
  t.equal(await statusAt(replica.url), 200);
  t.equal(await statusAt(shop.service.url), 200);
  const deleted = await shop.owner.request('DELETE', `${keys}/${apiKeyId}`);
  t.match(deleted, { status: 204, text: '' });
  t.equal(await statusAt(shop.service.url), 401);
  await until('the other replica refuses it', 10_000, async () => (await statusAt(replica.url)) === 401);
  const again = () => shop.owner.request('DELETE', `${keys}/${apiKeyId}`);
  await assertRefused(t, shop, 'deleted twice', { status: 404, code: 'not_found' }, again);
});

t.test('what is no key of a shop is a 401', async (t) => {
  const { apiKey } = await makeKey();
  const [, number = '', secret = ''] = /^sk_(\d+)_(.*)$/.exec(apiKey) ?? [];
  const wrong = {
    'another shop’s number': `sk_${Number(number) + 1}_${secret}`,
    'a number of other spelling': `sk_0${number}_${secret}`,
    'a number beyond all shops': `sk_999999999_${secret}`,
    'a number beyond integers': `sk_99999999999999999999_${secret}`,
    'the secret cut': apiKey.slice(0, -1),
    'the secret longer': `${apiKey}A`,
    'the secret padded': `${apiKey}=`,
    capitals: apiKey.toUpperCase(),
    'another secret': `sk_${number}_${'A'.repeat(43)}`,
    'its id': (await makeKey()).apiKeyId,
  };
  for (const [what, token] of Object.entries(wrong)) {
    await assertRefused(t, shop, what, { status: 401, code: 'unauthorized' }, () =>
      shop.as(token).request('GET', '/v1/baskets'),
    );
  }
});

t.test('only the shop itself and the platform manage keys, and nobody grants what goes beyond a shop', async (t) => {
  const platform = shop.as(await mintToken({ scope: 'platform' }));
  t.equal((await platform.request('POST', keys, wanted)).status, 201);

  const partner = await shop.withScope('shop:write', 'acme');
  const other = shop.as(await mintToken({ shop: 'other', scope: 'shop:write' }));
  const refusals: [
    string,
    { status: number; code: 'forbidden' | 'not_found' | 'invalid_request' },
    typeof partner,
    object,
  ][] = [
    ['a partner', { status: 403, code: 'forbidden' }, partner, wanted],
    ['a partner with a bad body', { status: 403, code: 'forbidden' }, partner, {}],
    ['another scope', { status: 403, code: 'forbidden' }, shop.backEnd, wanted],
    ['another shop', { status: 404, code: 'not_found' }, other, wanted],
    ['another shop with a bad body', { status: 404, code: 'not_found' }, other, {}],
    ['the scope platform', { status: 400, code: 'invalid_request' }, shop.owner, { ...wanted, scopes: ['platform'] }],
    ['an unknown scope', { status: 400, code: 'invalid_request' }, shop.owner, { ...wanted, scopes: ['all'] }],
    ['no scope', { status: 400, code: 'invalid_request' }, shop.owner, { ...wanted, scopes: [] }],
    [
      'a scope twice',
      { status: 400, code: 'invalid_request' },
      shop.owner,
      { ...wanted, scopes: ['baskets:read', 'baskets:read'] },
    ],
    ['no name', { status: 400, code: 'invalid_request' }, shop.owner, { scopes: ['baskets:read'] }],
    ['a partner that is no id', { status: 400, code: 'invalid_request' }, shop.owner, { ...wanted, partner: 'a b' }],
  ];
  for (const [what, expected, client, body] of refusals) {
    await assertRefused(t, shop, what, expected, () => client.request('POST', keys, body));
  }
  const { apiKeyId } = await makeKey();
  for (const client of [partner, other]) {
    const expected =
      client === partner ? { status: 403, code: 'forbidden' as const } : { status: 404, code: 'not_found' as const };
    await assertRefused(t, shop, 'listing', expected, () => client.request('GET', keys));
    await assertRefused(t, shop, 'deleting', expected, () => client.request('DELETE', `${keys}/${apiKeyId}`));
  }
});

t.test('a key may manage keys where it has shop:write, of its own shop alone', async (t) => {
  const { apiKey } = await makeKey({ scopes: ['shop:write'] });
  const caller = shop.as(apiKey);
  t.equal((await caller.request('GET', keys)).status, 200);
  const unknown = await caller.request('GET', '/v1/shops/other/api-keys');
  t.match(unknown, { status: 404, body: { code: 'not_found' } });
});

t.test('a shop that does not exist has no keys', async (t) => {
  const platform = shop.as(await mintToken({ scope: 'platform' }));
  const nowhere = '/v1/shops/nowhere/api-keys';
  const expected = { status: 404, code: 'not_found' } as const;
  await assertRefused(t, shop, 'listing', expected, () => platform.request('GET', nowhere));
  await assertRefused(t, shop, 'making one', expected, () => platform.request('POST', nowhere, wanted));
});
