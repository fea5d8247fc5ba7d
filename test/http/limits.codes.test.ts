import t from 'tap';
import { audit } from '../support/audit.ts';
import { createBasket, openBasket, patiently, type ShownProblem, type TestShop } from '../support/journey.ts';
import { closedRedisUrl } from '../support/redis.ts';
import { api, mintToken, startTestService } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

type Client = ReturnType<typeof api>;
type Answer = { status: number; headers: Headers; body: ShownProblem };

const config = { trustProxy: '127.0.0.1' };
const settings = { basket: { maxLiveBasketsPerCustomer: null } };
const items = [{ itemId: 'stalls', quantity: 1 }];
const from = (address: string) => ({ 'x-forwarded-for': address });
const unknown = { status: 422, body: { code: 'code_unknown' } };
const tooMany = { status: 429, body: { code: 'code_attempts' } };

async function openShopWithCode(more: object = {}): Promise<TestShop> {
  const shop = await openShop(t, { settings, config: { ...config, ...more } });
  await shop.owner.request('PUT', '/v1/discount-codes/RIGHT', { type: 'percent', value: 1000 });
  await shop.owner.request('PUT', '/v1/creator-codes/RIGHT', { walletRef: 'w', sharePercent: 1 });
  return shop;
}
const shop = await openShopWithCode();
const apply = (
  id: string,
  code: string,
  address: string,
  { type = 'discount', client = shop.backEnd as Client } = {},
) => client.request<ShownProblem>('POST', `/v1/baskets/${id}/codes`, { type, code }, from(address));
const create = (code: string, address: string, at: TestShop = shop, more: object = {}) =>
  at.backEnd.request<ShownProblem>('POST', '/v1/baskets', { items, discountCodes: [code], ...more }, from(address));
const codesOf = (answers: readonly Answer[]) => answers.map(({ status, body }) => (status < 300 ? 'had' : body.code));
const secondsIn = ({ headers }: Answer) => Number(headers.get('retry-after'));
t.teardown(() => audit(shop.service.pool));

t.test('after ten failures on a basket, of whatever types, no code works on it, and others do elsewhere', async (t) => {
  const { id, session } = await openBasket(shop);
  const client = shop.as(session.token);
  for (let nth = 0; nth < 10; nth += 1) {
    const type = nth % 2 === 0 ? 'discount' : 'creator';
    // From addresses of their own: it is the basket that counts.
    t.match(await apply(id, `WRONG-${nth}`, `198.51.100.${nth}`, { type, client }), unknown);
  }
  const refused = await apply(id, 'WRONG', '198.51.100.50', { client });
  t.match(refused, tooMany);
  t.ok(secondsIn(refused) > 3600, `${secondsIn(refused)} s`);
  t.match(await apply(id, 'RIGHT', '198.51.100.51', { client }), tooMany, 'the right one is not told from a wrong one');
  t.match(await apply(id, 'RIGHT', '198.51.100.51', { type: 'creator', client }), tooMany);
  const other = await createBasket(shop);
  t.equal((await apply(other.id, 'RIGHT', '198.51.100.51')).status, 200);
});

t.test('what succeeds does not count, nor what fails for another reason', async (t) => {
  const { id } = await createBasket(shop);
  for (let nth = 0; nth < 12; nth += 1) {
    t.equal((await apply(id, 'RIGHT', '198.51.100.60')).status, 200);
    t.equal((await shop.backEnd.request('DELETE', `/v1/baskets/${id}/codes/discount/RIGHT`)).status, 200);
    t.equal((await apply('bkt_01h455vb4pex5vsknk084sn02q', 'WRONG', '198.51.100.60')).status, 404);
    t.equal((await shop.backEnd.request('POST', `/v1/baskets/${id}/codes`, { type: 'discount' })).status, 400);
  }
  t.match(await apply(id, 'WRONG', '198.51.100.60'), unknown);
});

t.test('of codes tried on a basket at once no more are told to be wrong than one after the other', async (t) => {
  const { id } = await createBasket(shop);
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, nth) => patiently(() => apply(id, `WRONG-${nth}`, `198.51.100.${100 + nth}`))),
  );
  const told = codesOf(answers).filter((code) => code === 'code_unknown').length;
  // Fewer where the crowd kept Redis' answers waiting: what may have been counted is counted again.
  t.ok(told > 0 && told <= 10, `${told} of 10`);
  t.equal(codesOf(answers).filter((code) => code === 'code_attempts').length, 30 - told);
});

t.test(
  'an address has a hundred failures an hour, creations included; an answer that was given is given again',
  async (t) => {
    const address = '203.0.113.9';
    const key = { ...from(address), 'idempotency-key': 'given-before' };
    const body = { items, discountCodes: ['RIGHT'] };
    const first = await shop.backEnd.request('POST', '/v1/baskets', body, key);
    t.equal(first.status, 201);
    const baskets = await Promise.all(Array.from({ length: 10 }, () => createBasket(shop)));
    const tries = Array.from({ length: 120 }, (_, nth) => () => {
      const basket = baskets[nth % 20];
      return basket === undefined ? create(`WRONG-${nth}`, address) : apply(basket.id, `WRONG-${nth}`, address);
    });
    const answers: Answer[] = [];
    // Not all at once: Redis' answers would come too late for a process that is so busy, and be counted again.
    for (let at = 0; at < tries.length; at += 10) {
      answers.push(...(await Promise.all(tries.slice(at, at + 10).map((send) => patiently<Answer>(send)))));
    }
    t.equal(codesOf(answers).filter((code) => code === 'code_unknown').length, 100);
    t.equal(codesOf(answers).filter((code) => code === 'code_attempts').length, 20);
    const refused = await create('RIGHT', address);
    t.match(refused, tooMany);
    t.ok(secondsIn(refused) > 3000 && secondsIn(refused) <= 3600, `${secondsIn(refused)} s`);
    t.match(await create('RIGHT', address, shop, { discountCodes: [], creatorCode: 'RIGHT' }), tooMany);
    t.equal((await create('RIGHT', address, shop, { discountCodes: [] })).status, 201, 'without a code');
    t.equal((await create('RIGHT', '203.0.113.10')).status, 201, 'from elsewhere');
    const again = await shop.backEnd.request('POST', '/v1/baskets', body, key);
    t.equal(again.text, first.text, 'the same request again');
  },
);

t.test('replicas count together, and one that is without Redis counts alone', async (t) => {
  const { databaseUrl } = shop.service.config;
  const other = await startTestService(t, { ...config, databaseUrl }, shop.service.redisKeyPrefix);
  for (const { redis } of [shop.service, other]) {
    await until('Redis is asked', 10_000, async () => (await redis.count('rate:probe', 1000, 1)) !== null);
  }
  const { id } = await createBasket(shop);
  const elsewhere = api(other.url, await mintToken({ shop: shop.shopId, scope: 'baskets:write' }));
  for (let nth = 0; nth < 5; nth += 1) {
    t.match(await apply(id, `WRONG-${nth}`, '203.0.113.20'), unknown);
    t.match(await apply(id, `WRONG-${nth}`, '203.0.113.21', { client: elsewhere }), unknown);
  }
  // One whose event loop was kept busy believes for a second that Redis is away, and tells it afterwards.
  const refusedTo = async (client: Client) => {
    await until(
      'all are counted',
      20_000,
      async () => (await apply(id, 'RIGHT', '203.0.113.20', { client })).status === 429,
    );
  };
  await Promise.all([refusedTo(shop.backEnd), refusedTo(elsewhere)]);

  const away = await openShopWithCode({ redisUrl: closedRedisUrl });
  const answers: Answer[] = [];
  for (let nth = 0; nth < 101; nth += 1) answers.push(await create(`WRONG-${nth}`, '203.0.113.30', away));
  t.equal(codesOf(answers).filter((code) => code === 'code_unknown').length, 100);
  t.match(answers.at(-1), tooMany);
  await audit(away.service.pool);
});
