import t from 'tap';
import { createBasket } from '../support/journey.ts';
import { contentsOfRedis, inspectRedis, untilRedisHasAll } from '../support/redis.ts';
import { contentsOf } from '../support/refusal.ts';
import { browserHeaders, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const visitors: { method: string; headers: Record<string, string> }[] = [
  { method: 'GET', headers: browserHeaders },
  { method: 'GET', headers: {} },
  { method: 'HEAD', headers: browserHeaders },
  { method: 'HEAD', headers: {} },
  { method: 'GET', headers: { ...browserHeaders, 'sec-purpose': 'prefetch' } },
  { method: 'GET', headers: { purpose: 'prefetch' } },
  { method: 'GET', headers: { 'user-agent': 'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)' } },
  { method: 'GET', headers: { 'user-agent': 'WhatsApp/2.23.20.0', accept: '*/*' } },
  { method: 'GET', headers: { ...browserHeaders, 'user-agent': 'Mozilla/5.0 (Windows NT 10.0) HeadlessChrome/140.0' } },
  { method: 'GET', headers: { accept: 'application/json' } },
];
const openings = 1000;
const atOnce = 20;

t.test('a thousand openings of links by anything leave every row and every key as it was', async (t) => {
  const shop = await openShop(t);
  const baskets = [
    await createBasket(shop, { linkMode: 'redirect', customer: { id: 'cus-7' } }),
    await createBasket(shop, { linkMode: 'page' }),
    await createBasket(shop, { customer: { id: 'cus-8', email: 'anna@b.example' } }),
  ];
  const keys = inspectRedis(t, shop.service.redisKeyPrefix);
  await untilRedisHasAll(keys, shop);
  const redis = async () => JSON.stringify(await contentsOfRedis(keys));
  const before = { postgres: await contentsOf(shop.service.pool), redis: await redis() };

  const statuses: Record<number, number> = {};
  let opened = 0;
  const open = async () => {
    while (opened < openings) {
      const visitor = visitors[opened % visitors.length];
      const basket = baskets[Math.floor(opened / visitors.length) % baskets.length];
      opened += 1;
      if (!visitor || !basket) throw new Error('there is no such visitor or basket');
      const { status } = await visit(basket.startBasketUrl, visitor.headers, visitor.method);
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, open));

  t.same(Object.keys(statuses), ['200', '303'], 'all were answered, with the page or a redirect');
  t.same({ postgres: await contentsOf(shop.service.pool), redis: await redis() }, before);
});
