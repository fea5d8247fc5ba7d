import t from 'tap';
import { audit } from '../support/audit.ts';
import {
  activate,
  complete,
  createBasket,
  letBeSwept,
  letExpire,
  openBasket,
  putItem,
  readBasket,
} from '../support/journey.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const { pool } = shop.service;
const one = (itemId: string) => ({ items: [{ itemId, quantity: 1 }] });
const gone = { status: 409, body: { code: 'expired_stock_gone' } };
t.afterEach(() => audit(pool));

t.test('money that arrives before the sweeper uses the hold that is still there', async (t) => {
  await putItem(shop, 'unswept', 1);
  const { id } = await openBasket(shop, one('unswept'));
  await letExpire(shop, id);
  t.equal((await readBasket(shop, id)).status, 'expired', 'everybody is told so');
  const completed = await complete(shop, id, { orderId: 'order-unswept' });
  t.match(completed, { status: 200, body: { basket: { status: 'completed', statusReason: null, late: true } } });
  t.same(await shop.availability('unswept'), { capacity: 1, held: 0, sold: 1, available: 0 });
});

t.test('a basket that was read as expired is read anew after its late completion', async (t) => {
  const { id } = await openBasket(shop);
  await letExpire(shop, id);
  const expired = await shop.backEnd.request('GET', `/v1/baskets/${id}`);
  await complete(shop, id, { orderId: 'order-read-anew' });
  const ifNoneMatch = { 'if-none-match': expired.headers.get('etag') ?? '' };
  const read = await shop.backEnd.request('GET', `/v1/baskets/${id}`, undefined, ifNoneMatch);
  t.match(read, { status: 200, body: { status: 'completed', version: 4 } });
});

t.test('money that arrives after the sweeper takes the stock again if it is there', async (t) => {
  await putItem(shop, 'swept', 1);
  const { id } = await openBasket(shop, one('swept'));
  await letBeSwept(shop, id);
  t.same(await shop.availability('swept'), { capacity: 1, held: 0, sold: 0, available: 1 });
  const completed = await complete(shop, id, { orderId: 'order-swept' });
  t.match(completed, { status: 200, body: { basket: { status: 'completed', late: true } } });
  t.same(await shop.availability('swept'), { capacity: 1, held: 0, sold: 1, available: 0 });
  const again = await complete(shop, id, { orderId: 'order-swept' });
  t.match(again, { status: 200, body: { basket: { version: completed.body.basket.version } } }, 'and only once');
  const refused = await shop.backEnd.request('POST', '/v1/baskets', one('swept'));
  t.equal(refused.status, 409, 'nobody else gets it');
});

t.test('money in time is not late', async (t) => {
  const { id } = await openBasket(shop);
  t.match((await complete(shop, id, { orderId: 'order-in-time' })).body.basket, { late: false });
});

t.test('a superseded basket can be completed late too', async (t) => {
  const customer = { customer: { id: 'cus-1' } };
  const first = await openBasket(shop, customer);
  const second = await createBasket(shop, customer);
  await activate(shop, second.startBasketUrl);
  t.equal((await readBasket(shop, first.id)).statusReason, 'superseded');
  t.match(await complete(shop, first.id, { orderId: 'order-superseded' }), {
    status: 200,
    body: { basket: { late: true } },
  });
});

t.test('expired_stock_gone is final, for every order id and also when the stock comes back', async (t) => {
  await putItem(shop, 'gone', 1);
  const { id } = await openBasket(shop, one('gone'));
  await letBeSwept(shop, id);
  const buyer = await createBasket(shop, one('gone'));
  t.match(await complete(shop, id, { orderId: 'order-gone' }, { 'idempotency-key': 'gone-1' }), gone);
  await shop.backEnd.request('POST', `/v1/baskets/${buyer.id}/cancel`);
  t.same(await shop.availability('gone'), { capacity: 1, held: 0, sold: 0, available: 1 });
  t.match(await complete(shop, id, { orderId: 'order-gone' }), gone);
  t.match(await complete(shop, id, { orderId: 'order-gone' }, { 'idempotency-key': 'gone-1' }), gone, 'with its key');
  t.match(await complete(shop, id, { orderId: 'order-gone-2' }), gone);
  t.match(await readBasket(shop, id), { status: 'expired', statusReason: 'timeout', version: 3, orderId: null });
});

t.test('a late completion takes all of its stock or none', async (t) => {
  await putItem(shop, 'there', 1);
  await putItem(shop, 'taken', 1);
  const both = { items: [one('there').items[0], one('taken').items[0]] };
  const { id } = await openBasket(shop, both);
  await letBeSwept(shop, id);
  await createBasket(shop, one('taken'));
  t.match(await complete(shop, id, { orderId: 'order-both' }), gone);
  t.same(await shop.availability('there'), { capacity: 1, held: 0, sold: 0, available: 1 });
});

t.test('of late completions that want the last unit at once one gets it', async (t) => {
  await putItem(shop, 'rare', 4);
  const baskets = [];
  for (let at = 0; at < 4; at += 1) baskets.push(await openBasket(shop, one('rare')));
  for (const { id } of baskets) await letBeSwept(shop, id);
  await createBasket(shop, { items: [{ itemId: 'rare', quantity: 3 }] });
  const answers = await Promise.all(baskets.map(({ id }) => complete(shop, id, { orderId: `order-${id}` })));
  t.same(answers.map(({ status, body }) => (status === 200 ? 'completed' : body.code)).sort(), [
    'completed',
    'expired_stock_gone',
    'expired_stock_gone',
    'expired_stock_gone',
  ]);
});

t.test('a refusal after which money must go back goes out once for each order, and shows nowhere else', async (t) => {
  await putItem(shop, 'told', 1);
  const { id } = await openBasket(shop, one('told'));
  await letBeSwept(shop, id);
  await createBasket(shop, one('told'));
  const before = await shop.backEnd.request('GET', `/v1/baskets/${id}`);
  const timeline = () => shop.backEnd.request('GET', `/v1/baskets/${id}/timeline`);
  const told = (await timeline()).text;
  for (const orderId of ['order-1', 'order-2', 'order-1', 'order-2']) {
    t.match(await complete(shop, id, { orderId: `told-${orderId}` }), gone);
  }
  const cancelled = await createBasket(shop, one('stalls'));
  await shop.backEnd.request('POST', `/v1/baskets/${cancelled.id}/cancel`);
  await complete(shop, cancelled.id, { orderId: 'told-order-3' });
  await complete(shop, cancelled.id, { orderId: 'told-order-3' });
  const { rows } = await shop.service.pool.query(
    `SELECT subject_id AS id, data ->> 'refused_order_id' AS "orderId", (data ->> 'sequence')::int = sequence AS numbered
     FROM outbox WHERE type = 'basket.completion_refused' AND subject_id = ANY($1) ORDER BY subject_id, sequence`,
    [[id, cancelled.id]],
  );
  t.same(rows, [
    { id, orderId: 'told-order-1', numbered: true },
    { id, orderId: 'told-order-2', numbered: true },
    { id: cancelled.id, orderId: 'told-order-3', numbered: true },
  ]);
  const after = await shop.backEnd.request<object>('GET', `/v1/baskets/${id}`);
  t.same({ ...after.body, serverTime: null }, { ...(before.body as object), serverTime: null });
  t.equal(after.headers.get('etag'), before.headers.get('etag'));
  t.equal((await timeline()).text, told);
  await audit(shop.service.pool);
});

t.test('an expired basket that nobody ever opened cannot be completed', async (t) => {
  const { id } = await createBasket(shop);
  await letExpire(shop, id);
  t.match(await complete(shop, id, { orderId: 'order-unopened' }), {
    status: 409,
    body: { code: 'basket_not_live', basketStatus: 'expired', statusReason: 'timeout' },
  });
});

t.test('a late completion is refused when the event is cancelled', async (t) => {
  await shop.owner.request('PUT', '/v1/events/evt-late', { name: 'Late' });
  await putItem(shop, 'late-seat', 1, { eventId: 'evt-late' });
  const { id } = await openBasket(shop, one('late-seat'));
  await letBeSwept(shop, id);
  await shop.owner.request('POST', '/v1/events/evt-late/cancel');
  t.match(await complete(shop, id, { orderId: 'order-late' }), { status: 409, body: { code: 'event_cancelled' } });
  t.same(await shop.availability('late-seat'), { capacity: 1, held: 0, sold: 0, available: 1 });
});

t.test('a wrong amount is refused late as well and settles nothing', async (t) => {
  await putItem(shop, 'amount', 1);
  const { id } = await openBasket(shop, one('amount'));
  await letBeSwept(shop, id);
  t.equal((await complete(shop, id, { orderId: 'order-amount', amount: 1 })).status, 422);
  t.equal((await complete(shop, id, { orderId: 'order-amount', amount: 100 })).status, 200);
});
