import pg from 'pg';
import t from 'tap';
import { audit } from '../support/audit.ts';
import { activate, type Created, checkout, complete, createBasket, forgetLinks } from '../support/journey.ts';
import { inspectRedis, partitionKeys, watchRedis } from '../support/redis.ts';
import { api, asTester, fromRunner, mintToken, startTestService, visit } from '../support/service.ts';
import { openShop, shopSettings } from '../support/shop.ts';
import { until } from '../support/until.ts';

const shop = await openShop(t);
const { pool, redisKeyPrefix, config } = shop.service;
/** Another replica, so that nothing is known by having been told here. */
const other = await startTestService(
  t,
  { databaseUrl: config.databaseUrl, publicUrl: config.publicUrl },
  redisKeyPrefix,
);
const there = (url: string) => url.replace(config.publicUrl, other.url);
const backEndThere = api(other.url, await mintToken({ shop: 'roxy', scope: 'baskets:read baskets:write' }));
const keys = inspectRedis(t, redisKeyPrefix);
const redis = watchRedis(t, shop.service.redis);
const member = ({ id }: { id: string }) => `roxy/${id}`;
const textOf = (basket: { id: string }) => keys.hget(partitionKeys.holds, member(basket));
const isHeld = async (basket: { id: string }) => (await textOf(basket))?.startsWith('held') ?? false;
const toldOf = async <B extends { id: string }>(basket: B): Promise<B> => {
  await until('Redis is told of the basket', 5000, () => isHeld(basket));
  return basket;
};
const confirmUrl = /^https:\/\/tickets\.roxy\.example\/basket\/confirm\?/;
const press = (url: string) => visit(url, { 'sec-fetch-site': 'same-origin' }, 'POST');

const recorded = new pg.Client({ connectionString: asTester(fromRunner('TEST_POSTGRES_URL')) });
await recorded.connect();
t.teardown(() => recorded.end());

/** How often anybody but the tests has sent Postgres each statement on this database. */
async function statements(): Promise<Map<string, number>> {
  const { rows } = await recorded.query<{ query: string; calls: number }>(
    `SELECT query, sum(calls)::int AS calls FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
     WHERE d.datname = $1 AND userid <> current_user::regrole GROUP BY query`,
    [new URL(config.databaseUrl).pathname.slice(1)],
  );
  return new Map(rows.map(({ query, calls }) => [query, calls]));
}

/** What Postgres is sent meanwhile more often than the background and the caches of a few seconds would. */
async function sentOften(times: number, act: () => Promise<unknown>): Promise<string[]> {
  let sent: string[] = [];
  // On a machine that is too busy for Redis to answer in time a click goes on without.
  await until('Redis answers all the time', 30_000, async () => {
    const [lost, before] = [redis.lost(), await statements()];
    for (let time = 0; time < times; time += 1) await act();
    sent = [...(await statements())].flatMap(([query, calls]) =>
      calls - (before.get(query) ?? 0) > times / 5 ? [query] : [],
    );
    return redis.lost() === lost;
  });
  return sent;
}

const clicks = 100;
const openings: { what: string; body: object; open: (url: string) => ReturnType<typeof visit> }[] = [
  { what: 'the link of a basket', body: {}, open: visit },
  { what: 'a link that asks for a redirect', body: { linkMode: 'redirect', customer: { id: 'c' } }, open: visit },
  { what: 'the button of the page', body: { linkMode: 'page', customer: { id: 'd' } }, open: press },
  { what: 'the button of a basket that waits', body: { reserve: 'activation' }, open: press },
];
for (const { what, body, open } of openings) {
  t.test(`a hundred clicks on ${what} send Postgres nothing that a click would wait for`, async (t) => {
    const { id, startBasketUrl } = await toldOf(await createBasket(shop, body));
    t.equal((await open(startBasketUrl)).status, 303, 'shop and clock are known from here on');
    const sent = await sentOften(clicks, async () => {
      const { status, headers } = await open(startBasketUrl);
      t.equal(status, 303);
      t.match(headers.location, confirmUrl);
    });
    t.same(sent, []);
    await forgetLinks(shop, id);
    t.match((await sentOften(clicks, () => open(startBasketUrl))).join(), /FROM baskets/, 'which would be seen');
  });
}

t.test('a click in Laravel’s format needs no query either', async (t) => {
  await shop.owner.request('PUT', '/v1/shops/roxy/laravel-keys', { keys: [Buffer.alloc(32, 7).toString('base64')] });
  const settings = { ...shopSettings, link: { format: 'laravel' } };
  t.equal((await shop.owner.request('PUT', '/v1/shops/roxy', settings)).status, 200);
  const { startBasketUrl } = await toldOf(await createBasket(shop));
  await shop.owner.request('PUT', '/v1/shops/roxy', shopSettings);
  t.match(startBasketUrl, /\/basket\/start\//);
  t.equal((await visit(startBasketUrl)).status, 303);
  t.same(await sentOften(clicks, () => visit(startBasketUrl)), []);
});

type Lost = { what: string; lose: (basket: Created) => Promise<unknown> };
const losses: Lost[] = [
  { what: 'has lost', lose: (basket) => keys.hdel(partitionKeys.holds, member(basket)) },
  {
    what: 'has only admitted',
    lose: (basket) => keys.hset(partitionKeys.holds, member(basket), 'admitted 0 item:stalls=1'),
  },
  {
    what: 'was told of by a build that said nothing of links',
    lose: (basket) => keys.hset(partitionKeys.holds, member(basket), 'held 1 item:stalls=1'),
  },
];
for (const { what, lose } of losses) {
  t.test(`a click on the link of a basket that Redis ${what} is answered, and told to Redis`, async (t) => {
    const basket = await toldOf(await createBasket(shop));
    const told = await textOf(basket);
    await lose(basket);
    t.equal((await visit(basket.startBasketUrl)).status, 303);
    await until('Redis knows it again', 5000, async () => (await textOf(basket)) === told);
  });
}

t.test('of a basket that has ended Redis is told nothing', async (t) => {
  const basket = await toldOf(await createBasket(shop));
  await shop.backEnd.request('POST', `/v1/baskets/${basket.id}/cancel`);
  // On a busy machine the service may just do without Redis.
  await until('Redis is told but that it was asked for', 5000, async () => {
    t.match((await visit(basket.startBasketUrl)).headers.location, /error=basket_cancelled/);
    return (await textOf(basket))?.startsWith('cold ') ?? false;
  });
  t.match((await visit(basket.startBasketUrl)).headers.location, /error=basket_cancelled/);
});

type Change = { what: string; code: string | null; change: (basket: Created) => Promise<unknown> };
const path = ({ id }: Created) => `/v1/baskets/${id}`;
const changes: Change[] = [
  {
    what: 'is cancelled',
    code: 'basket_cancelled',
    change: (basket) => backEndThere.request('POST', `${path(basket)}/cancel`),
  },
  {
    what: 'gets another link',
    code: 'link_revoked',
    change: (basket) => backEndThere.request('POST', `${path(basket)}/link`, {}),
  },
  {
    what: 'has its links revoked',
    code: 'link_revoked',
    change: (basket) => backEndThere.request('DELETE', `${path(basket)}/link`),
  },
  {
    what: 'gets another customer',
    code: 'link_revoked',
    change: (basket) => backEndThere.request('PATCH', path(basket), { customer: { id: 'another' } }),
  },
  {
    what: 'is completed',
    code: 'link_used',
    change: async (basket) => {
      await activate(shop, basket.startBasketUrl);
      await checkout(shop, basket.id);
      await complete(shop, basket.id, { orderId: 'order-1' });
    },
  },
  {
    what: 'is superseded',
    code: 'basket_expired',
    change: async ({ customer }) => {
      const later = await createBasket(shop, { customer: { id: customer?.id } });
      await activate(shop, later.startBasketUrl);
    },
  },
  {
    what: 'has its event suspended',
    code: 'event_suspended',
    change: () => shop.owner.request('PATCH', '/v1/events/evt-1', { status: 'suspended' }),
  },
  {
    what: 'has its event on sale again',
    code: null,
    change: () => shop.owner.request('PATCH', '/v1/events/evt-1', { status: 'scheduled' }),
  },
  { what: 'is extended', code: null, change: (basket) => backEndThere.request('POST', `${path(basket)}/extend`) },
  {
    what: 'has its event cancelled',
    code: 'event_cancelled',
    change: () => shop.owner.request('POST', '/v1/events/evt-1/cancel', {}),
  },
];
t.test('whatever changes a basket has reached the next click on any replica when it is answered', async (t) => {
  const baskets: Created[] = [];
  for (const at of changes.keys()) {
    const body = { customer: { id: `cus-${at}` }, linkMode: 'redirect' };
    const basket = await toldOf(await createBasket(shop, body));
    t.match((await visit(basket.startBasketUrl)).headers.location, confirmUrl);
    baskets.push(basket);
  }
  for (const [at, { what, code, change }] of changes.entries()) {
    const basket = baskets[at];
    if (basket === undefined) throw new Error(`there is no basket for one that ${what}`);
    await change(basket);
    for (const url of [there(basket.startBasketUrl), basket.startBasketUrl]) {
      t.match((await visit(url)).headers.location, code === null ? confirmUrl : new RegExp(`error=${code}&`), what);
    }
  }
});

t.test('after all of this the books are sound', async (t) => {
  await t.resolves(audit(pool));
});
