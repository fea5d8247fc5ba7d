import t from 'tap';
import { activate, complete, createBasket, letExpire } from '../support/journey.ts';
import { cancel } from '../support/races.ts';
import { browserHeaders, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

const shop = await openShop(t);
const scopes = 'baskets:read baskets:write';
const partnerA = await shop.withScope(scopes, 'partner-a');
const partnerB = await shop.withScope(scopes, 'partner-b');
const campaign = 'spring';
const counts = (client = shop.backEnd) => client.request<object>('GET', `/v1/campaigns/${campaign}`);

t.test('a campaign counts what its baskets have come to, and a partner its own alone', async (t) => {
  const made = async (client = shop.backEnd) => createBasket(shop, { campaign }, client);
  const [paid, ended, dropped, opened] = [await made(), await made(partnerA), await made(partnerA), await made()];
  await createBasket(shop, { campaign: 'autumn' });
  await createBasket(shop);
  for (let again = 0; again < 2; again += 1) await visit(opened.startBasketUrl);
  await visit(dropped.startBasketUrl, { ...browserHeaders, 'user-agent': 'Slackbot' });
  await activate(shop, paid.startBasketUrl);
  t.equal((await complete(shop, paid.id, { orderId: 'order-1' })).status, 200);
  await activate(shop, ended.startBasketUrl);
  // It counts at once, swept or not.
  await letExpire(shop, ended.id);
  await cancel(shop, dropped.id);

  await until('the openings are written, a moment after they were', 10_000, async () => {
    const { rowCount } = await shop.service.pool.query('SELECT FROM link_openings');
    return rowCount === 2;
  });
  t.same((await counts()).body, { created: 4, openedByPeople: 1, activated: 2, completed: 1, expired: 1 });
  const ownOfA = { created: 2, openedByPeople: 0, activated: 1, completed: 0, expired: 1 };
  t.same((await counts(partnerA)).body, ownOfA);
  t.match(await counts(partnerB), { status: 404, body: { code: 'not_found' } }, 'of another’s campaign nobody knows');
});
