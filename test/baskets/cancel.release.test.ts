import t from 'tap';
import { audit } from '../support/audit.ts';
import { activate, createBasket, letExpire, readBasket, type ShownBasket } from '../support/journey.ts';
import { contentsOfRedis, countedRow, inspectRedis } from '../support/redis.ts';
import { assertRefused } from '../support/refusal.ts';
import { visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const cancel = (id: string, headers: Record<string, string> = {}) =>
  shop.backEnd.request<ShownBasket>('POST', `/v1/baskets/${id}/cancel`, {}, headers);

t.test('a cancelled basket gives its stock back before it is answered, in Postgres and in Redis', async (t) => {
  await shop.owner.request('PUT', '/v1/items/all', { name: 'All', price: 1, capacity: 8 });
  const wholeStock = { items: [{ itemId: 'all', quantity: 8 }] };
  const redis = inspectRedis(t, shop.service.redisKeyPrefix);
  for (let round = 0; round < 3; round += 1) {
    const { id, startBasketUrl } = await createBasket(shop, wholeStock);
    t.match(await shop.availability('all'), { held: 8, available: 0 });
    if (round > 0) await activate(shop, startBasketUrl);
    const { status, body } = await cancel(id);
    t.match({ status, body }, { status: 200, body: { status: 'cancelled', statusReason: 'requested' } });
    t.match(await shop.availability('all'), { held: 0, available: 8 });
    const kept = await contentsOfRedis(redis);
    t.equal(await countedRow(redis, 'item:all'), '8 0 0 0');
    t.notOk(JSON.stringify(kept).includes(id), 'Redis has forgotten its hold and its deadline');
    t.same(await readBasket(shop, id).then(({ version }) => version), body.version);
    const click = await visit(startBasketUrl, { accept: 'application/json' });
    t.match(click, { status: 410, text: /basket_cancelled/ }, 'and the link is dead');
  }
  await audit(shop.service.pool);
});

t.test('only a live basket that is not being paid can be cancelled', async (t) => {
  const cancelled = await createBasket(shop);
  await cancel(cancelled.id);
  const expired = await createBasket(shop);
  await letExpire(shop, expired.id);
  const paying = await createBasket(shop);
  await activate(shop, paying.startBasketUrl);
  await shop.payments.request('POST', `/v1/baskets/${paying.id}/checkout`);
  const paid = await createBasket(shop);
  await activate(shop, paid.startBasketUrl);
  await shop.payments.request('POST', `/v1/baskets/${paid.id}/complete`, { orderId: 'order-1' });
  const cases = [
    { id: cancelled.id, code: 'basket_not_live', said: { basketStatus: 'cancelled', statusReason: 'requested' } },
    { id: expired.id, code: 'basket_not_live', said: { basketStatus: 'expired', statusReason: 'timeout' } },
    { id: paid.id, code: 'basket_not_live', said: { basketStatus: 'completed', statusReason: null } },
    { id: paying.id, code: 'basket_in_checkout', said: {} },
  ] as const;
  for (const { id, code, said } of cases) {
    const answer = await assertRefused(t, shop, JSON.stringify(said), { status: 409, code }, () => cancel(id));
    t.match(answer.body, said);
  }
  await shop.payments.request('DELETE', `/v1/baskets/${paying.id}/checkout`);
  t.equal((await cancel(paying.id)).status, 200, 'once it has left checkout');
  await audit(shop.service.pool);
});

t.test('of ten cancellations at once one is made, and its stock comes back once', async (t) => {
  await shop.owner.request('PUT', '/v1/items/once', { name: 'Once', price: 1, capacity: 5 });
  const { id } = await createBasket(shop, { items: [{ itemId: 'once', quantity: 2 }] });
  await createBasket(shop, { items: [{ itemId: 'once', quantity: 2 }] });
  const statuses = (await Promise.all(Array.from({ length: 10 }, () => cancel(id)))).map(({ status }) => status);
  t.same(statuses.sort(), [200, ...Array.from({ length: 9 }, () => 409)]);
  t.match(await shop.availability('once'), { held: 2, available: 3 });
  await audit(shop.service.pool);
});
