import t from 'tap';
import { audit } from '../support/audit.ts';
import {
  activate,
  complete,
  createBasket,
  letBeSwept,
  letExpire,
  openBasket,
  patiently,
  readBasket,
  type ShownBasket,
  type ShownProblem,
  type TestShop,
} from '../support/journey.ts';
import { closedRedisUrl } from '../support/redis.ts';
import { openShop } from '../support/shop.ts';

type Answer = ShownBasket & ShownProblem;

// The failures of one address are limited, see test/http/limits.codes.test.ts: here each call has its own.
const trustProxy = '127.0.0.1';
let calls = 0;
function fromAnywhere(): Record<string, string> {
  calls += 1;
  return { 'x-forwarded-for': `10.0.${Math.floor(calls / 250)}.${calls % 250}` };
}

const settings = { basket: { maxLiveBasketsPerCustomer: null }, link: { otherBaskets: 'keep' } };
const shop = await openShop(t, { settings, config: { trustProxy } });
const away = await openShop(t, { settings, config: { trustProxy, redisUrl: closedRedisUrl } });
const items = [{ itemId: 'stalls', quantity: 1 }];
const withCode = (code: string, customerId?: string) => ({
  items,
  discountCodes: [code],
  ...(customerId === undefined ? {} : { customer: { id: customerId } }),
});

async function put(code: string, more: object, at: TestShop = shop) {
  const answer = await at.owner.request('PUT', `/v1/discount-codes/${code}`, { type: 'percent', value: 1000, ...more });
  if (answer.status !== 200) throw new Error(answer.text);
}
async function usesOf(code: string, at: TestShop = shop) {
  const { body } = await at.owner.request<{ availability: { held: number; sold: number } }>(
    'GET',
    `/v1/discount-codes/${code}`,
  );
  return body.availability;
}
const create = (body: object, at: TestShop = shop) =>
  patiently(() => at.backEnd.request<Answer>('POST', '/v1/baskets', body, fromAnywhere()));
const apply = (id: string, code: string, at: TestShop = shop) =>
  patiently(() =>
    at.backEnd.request<Answer>('POST', `/v1/baskets/${id}/codes`, { type: 'discount', code }, fromAnywhere()),
  );
const patch = (id: string, body: object) => shop.backEnd.request<Answer>('PATCH', `/v1/baskets/${id}`, body);
const outcomes = (answers: readonly { status: number; body: Answer }[]) =>
  answers.map(({ status, body }) => (status < 300 ? 'had' : body.code)).sort();
const oneOf = (count: number) => [...Array.from({ length: count - 1 }, () => 'code_exhausted'), 'had'];
t.afterEach(async () => {
  await audit(shop.service.pool);
  await audit(away.service.pool);
});

for (const [where, at] of [
  ['', shop],
  [' while Redis is away', away],
] as const) {
  t.test(`64 baskets that are created together with the last use of a code: one has it${where}`, async (t) => {
    await put('LAST', { maxUses: 1 }, at);
    const answers = await Promise.all(Array.from({ length: 64 }, () => create(withCode('LAST'), at)));
    t.same(outcomes(answers), oneOf(64));
    t.match(await usesOf('LAST', at), { held: 1, sold: 0, available: 0 });
    t.match(await at.availability('stalls'), { held: 1 }, 'whoever did not get the code holds nothing');
  });
}

t.test(
  'baskets that apply the last use of a code together: one has it, and the others stay as they were',
  async (t) => {
    await put('LATER', { maxUses: 1 });
    const baskets = await Promise.all(Array.from({ length: 16 }, () => createBasket(shop, { items })));
    const answers = await Promise.all(baskets.map(({ id }) => apply(id, 'LATER')));
    t.same(outcomes(answers), oneOf(16));
    const shown = await Promise.all(baskets.map(({ id }) => readBasket(shop, id)));
    t.same(shown.map(({ version }) => version).sort(), [...Array.from({ length: 15 }, () => 1), 2]);
  },
);

t.test('a use is had again when its basket expires, is cancelled, or gives it up', async (t) => {
  await put('BACK', { maxUses: 1 });
  const { id: swept } = await createBasket(shop, withCode('BACK'));
  await letBeSwept(shop, swept);
  const { id: cancelled } = await createBasket(shop, withCode('BACK'));
  t.equal((await shop.backEnd.request('POST', `/v1/baskets/${cancelled}/cancel`)).status, 200);
  const { id: without } = await createBasket(shop, withCode('BACK'));
  t.equal((await shop.backEnd.request('DELETE', `/v1/baskets/${without}/codes/discount/BACK`)).status, 200);
  await createBasket(shop, withCode('BACK'));
  t.match(await usesOf('BACK'), { held: 1, available: 0 });
});

t.test('a completed basket has used its code for good', async (t) => {
  await put('SOLD', { maxUses: 1 });
  const { id } = await openBasket(shop, withCode('SOLD'));
  t.equal((await complete(shop, id, { orderId: 'order-sold', amount: 2700 })).status, 200);
  t.match(await usesOf('SOLD'), { capacity: 1, held: 0, sold: 1, available: 0 });
  t.match(await create(withCode('SOLD')), { status: 422, body: { code: 'code_exhausted' } });
});

t.test('a late completion takes its use of a code again, or is refused for good', async (t) => {
  await put('AGAIN', { maxUses: 1 });
  const first = await openBasket(shop, withCode('AGAIN'));
  await letBeSwept(shop, first.id);
  t.match(await usesOf('AGAIN'), { held: 0, sold: 0 });
  t.match(await complete(shop, first.id, { orderId: 'order-again' }), {
    status: 200,
    body: { basket: { late: true } },
  });
  t.match(await usesOf('AGAIN'), { held: 0, sold: 1 });

  await put('GONE', { maxUses: 1 });
  const second = await openBasket(shop, withCode('GONE'));
  await letBeSwept(shop, second.id);
  const { id: other } = await createBasket(shop, withCode('GONE'));
  const gone = { status: 409, body: { code: 'expired_stock_gone' } };
  t.match(await complete(shop, second.id, { orderId: 'order-gone' }), gone);
  await shop.backEnd.request('POST', `/v1/baskets/${other}/cancel`);
  t.match(await complete(shop, second.id, { orderId: 'order-gone' }), gone, 'also when the use is there again');

  await put('UNSWEPT', { maxUses: 1 });
  const third = await openBasket(shop, withCode('UNSWEPT'));
  await letExpire(shop, third.id);
  t.equal((await shop.owner.request('DELETE', '/v1/discount-codes/UNSWEPT')).status, 204);
  t.equal(
    (await complete(shop, third.id, { orderId: 'order-unswept' })).status,
    200,
    'also of a code that was deleted',
  );
});

t.test('a customer has a code so often, in baskets made together and one after the other', async (t) => {
  await put('EACH', { maxUsesPerCustomer: 2 });
  const answers = await Promise.all(Array.from({ length: 12 }, () => create(withCode('EACH', 'cus-1'))));
  t.same(outcomes(answers), [...Array.from({ length: 10 }, () => 'code_exhausted'), 'had', 'had']);
  t.equal((await create(withCode('EACH', 'cus-2'))).status, 201, 'another customer');
  t.match(await usesOf('EACH'), { capacity: null, held: 3 });
  await put('EACH', { maxUsesPerCustomer: 3 });
  t.equal((await create(withCode('EACH', 'cus-1'))).status, 201, 'once they may have more');
  await put('EACH', { maxUsesPerCustomer: 1 });
  t.match(await create(withCode('EACH', 'cus-1')), { status: 422, body: { code: 'code_exhausted' } });
  t.match(await create(withCode('EACH', 'cus-2')), { status: 422, body: { code: 'code_exhausted' } });
});

t.test('what is refused leaves no count of a customer behind', async (t) => {
  await put('FULL', { maxUses: 0, maxUsesPerCustomer: 1 });
  t.match(await create(withCode('FULL', 'cus-9')), { status: 422, body: { code: 'code_exhausted' } });
  const { id } = await createBasket(shop, { items, customer: { id: 'cus-9' } });
  t.match(await apply(id, 'FULL'), { status: 422, body: { code: 'code_exhausted' } });
  const { rows } = await shop.service.pool.query(`SELECT stock_id FROM stock WHERE stock_id LIKE 'discount:FULL/%'`);
  t.same(rows, []);
});

t.test('naming another customer moves the use, unless that one has had it', async (t) => {
  await put('MOVES', { maxUsesPerCustomer: 1 });
  const { id } = await createBasket(shop, withCode('MOVES', 'cus-a'));
  await createBasket(shop, withCode('MOVES', 'cus-b'));
  t.match(await patch(id, { customer: { id: 'cus-b' } }), { status: 422, body: { code: 'code_exhausted' } });
  t.match(await patch(id, { customer: null }), { status: 422, body: { code: 'code_not_applicable' } });
  t.equal((await patch(id, { customer: { id: 'cus-c' } })).status, 200);
  t.equal((await create(withCode('MOVES', 'cus-a'))).status, 201, 'the first may have it again');
  t.match(await create(withCode('MOVES', 'cus-c')), { status: 422, body: { code: 'code_exhausted' } });
  t.match(await usesOf('MOVES'), { held: 3 });
});

t.test('no fewer uses are allowed than are had, and uses count on from a code of that name before', async (t) => {
  await put('FEWER', { maxUses: 3 });
  await createBasket(shop, withCode('FEWER'));
  const { id, startBasketUrl } = await createBasket(shop, withCode('FEWER'));
  await activate(shop, startBasketUrl);
  await complete(shop, id, { orderId: 'order-fewer' });
  const lower = (maxUses: number) =>
    shop.owner.request<ShownProblem>('PUT', '/v1/discount-codes/FEWER', { type: 'fixed', value: 1, maxUses });
  t.match(await lower(1), { status: 422, body: { code: 'capacity_below_committed' } });
  t.match(await usesOf('FEWER'), { capacity: 3, held: 1, sold: 1 });
  t.equal((await lower(2)).status, 200);
  t.match(await create(withCode('FEWER')), { status: 422, body: { code: 'code_exhausted' } });
  t.equal((await shop.owner.request('DELETE', '/v1/discount-codes/FEWER')).status, 204);
  t.match(await create(withCode('FEWER')), { status: 422, body: { code: 'code_unknown' } });
  t.equal((await lower(1)).status, 422);
});

t.test('when stock is short the code is not to blame, and none of its uses is held', async (t) => {
  await put('UNUSED', { maxUses: 1 });
  const tooMany = { ...withCode('UNUSED'), items: [{ itemId: 'few', quantity: 2 }] };
  await shop.owner.request('PUT', '/v1/items/few', { name: 'Few', price: 100, capacity: 1 });
  t.match(await create(tooMany), { status: 409, body: { code: 'insufficient_stock', errors: [{ itemId: 'few' }] } });
  t.match(await usesOf('UNUSED'), { held: 0 });
});

t.test('creating, applying, giving up, cancelling and completing at once count every use', async (t) => {
  await put('MIXED', { maxUses: 9, maxUsesPerCustomer: 3 });
  const opened = [];
  for (let at = 0; at < 12; at += 1) {
    opened.push(await openBasket(shop, { items, customer: { id: `cus-mixed-${at % 4}` } }));
  }
  const ends: ((id: string) => Promise<{ status: number; text: string }>)[] = [
    (id: string) => complete(shop, id, { orderId: `order-${id}` }),
    (id: string) => shop.backEnd.request<Answer>('DELETE', `/v1/baskets/${id}/codes/discount/MIXED`),
    (id: string) => shop.backEnd.request<Answer>('POST', `/v1/baskets/${id}/cancel`),
  ];
  const answers = await Promise.all(
    opened.flatMap(({ id }, at) => [
      apply(id, 'MIXED'),
      create(withCode('MIXED', `cus-mixed-${at % 4}`)),
      patiently(() => ends[at % 3]?.(id) ?? Promise.reject(new Error('there are three ends'))),
    ]),
  );
  const unexpected = answers.filter(({ status }) => ![200, 201, 404, 409, 422].includes(status));
  t.same(
    unexpected.map(({ text }) => text),
    [],
  );
  const { held, sold } = await usesOf('MIXED');
  t.ok(held + sold > 0 && held + sold <= 9, `${held} held, ${sold} sold`);
});
