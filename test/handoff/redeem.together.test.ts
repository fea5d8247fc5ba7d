import t from 'tap';
import { audit } from '../support/audit.ts';
import { activate, createBasket, letExpire, pressLink, readBasket, redeem } from '../support/journey.ts';
import { holdLocked } from '../support/races.ts';
import { openShop } from '../support/shop.ts';

const shop = await openShop(t);
const { pool } = shop.service;

/** Creates a basket and clicks its link. */
async function clicked(body: object = {}) {
  const basket = await createBasket(shop, body);
  return { ...basket, token: await pressLink(basket.startBasketUrl) };
}

/** So many of those, one after the other. */
async function manyClicked(count: number, bodyOf: (at: number) => object = () => ({})) {
  const baskets: Awaited<ReturnType<typeof clicked>>[] = [];
  while (baskets.length < count) baskets.push(await clicked(bodyOf(baskets.length)));
  return baskets;
}

t.test(
  'redemptions that arrive together are committed together, each with its session, its key and its event',
  async (t) => {
    const baskets = await manyClicked(30, (at) => (at % 3 === 0 ? {} : { customer: { id: `cus-of-${at}` } }));
    const all = () =>
      Promise.all(
        baskets.map(({ id, token }, at) => {
          const customerId = at % 3 === 2 ? null : at % 3 === 1 ? `cus-of-${at}` : `cus-signed-in-${at}`;
          return redeem(shop, token, { customerId }, { 'idempotency-key': `key-${id}` });
        }),
      );
    const answers = await all();
    for (const [at, { status, body, text }] of answers.entries()) {
      t.match(
        { status, body },
        {
          status: 200,
          body: {
            basket: { id: baskets[at]?.id, status: 'activated', version: 2 },
            customer: { id: at % 3 === 0 ? `cus-signed-in-${at}` : `cus-of-${at}` },
            expiredBasketIds: [],
          },
        },
        text,
      );
      const read = await shop.as(body.session.token).request('GET', `/v1/baskets/${body.basket.id}`);
      t.equal(read.status, 200);
    }
    const { rows } = await pool.query<{ events: number; commits: number }>(
      `SELECT count(*)::int AS events, count(DISTINCT xact)::int AS commits FROM outbox
     WHERE type = 'basket.activated' AND subject_id = ANY($1)`,
      [baskets.map(({ id }) => id)],
    );
    t.equal(rows[0]?.events, 30);
    t.ok((rows[0]?.commits ?? 30) < 15, `${rows[0]?.commits} transactions`);

    for (const [at, { headers, text }] of (await all()).entries()) {
      t.equal(headers.get('idempotent-replayed'), 'true');
      t.equal(text, answers[at]?.text);
    }
    for (const { token } of baskets) t.equal((await redeem(shop, token)).body.code, 'confirmation_used');
    await audit(pool);
  },
);

t.test('what is refused harms none of those that it arrives with', async (t) => {
  const good = await manyClicked(10);
  const used = await clicked();
  await redeem(shop, used.token);
  const over = await clicked();
  await letExpire(shop, over.id);
  const theirs = await clicked({ customer: { id: 'cus-theirs' } });
  const wrong = [
    { token: used.token, body: {}, code: 'confirmation_used' },
    { token: over.token, body: {}, code: 'basket_expired' },
    { token: theirs.token, body: { customerId: 'cus-somebody-else' }, code: 'customer_mismatch' },
    { token: good[0]?.token.slice(1) ?? '', body: {}, code: 'not_found' },
  ];
  const [ofGood, ofWrong] = await Promise.all([
    Promise.all(good.map(({ token }) => redeem(shop, token))),
    Promise.all(wrong.map(({ token, body }) => redeem(shop, token, body))),
  ]);
  for (const { status, text } of ofGood) t.equal(status, 200, text);
  t.same(
    ofWrong.map(({ body }) => body.code),
    wrong.map(({ code }) => code),
  );
  await audit(pool);
});

t.test(
  'of baskets that one customer opens at once one is left, whoever said that they are the customer’s',
  async (t) => {
    for (const round of [1, 2, 3, 4]) {
      const customer = { id: `cus-at-once-${round}` };
      const others = await manyClicked(4);
      const [named, unnamed] = [await clicked(round % 2 === 0 ? { customer } : {}), await clicked()];
      await Promise.all([
        ...others.map(({ token }) => redeem(shop, token)),
        redeem(shop, named.token, { customerId: customer.id }),
        redeem(shop, unnamed.token, { customerId: customer.id }),
      ]);
      const states = [(await readBasket(shop, named.id)).status, (await readBasket(shop, unnamed.id)).status];
      t.same(states.sort(), ['activated', 'expired'], `round ${round}`);
      for (const { id } of others) t.equal((await readBasket(shop, id)).status, 'activated');
    }
    await audit(pool);
  },
);

t.test('a basket or a customer that somebody keeps locked delays nobody else', async (t) => {
  const [locked, ofLocked, ...others] = await manyClicked(8, (at) =>
    at === 1 ? { customer: { id: 'cus-locked' } } : {},
  );
  if (!locked || !ofLocked) throw new Error('baskets were created');
  const letGo = [
    await holdLocked(t, pool, 'SELECT FROM baskets WHERE shop_id = $1 AND basket_id = $2 FOR UPDATE', [
      shop.shopId,
      locked.id,
    ]),
    await holdLocked(t, pool, 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`${shop.shopId}/cus-locked`]),
  ];
  let answered = 0;
  const waiting = [locked, ofLocked].map(({ token }) =>
    redeem(shop, token).finally(() => {
      answered += 1;
    }),
  );
  for (const { status, text } of await Promise.all(others.map(({ token }) => redeem(shop, token)))) {
    t.equal(status, 200, text);
  }
  t.equal(answered, 0);
  for (const one of letGo) await one();
  for (const { status, text } of await Promise.all(waiting)) t.equal(status, 200, text);
  await audit(pool);
});

t.test('a customer’s second basket takes the place of the first, also when it arrives with others', async (t) => {
  const customer = { id: 'cus-two' };
  const first = await clicked({ customer });
  await activate(shop, first.startBasketUrl);
  const [second, ...others] = [await clicked({ customer }), ...(await manyClicked(6))];
  const [answer] = await Promise.all([second, ...others].map(({ token }) => redeem(shop, token)));
  t.match(answer, { status: 200, body: { expiredBasketIds: [first.id] } });
  t.equal((await readBasket(shop, first.id)).status, 'expired');
  await audit(pool);
});
