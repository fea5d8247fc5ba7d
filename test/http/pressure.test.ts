import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { complete, createBasket, openBasket, pressLink, redeem } from '../support/journey.ts';
import { api, browserHeaders, mintToken, startTestService, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

const maxEventLoopDelayMs = 80;
const blockedMs = 150;

const shop = await openShop(t);
const { databaseUrl } = shop.service.config;
/** A second replica, with a limit; starting it made the event loop late, too. */
const limited = await startTestService(t, { databaseUrl, maxEventLoopDelayMs }, shop.service.redisKeyPrefix);
const list = async ({ url }: { url: string }) =>
  api(url, await mintToken({ shop: shop.shopId, scope: 'baskets:read' })).request<{ code?: string }>(
    'GET',
    '/v1/baskets',
  );
const isServing = () => until('it serves', 20_000, async () => (await list(limited)).status === 200);
const whenRefusing = () =>
  until('it refuses', 60_000, async () => {
    const answer = await list(limited);
    return answer.status === 503 && answer;
  });
await isServing();
/** What waits for Postgres in such a process may run out of its time, too, but not again and again. */
const isServed = (what: string, call: () => Promise<{ status: number }>) =>
  until(`${what} is served`, 60_000, async () => (await call()).status === 200);

/** Keeps the event loop, which is the service's too, busy in long pieces while `work` goes on. */
async function underPressure<T>(work: () => Promise<T>): Promise<T> {
  let isDone = false;
  const result = work().finally(() => {
    isDone = true;
  });
  while (!isDone) {
    const endMs = performance.now() + blockedMs;
    while (performance.now() < endMs);
    await nextTurn();
  }
  return result;
}

t.test('a service whose event loop is too late refuses with Retry-After, and serves again by itself', async (t) => {
  const { startBasketUrl } = await createBasket(shop);
  const link = new URL(new URL(startBasketUrl).pathname, limited.url).href;
  const { refused, page } = await underPressure(async () => ({
    refused: await whenRefusing(),
    page: await visit(link, browserHeaders),
  }));
  t.match(refused.body, { code: 'unavailable' });
  t.match(refused.headers.get('retry-after'), /^\d+$/);
  t.equal(page.status, 503, 'a link, too');
  await isServing();
  t.equal((await visit(link, browserHeaders)).status, 303);
});

t.test('probes, redemptions and completions are served under any pressure', async (t) => {
  const { id: paying } = await openBasket(shop);
  const token = await pressLink((await createBasket(shop)).startBasketUrl);
  const at = async (scope: string) => api(limited.url, await mintToken({ shop: shop.shopId, scope }));
  const [frontEnd, payments] = [await at('confirmations:redeem'), await at('orders:write')];
  const last = await underPressure(async () => {
    await whenRefusing();
    await isServed('the probe', () => visit(`${limited.url}/health/live`));
    await isServed('the metrics page', () => visit(`${limited.url}/metrics`));
    await isServed('the redemption', () => redeem({ ...shop, frontEnd }, token, {}, { 'idempotency-key': 'redeem' }));
    await isServed('the completion', () => complete({ ...shop, payments }, paying, { orderId: 'order-1' }));
    return list(limited);
  });
  t.equal(last.status, 503, 'all the time others are refused');
});

t.test('a service that was told of no limit never refuses for its event loop', async (t) => {
  const last = await underPressure(async () => {
    await whenRefusing();
    await isServed('the list', () => list(shop.service));
    return list(limited);
  });
  t.equal(last.status, 503, 'all the time the other refuses');
});
