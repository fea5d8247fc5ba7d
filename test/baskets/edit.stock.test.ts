import t from 'tap';
import { audit } from '../support/audit.ts';
import {
  type Created,
  complete,
  createBasket,
  openBasket,
  patiently,
  putItem,
  type ShownProblem,
} from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

type Edited = Created & ShownProblem & { items: { itemId: string; quantity: number }[] };

const shop = await openShop(t, { settings: { basket: { maxLiveBasketsPerCustomer: null } } });
const { pool } = shop.service;
const add = (id: string, line: object) =>
  patiently(() => shop.backEnd.request<Edited>('POST', `/v1/baskets/${id}/lines`, line));
const change = (id: string, lineId: string, quantity: number) =>
  patiently(() => shop.backEnd.request<Edited>('PATCH', `/v1/baskets/${id}/lines/${lineId}`, { quantity }));
const remove = (id: string, lineId: string) =>
  patiently(() => shop.backEnd.request<Edited>('DELETE', `/v1/baskets/${id}/lines/${lineId}`));
const read = async (id: string) => (await shop.backEnd.request<Edited>('GET', `/v1/baskets/${id}`)).body;
const soldOut = { status: 409, code: 'insufficient_stock' } as const;
const statusesOf = (answers: readonly { status: number }[]) => answers.map(({ status }) => status).sort();

async function basketsOf(count: number, items: object[] = [{ itemId: 'stalls', quantity: 1 }]): Promise<string[]> {
  const created = await Promise.all(Array.from({ length: count }, () => createBasket(shop, { items })));
  return created.map(({ id }) => id);
}

t.test('what is sold out cannot be added, and a basket keeps what it has', async (t) => {
  await putItem(shop, 'five', 5);
  await putItem(shop, 'free', 5);
  const { id } = await createBasket(shop, { items: [{ itemId: 'five', quantity: 2 }] });
  await createBasket(shop, { items: [{ itemId: 'five', quantity: 2 }] });
  const refusals: [what: string, requested: number, send: () => ReturnType<typeof add>][] = [
    ['two more in the line', 2, () => change(id, '1', 4)],
    ['two more of the item', 2, () => add(id, { itemId: 'five', quantity: 2 })],
    ['two more in another line', 2, () => add(id, { itemId: 'five', quantity: 2, custom: { row: 'B' } })],
  ];
  for (const [what, requested, send] of refusals) {
    const { body } = await assertRefused(t, shop, what, soldOut, send);
    t.same((body as ShownProblem).errors, [{ itemId: 'five', requested, available: 1 }]);
  }
  t.equal((await change(id, '1', 3)).status, 200, 'the last one');
  t.equal((await change(id, '1', 1)).status, 200);
  t.match(await shop.availability('five'), { held: 3, available: 2 }, 'what it gives back is there');
  t.equal((await add(id, { itemId: 'free', quantity: 5 })).status, 200);
  await audit(pool);
});

t.test('items of one pool draw on its stock together', async (t) => {
  await shop.owner.request('PUT', '/v1/pools/hall', { name: 'Hall', capacity: 4 });
  await putItem(shop, 'adult', 0, { capacity: null, poolId: 'hall' });
  await putItem(shop, 'child', 0, { capacity: null, poolId: 'hall' });
  const { id } = await createBasket(shop, { items: [{ itemId: 'adult', quantity: 3 }] });
  t.equal((await add(id, { itemId: 'child', quantity: 1 })).status, 200);
  const { body } = await assertRefused(t, shop, 'one more child', soldOut, () => change(id, '2', 2));
  t.same((body as ShownProblem).errors, [{ itemId: 'child', requested: 1, available: 0 }]);
  t.equal((await change(id, '1', 2)).status, 200);
  t.equal((await change(id, '2', 2)).status, 200, 'once an adult has made room');
  await audit(pool);
});

t.test(
  '64 baskets together reach for the last one: one gets it, and the others are told that there is none',
  async (t) => {
    await putItem(shop, 'last', 65);
    const baskets = await basketsOf(64, [{ itemId: 'last', quantity: 1 }]);
    const answers = await Promise.all(baskets.map((id) => change(id, '1', 2)));
    t.same(statusesOf(answers), [200, ...Array.from({ length: 63 }, () => 409)]);
    t.same(new Set(answers.map(({ body }) => body.code)), new Set([undefined, 'insufficient_stock']));
    t.match(await shop.availability('last'), { held: 65, available: 0 });
    await audit(pool);
  },
);

t.test('edits of one basket at once are made one after the other, and none is lost', async (t) => {
  await putItem(shop, 'many', 1000);
  const { id } = await createBasket(shop, { items: [{ itemId: 'many', quantity: 1 }] });
  const rows = Array.from({ length: 10 }, (_, at) => ({ row: at }));
  const answers = await Promise.all([
    ...Array.from({ length: 20 }, () => add(id, { itemId: 'many', quantity: 1 })),
    ...rows.map((custom) => add(id, { itemId: 'many', quantity: 2, custom })),
  ]);
  t.same(new Set(statusesOf(answers)), new Set([200]));
  const versions = answers.map(({ body }) => body.version).sort((a, b) => a - b);
  t.same(
    versions,
    Array.from({ length: 30 }, (_, at) => at + 2),
  );
  const { items } = await read(id);
  t.same(
    items.map(({ quantity }) => quantity),
    [21, ...rows.map(() => 2)],
  );
  await audit(pool);
});

t.test('baskets that exchange what they hold do not lock each other out', async (t) => {
  await putItem(shop, 'a', 60);
  await putItem(shop, 'b', 60);
  const baskets = await basketsOf(12, [
    { itemId: 'a', quantity: 2 },
    { itemId: 'b', quantity: 2 },
  ]);
  const steps = baskets.flatMap((id, at) => {
    const [up, down] = at % 2 === 0 ? ['1', '2'] : ['2', '1'];
    return [() => change(id, up ?? '', 3), () => change(id, down ?? '', 1), () => remove(id, up ?? '')];
  });
  const answers = await Promise.all(steps.map((step) => step()));
  t.same(
    answers.filter(({ status }) => status !== 200 && status !== 404).map(({ text }) => text),
    [],
  );
  await audit(pool);
});

t.test('editing, creating, completing and cancelling at once oversell nothing and lose nothing', async (t) => {
  await putItem(shop, 'mixed', 40);
  const opened = [];
  for (let at = 0; at < 12; at += 1) opened.push(await openBasket(shop, { items: [{ itemId: 'mixed', quantity: 1 }] }));
  const answers = await Promise.all(
    opened.flatMap(({ id }, at) => [
      change(id, '1', 6),
      add(id, { itemId: 'mixed', quantity: 1 }),
      at % 3 === 0
        ? patiently(() => complete(shop, id, { orderId: `order-${id}` }))
        : patiently(() =>
            shop.backEnd.request<Edited>('POST', `/v1/baskets/${id}/${at % 3 === 1 ? 'cancel' : 'extend'}`),
          ),
      patiently(() =>
        shop.backEnd.request<Edited>('POST', '/v1/baskets', { items: [{ itemId: 'mixed', quantity: 1 }] }),
      ),
    ]),
  );
  const unexpected = answers.filter(({ status }) => ![200, 201, 409].includes(status));
  t.same(
    unexpected.map(({ text }) => text),
    [],
  );
  await audit(pool);
});

t.test('a basket that gains a line of an event while it is cancelled is ended with it, or gains none', async (t) => {
  for (const round of [1, 2, 3, 4, 5]) {
    const eventId = `off-${round}`;
    await shop.owner.request('PUT', `/v1/events/${eventId}`, { name: eventId });
    await putItem(shop, `seat-${round}`, 100, { eventId });
    const baskets = await basketsOf(8);
    const [cancelled, ...answers] = await Promise.all([
      shop.owner.request<Edited>('POST', `/v1/events/${eventId}/cancel`),
      ...baskets.map((id) => add(id, { itemId: `seat-${round}`, quantity: 1 })),
    ]);
    t.equal(cancelled.status, 200);
    t.same(
      answers.filter(({ status, body }) => status !== 200 && body.code !== 'event_cancelled').map(({ text }) => text),
      [],
    );
    await until('no live basket holds a seat', 12_000, async () => {
      const { rowCount } = await pool.query(
        `SELECT FROM baskets WHERE status IN ('open', 'activated', 'checkout') AND $1 = ANY(hold_stock_ids)`,
        [`item:seat-${round}`],
      );
      return rowCount === 0;
    });
    t.match(await shop.availability(`seat-${round}`), { held: 0 });
  }
  await audit(pool);
});

t.test('an item that is changed between its price and its hold is priced again', async (t) => {
  await putItem(shop, 'moving', 100, { price: 100 });
  const { id } = await createBasket(shop);
  const holder = await pool.connect();
  t.teardown(() => holder.release(true));
  await holder.query('BEGIN');
  await holder.query(`SELECT FROM stock WHERE stock_id = 'item:moving' FOR UPDATE`);
  const added = add(id, { itemId: 'moving', quantity: 1 });
  await until('the edit waits for the stock', 1500, async () => {
    const { rows } = await pool.query<{ count: number }>(
      `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return rows[0]?.count === 1;
  });
  // As a change of the catalogue does under this lock.
  await holder.query(`UPDATE items SET price = 900 WHERE item_id = 'moving'`);
  await holder.query(`UPDATE stock SET catalogue_version = catalogue_version + 1 WHERE stock_id = 'item:moving'`);
  await holder.query('COMMIT');
  t.match((await added).body.items[1], { itemId: 'moving', unitPrice: 900 });
  await audit(pool);
});
