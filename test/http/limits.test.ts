import t from 'tap';
import { activate, complete, createBasket, redeem } from '../support/journey.ts';
import { closedRedisUrl, plainRedisUrl } from '../support/redis.ts';
import { assertRefused } from '../support/refusal.ts';
import { api, mintToken, startTestService, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const rateLimitMax = 5;
const reader = { shop: 'roxy', scope: 'baskets:read', sub: 'reader' };
type Client = ReturnType<typeof api>;
const read = (client: Client) => client.request<{ code?: string }>('GET', '/v1/baskets');

/** The statuses of so many calls, one after the other. */
async function statuses(client: Client, calls: number): Promise<number[]> {
  const seen: number[] = [];
  for (let call = 0; call < calls; call += 1) seen.push((await read(client)).status);
  return seen;
}
const isMostOfAMinute = (seconds: unknown) => Number(seconds) > 50 && Number(seconds) <= 60;
const allowed = Array<number>(rateLimitMax).fill(200);

t.test('a credential is refused beyond its calls a minute, is told when to come back, and others go on', async (t) => {
  const shop = await openShop(t, { config: { rateLimitMax: 50 } });
  const limited = await startTestService(
    t,
    { databaseUrl: shop.service.config.databaseUrl, rateLimitMax },
    shop.service.redisKeyPrefix,
  );
  const client = api(limited.url, await mintToken(reader));
  const first = await read(client);
  t.equal(first.headers.get('ratelimit-limit'), '5');
  t.equal(first.headers.get('ratelimit-remaining'), '4');
  t.ok(isMostOfAMinute(first.headers.get('ratelimit-reset')));
  t.same(await statuses(client, rateLimitMax - 1), allowed.slice(1));
  const refused = await assertRefused(t, { service: limited }, 'the sixth', { status: 429, code: 'rate_limited' }, () =>
    read(client),
  );
  t.ok(isMostOfAMinute(refused.headers.get('retry-after')));
  t.equal(refused.headers.get('ratelimit-remaining'), '0');

  const anew = api(limited.url, await mintToken({ ...reader, scope: 'baskets:read orders:write' }));
  t.equal((await read(anew)).status, 429, 'a new token of the same subject');
  for (const other of [
    { ...reader, sub: 'another' },
    { ...reader, partner: 'acme' },
    { ...reader, shop: 'other' },
  ]) {
    t.equal((await read(api(limited.url, await mintToken(other)))).status, 200, JSON.stringify(other));
  }
  t.equal((await visit(`${limited.url}/health/ready`, {})).status, 200);
});

t.test('what follows on a payment or a click is never limited', async (t) => {
  const shop = await openShop(t, { config: { rateLimitMax } });
  for (let round = 0; round < rateLimitMax + 2; round += 1) {
    const backEnd = await shop.withScope(`baskets:write ${'catalogue:read '.repeat(round)}`);
    const { id, startBasketUrl } = await createBasket(shop, {}, backEnd);
    await activate(shop, startBasketUrl);
    t.equal((await complete(shop, id, { orderId: `order-${round}` })).status, 200);
    t.equal((await shop.payments.request('POST', `/v1/baskets/${id}/refund`)).status, 200);
    t.equal((await redeem(shop, 'no token')).status, 404);
  }
});

t.test('replicas count together', async (t) => {
  const shop = await openShop(t, { config: { rateLimitMax } });
  const { databaseUrl } = shop.service.config;
  const other = await startTestService(t, { databaseUrl, rateLimitMax }, shop.service.redisKeyPrefix);
  let round = 0;
  // One whose event loop was kept busy believes for a second that Redis is away, and counts alone: then it is tried again.
  const seen = await until('both ask Redis all the time', 20_000, async () => {
    round += 1;
    const token = await mintToken({ ...reader, sub: `round-${round}` });
    const here = await statuses(api(shop.service.url, token), 3);
    const there = await statuses(api(other.url, token), 3);
    return there.includes(429) && { here, there };
  });
  t.same(seen, { here: [200, 200, 200], there: [200, 200, 429] });
});

t.test('without Redis a replica counts alone, from what it has counted before', async (t) => {
  const away = await openShop(t, { config: { rateLimitMax, redisUrl: closedRedisUrl } });
  t.same(await statuses(away.as(await mintToken(reader)), rateLimitMax + 1), [...allowed, 429]);

  const proxy = await startTcpProxy(t, plainRedisUrl());
  const losing = await openShop(t, { config: { rateLimitMax, redisUrl: proxy.url } });
  const client = losing.as(await mintToken(reader));
  t.same(await statuses(client, 3), [200, 200, 200]);
  proxy.setReplies('hang');
  t.same(await statuses(client, 3), [200, 200, 429], 'while Redis hangs');
});

t.test('what a replica counted without Redis counts for all once Redis is back', async (t) => {
  const proxy = await startTcpProxy(t, plainRedisUrl());
  const losing = await openShop(t, { config: { rateLimitMax, redisUrl: proxy.url } });
  const config = { rateLimitMax, databaseUrl: losing.service.config.databaseUrl, redisUrl: plainRedisUrl() };
  const other = await startTestService(t, config, losing.service.redisKeyPrefix);
  const isAsked = async ({ redis }: typeof other) => (await redis.count('rate:probe', 1000, 1)) !== null;
  const token = await mintToken(reader);
  const client = losing.as(token);
  proxy.setTarget(closedRedisUrl);
  await until('Redis is away', 5000, async () => !(await isAsked(losing.service)));
  t.same(await statuses(client, 3), [200, 200, 200], 'alone');
  proxy.setTarget(plainRedisUrl());
  for (const service of [losing.service, other]) await until('Redis is asked', 5000, () => isAsked(service));
  t.same(await statuses(client, 1), [200]);
  t.same(await statuses(api(other.url, token), 2), [200, 429]);
});

t.test('0 is no limit', async (t) => {
  const shop = await openShop(t, { config: { rateLimitMax: 0, rateLimitClicks: 0 } });
  const client = shop.as(await mintToken(reader));
  t.same(new Set(await statuses(client, 50)), new Set([200]));
  t.equal((await read(client)).headers.get('ratelimit-limit'), null);
  for (let opened = 0; opened < 70; opened += 1) await visit(`${shop.service.url}/b/guess`, {});
  t.equal((await visit(`${shop.service.url}/b/guess`, {})).status, 403);
});

t.test('an address that opens invalid links is slowed down, and its valid links work all the time', async (t) => {
  const shop = await openShop(t, { config: { rateLimitClicks: 10, trustProxy: '127.0.0.1' } });
  const { startBasketUrl } = await createBasket(shop);
  const from = (address: string, more: Record<string, string> = {}) => ({ 'x-forwarded-for': address, ...more });
  const guess = (address: string, more: Record<string, string> = {}) =>
    visit(`${shop.service.url}/b/${'A'.repeat(70)}`, from(address, more));
  for (let guesses = 0; guesses < 10; guesses += 1) t.equal((await guess('203.0.113.7')).status, 403);
  const limited = await guess('203.0.113.7', { accept: 'application/json' });
  t.match(limited, { status: 429, text: /rate_limited/ });
  t.ok(isMostOfAMinute(limited.headers['retry-after']));
  const inBrowser = await guess('203.0.113.7', { accept: 'text/html' });
  t.match(inBrowser, { status: 429, text: /^<!doctype html>/i });
  t.ok('retry-after' in inBrowser.headers);
  const laravel = await visit(`${shop.service.url}/basket/start/x?signature=1`, from('203.0.113.7'));
  t.equal(laravel.status, 429, 'in the other format, too');
  t.equal((await visit(startBasketUrl, from('203.0.113.7'))).status, 200, 'a valid link');
  t.equal((await guess('203.0.113.8')).status, 403, 'another address');

  for (let guesses = 0; guesses < 10; guesses += 1) await guess(`2001:db8::${guesses}`);
  t.equal((await guess('2001:db8::ffff')).status, 429, 'addresses of one /64 are one');
  t.equal((await guess('2001:db8:0:1::1')).status, 403, 'another /64');
});

t.test(
  'an address is whose connection it is: what a caller says of it counts only if a proxy is trusted',
  async (t) => {
    for (const trustProxy of [false, '203.0.113.0/24'] as const) {
      const shop = await openShop(t, { config: { rateLimitClicks: 3, trustProxy } });
      const guess = (at: number) =>
        visit(`${shop.service.url}/b/${'A'.repeat(70)}`, {
          'x-forwarded-for': `198.51.100.${at}`,
          forwarded: `for=198.51.100.${at}`,
          'x-real-ip': `198.51.100.${at}`,
        });
      const seen: number[] = [];
      for (let guesses = 0; guesses < 5; guesses += 1) seen.push((await guess(guesses)).status);
      t.same(seen, [403, 403, 403, 429, 429], `trusted: ${trustProxy}`);
    }
  },
);
