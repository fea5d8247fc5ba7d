import t from 'tap';
import { audit } from '../support/audit.ts';
import { checkout, complete, createBasket, letExpire, openBasket, putItem, statusInRow } from '../support/journey.ts';
import { holdLocked } from '../support/races.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const { pool } = shop.service;
await putItem(shop, 'rush', 500);
const ofRush = { items: [{ itemId: 'rush', quantity: 2 }] };

/** Opens baskets, a few at a time. */
async function openBaskets(count: number) {
  const baskets: Awaited<ReturnType<typeof openBasket>>[] = [];
  while (baskets.length < count) {
    const few = Array.from({ length: Math.min(5, count - baskets.length) }, () => openBasket(shop, ofRush));
    baskets.push(...(await Promise.all(few)));
  }
  return baskets;
}

t.test(
  'completions that arrive together are committed together, each with its order, its key and its event',
  async (t) => {
    const baskets = await openBaskets(40);
    const answers = await Promise.all(
      baskets.map(({ id }) => complete(shop, id, { orderId: `order-${id}` }, { 'idempotency-key': `key-${id}` })),
    );
    for (const [at, { status, body, text }] of answers.entries()) {
      t.match({ status, body }, { status: 200, body: { basket: { id: baskets[at]?.id, status: 'completed' } } }, text);
    }
    const ids = baskets.map(({ id }) => id);
    const { rows } = await pool.query<{ events: number; commits: number }>(
      `SELECT count(*)::int AS events, count(DISTINCT xact)::int AS commits FROM outbox
     WHERE type = 'basket.completed' AND subject_id = ANY($1)`,
      [ids],
    );
    t.equal(rows[0]?.events, 40);
    t.ok((rows[0]?.commits ?? 40) < 20, `${rows[0]?.commits} transactions`);
    t.same(await shop.availability('rush'), { capacity: 500, held: 0, sold: 80, available: 420 });

    const again = await Promise.all(
      baskets.map(({ id }) => complete(shop, id, { orderId: `order-${id}` }, { 'idempotency-key': `key-${id}` })),
    );
    for (const [at, { headers, text }] of again.entries()) {
      t.equal(headers.get('idempotent-replayed'), 'true');
      t.equal(text, answers[at]?.text);
    }
    await audit(pool);
  },
);

t.test('what is refused harms none of those that it arrives with, and leaves its key unused', async (t) => {
  const good = await openBaskets(20);
  const [late, dear, taken, theirs, leased] = await openBaskets(5);
  const unopened = await createBasket(shop);
  if (!late || !dear || !taken || !theirs || !leased) throw new Error('five baskets were opened');
  await complete(shop, taken.id, { orderId: 'order-taken' });
  await checkout(shop, leased.id);
  await letExpire(shop, late.id);
  const wrong = [
    { id: late.id, body: {}, expected: { status: 200, body: { basket: { late: true } } } },
    { id: dear.id, body: { amount: 1 }, expected: { status: 422, body: { code: 'amount_mismatch' } } },
    { id: taken.id, body: {}, expected: { status: 409, body: { code: 'already_completed' } } },
    { id: theirs.id, body: { orderId: 'order-taken' }, expected: { status: 409, body: { code: 'order_id_used' } } },
    {
      id: leased.id,
      body: { leaseId: 'not-the-lease' },
      expected: { status: 409, body: { code: 'lease_superseded' } },
    },
    { id: unopened.id, body: {}, expected: { status: 409, body: { code: 'basket_not_activated' } } },
    { id: 'bkt_nowhere', body: {}, expected: { status: 404, body: { code: 'not_found' } } },
  ];
  const call = ({ id, body }: { id: string; body: object }) =>
    complete(shop, id, { orderId: `order-${id}`, ...body }, { 'idempotency-key': `key-${id}` });
  const [ofGood, ofWrong] = await Promise.all([
    Promise.all(good.map(({ id }) => call({ id, body: {} }))),
    Promise.all(wrong.map(call)),
  ]);
  for (const { status, text } of ofGood) t.equal(status, 200, text);
  for (const [at, { status, body, text }] of ofWrong.entries()) t.match({ status, body }, wrong[at]?.expected, text);
  const { status, text } = await complete(shop, dear.id, { orderId: 'order-dear' }, { 'idempotency-key': `other` });
  t.equal(status, 200, text);
  await audit(pool);
});

t.test('a basket that somebody keeps locked delays nobody else', async (t) => {
  const [locked, ...others] = await openBaskets(12);
  if (!locked) throw new Error('baskets were opened');
  const letGo = await holdLocked(t, pool, 'SELECT FROM baskets WHERE shop_id = $1 AND basket_id = $2 FOR UPDATE', [
    shop.shopId,
    locked.id,
  ]);
  let answered = false;
  const ofLocked = complete(shop, locked.id, { orderId: 'order-locked' }).finally(() => {
    answered = true;
  });
  const answers = await Promise.all(others.map(({ id }) => complete(shop, id, { orderId: `order-${id}` })));
  t.same(
    answers.map(({ status }) => status),
    others.map(() => 200),
  );
  t.notOk(answered);
  await letGo();
  t.equal((await ofLocked).status, 200);
  await audit(pool);
});

t.test('stock that somebody keeps locked delays those who do not sell of it for half a second at most', async (t) => {
  await putItem(shop, 'stuck', 10);
  const stuck = await openBasket(shop, { items: [{ itemId: 'stuck', quantity: 1 }] });
  const others = await openBaskets(8);
  const letGo = await holdLocked(t, pool, 'SELECT FROM stock WHERE shop_id = $1 AND stock_id = $2 FOR UPDATE', [
    shop.shopId,
    'item:stuck',
  ]);
  // The first two are committed at once, each alone; it is the others that are a batch.
  const [first, second, ...rest] = others.map(({ id }) => id);
  const call = (id = '') => complete(shop, id, { orderId: `order-${id}` });
  const ofFirst = [call(first), call(second)];
  const ofStuck = call(stuck.id);
  for (const { status, text } of await Promise.all([...ofFirst, ...rest.map(call)])) t.equal(status, 200, text);
  t.equal(await statusInRow(shop, stuck.id), 'activated', 'it still waits');
  await letGo();
  t.equal((await ofStuck).status, 200);
  await audit(pool);
});

t.test('of 64 completions of one basket at once with one key one is made, and the others get its answer', async (t) => {
  const { id } = await openBasket(shop, ofRush);
  const answers = await Promise.all(
    Array.from({ length: 64 }, () => complete(shop, id, { orderId: 'order-once' }, { 'idempotency-key': 'once' })),
  );
  t.equal(new Set(answers.map(({ text }) => text)).size, 1);
  t.equal(answers.filter(({ headers }) => headers.get('idempotent-replayed') === 'true').length, 63);
  await audit(pool);
});

t.test(
  'who may not complete a basket, or has seen an older version, does not complete it with others either',
  async (t) => {
    const [foreign, old, ...others] = await openBaskets(6);
    if (!foreign || !old) throw new Error('baskets were opened');
    const partner = { ...shop, payments: await shop.withScope('orders:write', 'another-partner') };
    const [ofForeign, ofOld, ...answers] = await Promise.all([
      complete(partner, foreign.id, { orderId: 'order-foreign' }),
      complete(shop, old.id, { orderId: 'order-old' }, { 'if-match': '"1"' }),
      ...others.map(({ id }) => complete(shop, id, { orderId: `order-${id}` })),
    ]);
    t.match(ofForeign, { status: 404, body: { code: 'not_found' } });
    t.match(ofOld, { status: 412, body: { code: 'version_conflict' } });
    for (const { status, text } of answers) t.equal(status, 200, text);
    for (const { id } of [foreign, old]) t.equal(await statusInRow(shop, id), 'activated');
    await audit(pool);
  },
);
