import pg from 'pg';
import t, { type Test } from 'tap';
import { activate, checkout, complete, createBasket, letExpire, type TestShop } from '../support/journey.ts';
import { asTester, browserHeaders, startTestService, visit } from '../support/service.ts';
import { openShop, openShopAt } from '../support/shop.ts';
import { until } from '../support/until.ts';

type Entry = { type: string; at: string; kind?: string; count?: number; firstAt?: string; lastAt?: string };

const shop = await openShop(t);
const timelineOf = async ({ backEnd }: Pick<TestShop, 'backEnd'>, id: string) => {
  const { status, body, text } = await backEnd.request<{ data: Entry[] }>('GET', `/v1/baskets/${id}/timeline`);
  t.equal(status, 200, text);
  return body.data;
};
/** Without the times, which must not go backwards. */
const withoutTimes = (t: Test, entries: Entry[]) => {
  const times = entries.map(({ at }) => Date.parse(at));
  t.same(
    times,
    times.toSorted((a, b) => a - b),
    'oldest first',
  );
  return entries.map(({ at, firstAt, lastAt, ...what }) => what);
};

t.test('the timeline tells each change of a basket by what it was, oldest first', async (t) => {
  const { backEnd, payments } = shop;
  const { id, startBasketUrl } = await createBasket(shop);
  await backEnd.request('POST', `/v1/baskets/${id}/lines`, { itemId: 'stalls', quantity: 1 });
  await backEnd.request('POST', `/v1/baskets/${id}/extend`);
  await backEnd.request('PATCH', `/v1/baskets/${id}`, { reference: 'r-1' });
  await activate(shop, startBasketUrl);
  await checkout(shop, id);
  await payments.request('DELETE', `/v1/baskets/${id}/checkout`);
  await checkout(shop, id);
  await payments.request('POST', `/v1/baskets/${id}/checkout/fail`);
  const paid = await complete(shop, id, { orderId: 'order-1' });
  t.equal(paid.status, 200, paid.text);
  const told = withoutTimes(t, await timelineOf(shop, id)).filter(({ type }) => type !== 'opened');
  t.same(told, [
    { type: 'created' },
    { type: 'edited' },
    { type: 'extended' },
    { type: 'updated' },
    { type: 'activated' },
    { type: 'checkout', checkout: 'started' },
    { type: 'checkout', checkout: 'left' },
    { type: 'checkout', checkout: 'started' },
    { type: 'checkout', checkout: 'failed' },
    { type: 'ended', status: 'completed', statusReason: null },
  ]);
});

t.test('a basket that is past its time has ended in its timeline too, swept or not', async (t) => {
  const { id } = await createBasket(shop);
  await letExpire(shop, id);
  const ended = { type: 'ended', status: 'expired', statusReason: 'timeout' };
  t.same(withoutTimes(t, await timelineOf(shop, id)).at(-1), ended);
  await until('it is swept', 20_000, async () => {
    const { rowCount } = await shop.service.pool.query(`SELECT FROM outbox WHERE subject_id = $1 AND sequence = 2`, [
      id,
    ]);
    return rowCount === 1;
  });
  t.same(withoutTimes(t, await timelineOf(shop, id)), [{ type: 'created' }, ended]);
});

t.test(
  'openings are counted by who opened, with their first and last time, and nothing else of the visitor',
  async (t) => {
    const { id, startBasketUrl } = await createBasket(shop, { linkMode: 'page' });
    const slack = { 'user-agent': 'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)' };
    for (const headers of [browserHeaders, browserHeaders, slack, { ...browserHeaders, purpose: 'prefetch' }]) {
      await visit(startBasketUrl, headers);
    }
    await visit(startBasketUrl, browserHeaders, 'HEAD');
    const opened = await until('all are counted', 10_000, async () => {
      const entries = (await timelineOf(shop, id)).filter(({ type }) => type === 'opened');
      return entries.reduce((sum, { count = 0 }) => sum + count, 0) === 5 ? entries : null;
    });
    t.same(opened.map(({ kind, count }) => [kind, count]).sort(), [
      ['person', 2],
      ['prefetch', 1],
      ['preview', 2],
    ]);
    for (const { at, firstAt, lastAt } of opened) {
      t.equal(at, firstAt);
      t.ok(Date.parse(lastAt ?? '') >= Date.parse(at));
    }
    const { rows } = await shop.service.pool.query('SELECT * FROM link_openings WHERE basket_id = $1', [id]);
    const columns = ['shop_id', 'basket_id', 'kind', 'count', 'first_at', 'last_at'];
    t.same(rows.map(Object.keys), [columns, columns, columns]);
  },
);

t.test('what was counted is written by a service that stops', async (t) => {
  const service = await startTestService(t);
  const other = await openShopAt(service.url);
  const { startBasketUrl } = await createBasket(other);
  for (let at = 0; at < 3; at += 1) await visit(startBasketUrl, browserHeaders);
  await service.stop();
  const client = new pg.Client({ connectionString: asTester(service.config.databaseUrl) });
  await client.connect();
  const { rows } = await client.query('SELECT sum(count)::int AS count FROM link_openings');
  await client.end();
  t.same(rows, [{ count: 3 }]);
});
