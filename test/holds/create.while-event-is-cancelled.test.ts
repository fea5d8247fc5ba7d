import t from 'tap';
import { audit } from '../support/audit.ts';
import type { Created, ShownProblem } from '../support/journey.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

t.test('of an event that is cancelled while baskets are created no basket stays live', async (t) => {
  const shop = await openShop(t, { settings: { basket: { maxLiveBasketsPerCustomer: null } } });
  const items = [{ itemId: 'stalls', quantity: 1 }];
  const create = () => shop.backEnd.request<Created & ShownProblem>('POST', '/v1/baskets', { items });
  await create();

  const answers = await Promise.all([
    ...Array.from({ length: 20 }, create),
    shop.owner.request<Partial<ShownProblem>>('POST', '/v1/events/evt-1/cancel'),
    ...Array.from({ length: 20 }, create),
  ]);
  const codes = answers.map(({ status, body }) => (status === 422 ? body.code : status));
  t.same(
    codes.filter((code) => code !== 201 && code !== 200 && code !== 'event_cancelled'),
    [],
  );
  const live = `SELECT basket_id FROM baskets WHERE status IN ('open', 'activated', 'checkout')`;
  await until('all are ended', 12_000, async () => (await shop.service.pool.query(live)).rowCount === 0);
  t.match(await shop.availability('stalls'), { held: 0, available: 100 });
  await audit(shop.service.pool);
});
