import t from 'tap';
import { auditRedis } from '../../src/cli/audit.ts';
import { audit } from '../support/audit.ts';
import {
  checkout,
  complete,
  createBasket,
  letExpire,
  openBasket,
  patiently,
  putItem,
  type ShownBasket,
  type ShownProblem,
} from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

type Refund = {
  refundId: string;
  paymentReference: string | null;
  lines: { lineId: string; itemId: string; quantity: number; amount: number }[];
  amount: number;
  currency: string;
  restocked: boolean;
  createdAt: string;
};
type Refunded = { basket: ShownBasket & { refundedAt: string | null }; refund: Refund };

const shop = await openShop(t);
const { pool, admission } = shop.service;
const refund = (id: string, body: object = {}) =>
  shop.payments.request<Refunded & ShownProblem>('POST', `/v1/baskets/${id}/refund`, body);

/** Sells a basket with these quantities of items, line by line, and gives its id. */
async function sell(items: Record<string, number>): Promise<string> {
  const lines = Object.entries(items).map(([itemId, quantity]) => ({ itemId, quantity }));
  const { id } = await openBasket(shop, { items: lines });
  const { status, text } = await complete(shop, id, { orderId: `order-${id}` });
  if (status !== 200) throw new Error(text);
  return id;
}

/** On a busy machine the service may just do without Redis; what it kept from Redis is made up for. */
const untilRedisIsRight = () =>
  until('Redis equals Postgres', 20_000, async () => (await auditRedis({ pool, admission }))?.length === 0);

async function announced(id: string): Promise<string[]> {
  const { rows } = await pool.query<{ type: string }>(
    'SELECT type FROM outbox WHERE shop_id = $1 AND subject_id = $2 ORDER BY sequence',
    [shop.shopId, id],
  );
  return rows.map(({ type }) => type);
}

t.test('a refund without lines is of everything, at what was paid, and the units are on sale at once', async (t) => {
  await putItem(shop, 'last', 1, { taxRate: 0.2 });
  const id = await sell({ last: 1, stalls: 2 });
  const buyAgain = () => shop.backEnd.request('POST', '/v1/baskets', { items: [{ itemId: 'last', quantity: 1 }] });
  t.equal((await buyAgain()).status, 409);
  const { status, body, text } = await refund(id, { paymentReference: 're_1' });
  t.equal(status, 200, text);
  const { refundId, createdAt, ...given } = body.refund;
  t.match(refundId, /^rfd_/);
  t.same(given, {
    paymentReference: 're_1',
    lines: [
      { lineId: '1', itemId: 'last', quantity: 1, amount: 120 },
      { lineId: '2', itemId: 'stalls', quantity: 2, amount: 6000 },
    ],
    amount: 6120,
    currency: 'GBP',
    restocked: true,
  });
  t.match(body.basket, { id, status: 'completed', refundedAt: createdAt });
  t.equal((await buyAgain()).status, 201);
  t.equal((await announced(id)).at(-1), 'basket.refunded');
  const { body: timeline } = await shop.backEnd.request<{ data: object[] }>('GET', `/v1/baskets/${id}/timeline`);
  t.match(timeline.data.slice(-2), [{ type: 'ended', status: 'completed' }, { type: 'refunded' }]);
  await audit(pool);
  await untilRedisIsRight();
});

t.test('units that are not restocked stay sold', async (t) => {
  await putItem(shop, 'gone', 5);
  const id = await sell({ gone: 3 });
  t.match((await refund(id, { lines: [{ lineId: '1', quantity: 1 }] })).body, { refund: { restocked: true } });
  t.match((await refund(id, { restock: false })).body, {
    basket: { refundedAt: /./ },
    refund: { restocked: false, lines: [{ quantity: 2 }] },
  });
  t.same(await shop.availability('gone'), { capacity: 5, held: 0, sold: 2, available: 3 });
  await audit(pool);
});

t.test('the amounts of several refunds of a line come to what was paid for it', async (t) => {
  await putItem(shop, 'odd', 10, { price: 101, taxRate: 0.075 });
  const id = await sell({ odd: 3 });
  const amounts = [];
  for (let unit = 1; unit <= 3; unit += 1) {
    const { body } = await refund(id, { lines: [{ lineId: '1', quantity: 1 }] });
    amounts.push(body.refund.amount);
    t.equal(body.basket.refundedAt === null, unit < 3, `after ${unit}`);
  }
  t.same(amounts, [109, 108, 109]);
  t.same((await announced(id)).slice(-3), ['basket.refunded', 'basket.refunded', 'basket.refunded']);
  await audit(pool);
});

t.test('the same payment reference is one refund, also when all is refunded, whatever else is asked for', async (t) => {
  const id = await sell({ stalls: 3 });
  const paymentReference = 're_once';
  const first = await refund(id, { lines: [{ lineId: '1', quantity: 1 }], paymentReference });
  const before = await shop.availability('stalls');
  for (const more of [{}, { lines: [{ lineId: '1', quantity: 2 }] }, { restock: false }]) {
    const again = await refund(id, { paymentReference, ...more });
    t.equal(again.status, 200, again.text);
    t.same(again.body.refund, first.body.refund);
    t.equal(again.body.basket.version, first.body.basket.version);
  }
  t.same(await shop.availability('stalls'), before);
  t.equal((await refund(id, { paymentReference: 're_rest' })).status, 200);
  t.same((await refund(id, { paymentReference })).body.refund, first.body.refund);
  const other = await sell({ stalls: 1 });
  t.equal((await refund(other, { paymentReference })).status, 200, 'the reference is of one basket');
});

t.test('no more is refunded than was bought and is not refunded yet', async (t) => {
  const id = await sell({ stalls: 3, odd: 1 });
  await refund(id, { lines: [{ lineId: '1', quantity: 1 }] });
  const cases = [
    { lines: [{ lineId: '1', quantity: 3 }], errors: [{ lineId: '1', requested: 3, refundable: 2 }] },
    { lines: [{ lineId: '9', quantity: 1 }], errors: [{ lineId: '9', requested: 1, refundable: 0 }] },
    {
      lines: [
        { lineId: '2', quantity: 1 },
        { lineId: '1', quantity: 1 },
        { lineId: '1', quantity: 2 },
      ],
      errors: [{ lineId: '1', requested: 3, refundable: 2 }],
    },
  ];
  const tooMuch = { status: 422, code: 'refund_exceeds_purchase' } as const;
  for (const { lines, errors } of cases) {
    const refused = await assertRefused(t, shop, JSON.stringify(lines), tooMuch, () => refund(id, { lines }));
    t.same((refused.body as ShownProblem).errors, errors);
  }
  t.equal((await refund(id)).status, 200);
  const again = await assertRefused(t, shop, 'all of it again', tooMuch, () => refund(id));
  t.same((again.body as ShownProblem).errors, [
    { lineId: '1', requested: 3, refundable: 0 },
    { lineId: '2', requested: 1, refundable: 0 },
  ]);
  const malformed = [
    { lines: [] },
    { lines: [{ lineId: '1' }] },
    { lines: [{ lineId: '1', quantity: 0 }] },
    { lines: [{ lineId: '1', quantity: '1' }] },
    { restock: null },
    { paymentReference: '' },
    { paymentReference: 'a\u0000' },
    { amount: 1 },
  ];
  for (const body of malformed) {
    await assertRefused(t, shop, JSON.stringify(body), { status: 400, code: 'invalid_request' }, () =>
      refund(id, body),
    );
  }
});

t.test('only what was completed can be refunded', async (t) => {
  const open = await createBasket(shop);
  const activated = await openBasket(shop);
  const paying = await openBasket(shop);
  await checkout(shop, paying.id);
  const cancelled = await createBasket(shop);
  await shop.backEnd.request('POST', `/v1/baskets/${cancelled.id}/cancel`);
  const expired = await createBasket(shop);
  await letExpire(shop, expired.id);
  const cases = { open, activated, checkout: paying, cancelled, expired };
  for (const [basketStatus, { id }] of Object.entries(cases)) {
    const expected = { status: 409, code: 'basket_not_completed' } as const;
    const refused = await assertRefused(t, shop, basketStatus, expected, () => refund(id));
    t.match(refused.body, { basketStatus });
  }
});

t.test('of 64 refunds of a line at once exactly what was bought is refunded', async (t) => {
  await putItem(shop, 'wanted', 8);
  const id = await sell({ wanted: 8 });
  const one = { lines: [{ lineId: '1', quantity: 1 }] };
  const answers = await Promise.all(Array.from({ length: 64 }, () => patiently(() => refund(id, one))));
  const amounts = answers.flatMap(({ status, body }) => (status === 200 ? [body.refund.amount] : []));
  t.same(
    amounts,
    Array.from({ length: 8 }, () => 100),
  );
  t.equal(answers.filter(({ body }) => body.code === 'refund_exceeds_purchase').length, 56);
  t.same(await shop.availability('wanted'), { capacity: 8, held: 0, sold: 0, available: 8 });
  await audit(pool);
  await untilRedisIsRight();
});

t.test('of refunds of one payment reference at once there is one', async (t) => {
  const id = await sell({ stalls: 5 });
  const body = { lines: [{ lineId: '1', quantity: 1 }], paymentReference: 're_at-once' };
  const answers = await Promise.all(Array.from({ length: 16 }, () => patiently(() => refund(id, body))));
  t.same(new Set(answers.map(({ status }) => status)), new Set([200]));
  t.equal(new Set(answers.map(({ body: { refund } }) => refund.refundId)).size, 1);
  await audit(pool);
});
