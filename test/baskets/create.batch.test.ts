import t from 'tap';
import { audit } from '../support/audit.ts';
import { type Created, patiently, putItem, type ShownProblem } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { api, mintToken, startTestService } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

type Result = { status: number; basket?: Created; problem?: ShownProblem };

const shop = await openShop(t, { settings: { basket: { maxLiveBasketsPerCustomer: 3 } } });
const { pool } = shop.service;
const send = (baskets: unknown, key?: string, client = shop.backEnd) =>
  client.request<{ results: Result[] }>(
    'POST',
    '/v1/baskets/batch',
    { baskets },
    key === undefined ? {} : { 'idempotency-key': key },
  );
const one = (itemId: string, more: object = {}) => ({ items: [{ itemId, quantity: 1 }], ...more });
const statusesOf = (results: readonly Result[]) => results.map(({ status }) => status);
const codesOf = (results: readonly Result[]) => results.map(({ basket, problem }) => problem?.code ?? basket?.status);
const howMany = async () => Number((await pool.query<{ n: string }>('SELECT count(*) AS n FROM baskets')).rows[0]?.n);

t.test('each entry of a batch is created or refused on its own, as if it had come alone', async (t) => {
  await putItem(shop, 'last', 1);
  const before = await howMany();
  const { status, body } = await send([
    one('stalls', { reference: 'r-0' }),
    { ...one('stalls'), evil: 1 },
    one('nothing'),
    { items: [{ itemId: 'stalls', quantity: '2' }] },
    one('last', { customer: { id: 'cus-1' } }),
    one('last', { customer: { id: 'cus-1' } }),
    null,
    [],
    one('stalls', { successRedirectUrl: 'https://evil.example/' }),
    one('stalls', { reference: 'r-9', generateBasketUrl: false }),
  ]);
  t.equal(status, 200);
  t.same(codesOf(body.results), [
    'open',
    'invalid_request',
    'unknown_item',
    'invalid_request',
    'open',
    'insufficient_stock',
    'invalid_request',
    'invalid_request',
    'redirect_not_allowed',
    'open',
  ]);
  t.same(statusesOf(body.results), [201, 400, 422, 400, 201, 409, 400, 400, 422, 201]);
  t.match(body.results[0]?.basket, { startBasketUrl: /\/b\//, reference: 'r-0' });
  t.match(body.results[9]?.basket, { startBasketUrl: undefined, reference: 'r-9' });
  t.match(body.results[1]?.problem, { errors: [{ pointer: '/evil' }] }, 'what is wrong is told within the entry');
  t.match(body.results[3]?.problem, { errors: [{ pointer: '/items/0/quantity' }] });
  t.match(body.results[5]?.problem, { errors: [{ itemId: 'last', requested: 1, available: 0 }] });
  t.equal(await howMany(), before + 3);
  await audit(pool);
});

t.test('a retry finishes what was refused and gives again what was made', async (t) => {
  await putItem(shop, 'scarce', 1);
  const baskets = [one('scarce'), one('scarce'), one('stalls')];
  const first = await send(baskets, 'mailing');
  t.same(statusesOf(first.body.results).sort(), [201, 201, 409]);
  t.equal(first.headers.get('idempotent-replayed'), null);
  await putItem(shop, 'scarce', 2);
  const refused = first.body.results.findIndex(({ status }) => status === 409);
  const second = await send(baskets, 'mailing');
  t.same(statusesOf(second.body.results), [201, 201, 201]);
  for (const at of [0, 1, 2].filter((at) => at !== refused)) {
    t.same(second.body.results[at], first.body.results[at], 'what was made is given again');
  }
  t.equal(second.headers.get('idempotent-replayed'), null, 'something was done');
  const before = await howMany();
  const third = await send(baskets, '"mailing"');
  t.equal(third.text, second.text, 'the same bytes');
  t.equal(third.headers.get('idempotent-replayed'), 'true');
  const changed = await send([one('scarce'), one('scarce', { reference: 'another' }), one('stalls')], 'mailing');
  t.same(codesOf(changed.body.results), ['open', 'idempotency_key_reused', 'open']);
  t.equal(await howMany(), before, 'nothing was made a second time');
  await audit(pool);
});

t.test('the limit of a customer’s live baskets holds within a batch', async (t) => {
  const { body } = await send(Array.from({ length: 10 }, () => one('stalls', { customer: { id: 'cus-2' } })));
  t.same(codesOf(body.results), [...Array(3).fill('open'), ...Array(7).fill('live_basket_limit')]);
});

t.test('five hundred baskets are made in one call, and not one more than there is stock for', async (t) => {
  await putItem(shop, 'crowded', 499);
  // As large as a batch may be and a single creation may not.
  const baskets = Array.from({ length: 500 }, (_, at) => one('crowded', { custom: { at, text: 'x'.repeat(150) } }));
  // On a busy machine what is not done in time is told to come again.
  const { body } = await until('all are done', 20_000, async () => {
    const answer = await patiently(() => send(baskets, 'crowd'));
    return !codesOf(answer.body.results).includes('unavailable') && answer;
  });
  t.equal(statusesOf(body.results).filter((status) => status === 201).length, 499);
  t.equal(codesOf(body.results).filter((code) => code === 'insufficient_stock').length, 1);
  for (const [at, { basket }] of body.results.entries()) {
    if (basket) t.match(basket, { custom: { at } }, 'in the order in which they were sent');
  }
  t.match(await shop.availability('crowded'), { held: 499, available: 0 });
  await audit(pool);
});

t.test('a batch that is none is refused as a whole', async (t) => {
  const refuses = (what: string, body: unknown, status: 400 | 413 = 400) =>
    assertRefused(t, shop, what, { status, code: status === 400 ? 'invalid_request' : 'payload_too_large' }, () =>
      shop.backEnd.request('POST', '/v1/baskets/batch', body, { 'idempotency-key': 'none' }),
    );
  await refuses('no entry', { baskets: [] });
  await refuses('501 entries', { baskets: Array.from({ length: 501 }, () => one('stalls')) });
  await refuses('no list', { baskets: one('stalls') });
  await refuses('nothing', {});
  await refuses('a list', [one('stalls')]);
  await refuses('an unknown property', { baskets: [one('stalls')], evil: 1 });
  await refuses('more than 1 MiB', { baskets: [one('stalls', { custom: { text: 'x'.repeat(1024 * 1024) } })] }, 413);
});

t.test('a batch counts as so many calls', async (t) => {
  const { databaseUrl } = shop.service.config;
  const limited = await startTestService(t, { databaseUrl, rateLimitMax: 5 }, shop.service.redisKeyPrefix);
  const client = api(limited.url, await mintToken({ shop: shop.shopId, scope: 'baskets:write', sub: 'batch' }));
  const first = await send([one('stalls'), one('stalls'), one('stalls')], undefined, client);
  t.equal(first.status, 200);
  t.equal(first.headers.get('ratelimit-remaining'), '2');
  const expected = { status: 429, code: 'rate_limited' } as const;
  const refused = await assertRefused(t, { service: limited }, 'three more', expected, () =>
    send([one('stalls'), one('stalls'), one('stalls')], undefined, client),
  );
  t.ok(Number(refused.headers.get('retry-after')) > 50);
  t.equal(refused.headers.get('ratelimit-remaining'), '0');
});

t.test('a batch that Postgres keeps waiting is answered in time, and a retry makes each basket once', async (t) => {
  await putItem(shop, 'locked', 200);
  const baskets = Array.from({ length: 160 }, (_, at) => one('locked', { reference: `r-${at}` }));
  const stuck = await pool.connect();
  await stuck.query('BEGIN');
  await stuck.query(`SELECT FROM stock WHERE shop_id = 'roxy' AND stock_id = 'item:locked' FOR UPDATE`);
  const startedMs = performance.now();
  const waiting = await send(baskets, 'waiting');
  const tookMs = performance.now() - startedMs;
  await stuck.query('ROLLBACK');
  stuck.release();
  t.ok(tookMs < 5000, `${tookMs} ms`);
  t.equal(waiting.status, 200);
  t.same(new Set(codesOf(waiting.body.results)), new Set(['unavailable']));

  const again = await send(baskets, 'waiting');
  t.same(new Set(statusesOf(again.body.results)), new Set([201]));
  t.match(await shop.availability('locked'), { held: 160 });
  await audit(pool);
});
