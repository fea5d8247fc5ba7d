import { randomBytes } from 'node:crypto';
import t from 'tap';
import { audit } from '../support/audit.ts';
import {
  activate,
  type Created,
  complete,
  createBasket,
  letExpire,
  openBasket,
  readBasket,
  type ShownProblem,
  statusInRow,
} from '../support/journey.ts';
import { assertRefused, contentsOf } from '../support/refusal.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

type Erased = { customerId: string; erasedBaskets: number; liveBasketIds: string[] };

const shop = await openShop(t, { settings: { basket: { maxLiveBasketsPerCustomer: null } } });
const { backEnd, owner } = shop;
const { pool } = shop.service;
const erase = (customerId: string, headers: Record<string, string> = {}) =>
  owner.request<Erased & ShownProblem>('POST', `/v1/customers/${customerId}/erase`, undefined, headers);
const cancel = (id: string) => backEnd.request('POST', `/v1/baskets/${id}/cancel`);

/** The request of a basket that tells of a person by texts that occur nowhere else. */
function personal(customerId: string) {
  const text = `canary-${randomBytes(6).toString('hex')}`;
  const person = { email: `${text}@mail.example`, name: text, username: text, usernameId: text };
  return {
    text,
    body: {
      items: [{ itemId: 'stalls', quantity: 1, variables: { attendee: text }, custom: { note: text } }],
      customer: { id: customerId, ...person },
      ipAddress: '203.0.113.77',
      custom: { note: text },
      reference: 'booking-7',
    },
  };
}

/** The tables in which a text stands. */
async function tablesWith(text: string): Promise<string[]> {
  const { rows: tables } = await pool.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`,
  );
  const found: string[] = [];
  for (const { name } of tables) {
    const { rows } = await pool.query(
      `SELECT FROM ${name} x WHERE row_to_json(x)::text LIKE '%' || $1 || '%' LIMIT 1`,
      [text],
    );
    if (rows.length > 0) found.push(name);
  }
  return found;
}

t.test('after an erasure no table holds what an ended basket told of its customer, and answers are null', async (t) => {
  const { text, body } = personal('anna');
  const key = { 'idempotency-key': 'anna-1' };
  const create = () => backEnd.request<Created & { items: object[] }>('POST', '/v1/baskets', body, key);
  const first = await create();
  t.equal(first.status, 201, first.text);
  const { id, startBasketUrl } = first.body;
  await activate(shop, startBasketUrl, { customerId: 'anna' });
  t.equal((await complete(shop, id, { orderId: 'order-1' })).status, 200);
  const ended = { cancelled: (await createBasket(shop, body)).id, expired: (await createBasket(shop, body)).id };
  await cancel(ended.cancelled);
  await letExpire(shop, ended.expired);
  t.same((await tablesWith(text)).sort(), ['baskets', 'outbox'], 'it would be found');

  const { status, body: erased } = await erase('anna');
  t.same({ status, erased }, { status: 200, erased: { customerId: 'anna', erasedBaskets: 3, liveBasketIds: [] } });
  t.same(await tablesWith(text), []);
  t.same(await tablesWith('203.0.113.77'), []);

  const nulls = {
    customer: { id: 'anna', email: null, name: null, username: null, usernameId: null },
    ipAddress: null,
    custom: {},
    reference: 'booking-7',
    totals: { due: 3000 },
  };
  const again = await create();
  t.match(again, { status: 201, body: { ...nulls, id, status: 'open', startBasketUrl } }, 'the stored answer');
  t.equal(again.headers.get('idempotent-replayed'), 'true');
  t.same(again.body.items, [{ ...first.body.items[0], variables: {}, custom: {} }]);
  const read = (await backEnd.request('GET', `/v1/baskets/${id}`, undefined, { 'if-none-match': '"3"' })).body;
  t.match(read, { ...nulls, status: 'completed', orderId: 'order-1', items: [{ variables: {}, custom: {} }] });
  t.match(await readBasket(shop, ended.expired), { ...nulls, status: 'expired' });
  await audit(pool);

  await until('it is swept', 15_000, async () => (await statusInRow(shop, ended.expired)) === 'expired');
  const before = await contentsOf(pool);
  t.match((await erase('anna')).body, { erasedBaskets: 0 });
  t.same(await contentsOf(pool), before, 'once erased, nothing is written again');

  const refunded = await shop.payments.request('POST', `/v1/baskets/${id}/refund`);
  t.equal(refunded.status, 200, 'what is done with it later needs nothing of that');
  await audit(pool);
});

t.test('live baskets are left as they are and named, and so is everybody else’s', async (t) => {
  const { text, body } = personal('ben');
  const made = [
    await openBasket(shop, body),
    await createBasket(shop, body),
    await createBasket(shop, { ...body, reserve: 'activation' }),
  ];
  const live = made.map(({ id }) => id).sort();
  const other = personal('ben-2');
  await cancel((await createBasket(shop, other.body)).id);
  const before = await contentsOf(pool);
  t.match(await erase('ben'), { status: 200, body: { erasedBaskets: 0, liveBasketIds: live } });
  t.same(await contentsOf(pool), before);
  for (const id of live) await cancel(id);
  t.match(await erase('ben'), { status: 200, body: { erasedBaskets: 3, liveBasketIds: [] } });
  t.same(await tablesWith(text), []);
  t.same((await tablesWith(other.text)).sort(), ['baskets', 'outbox']);
});

t.test('a snapshot that is written while the erasure waits for its basket is erased, too', async (t) => {
  const { text, body } = personal('carla');
  const { id } = await createBasket(shop, body);
  await cancel(id);
  const client = await pool.connect();
  await client.query('BEGIN');
  await client.query('SELECT FROM baskets WHERE shop_id = $1 AND basket_id = $2 FOR UPDATE', [shop.shopId, id]);
  const erasing = erase('carla');
  await until('the erasure waits', 5000, async () => {
    const { rows } = await pool.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return rows.length > 0;
  });
  await client.query(
    `WITH changed AS (
       UPDATE baskets SET sequence = sequence + 1, version = version + 1 WHERE shop_id = $1 AND basket_id = $2 RETURNING *
     )
     INSERT INTO outbox (shop_id, subject_id, sequence, type, data)
     SELECT shop_id, basket_id, sequence, 'basket.completion_refused', row_to_json(changed) FROM changed`,
    [shop.shopId, id],
  );
  await client.query('COMMIT');
  client.release();
  t.match(await erasing, { status: 200, body: { erasedBaskets: 1 } });
  t.same(await tablesWith(text), []);
});

t.test('many baskets are erased batch by batch: what stands in the way stops only the rest', async (t) => {
  const { text, body } = personal('dora');
  const { id } = await createBasket(shop, body);
  await cancel(id);
  // Ids that sort after it.
  const copies = 250;
  const copy = (columns: string, from: string) =>
    `SELECT (jsonb_populate_record(x, jsonb_build_object('${columns}', x.${columns} || '-' || lpad(n::text, 3, '0')))).*
     FROM ${from} x, generate_series(1, ${copies}) AS n WHERE x.shop_id = $1 AND x.${columns} = $2`;
  await pool.query(`INSERT INTO baskets ${copy('basket_id', 'baskets')}`, [shop.shopId, id]);
  await pool.query(`INSERT INTO outbox ${copy('subject_id', 'outbox')}`, [shop.shopId, id]);
  const left = async () => {
    const { rows } = await pool.query<{ count: number }>(
      `SELECT count(*) FROM baskets WHERE shop_id = $1 AND customer_id = 'dora' AND content::text LIKE '%' || $2 || '%'`,
      [shop.shopId, text],
    );
    return rows[0]?.count;
  };
  const client = await pool.connect();
  await client.query('BEGIN');
  await client.query('SELECT FROM baskets WHERE shop_id = $1 AND basket_id = $2 FOR UPDATE', [
    shop.shopId,
    `${id}-${copies}`,
  ]);
  const stopped = await erase('dora', { 'idempotency-key': 'dora' });
  t.match(stopped, { status: 503, body: { code: 'unavailable' } });
  t.match(stopped.headers.get('retry-after'), /^\d+$/);
  t.equal(await left(), copies + 1 - 200, 'two batches of a hundred are erased');
  await client.query('ROLLBACK');
  client.release();
  t.match(await erase('dora', { 'idempotency-key': 'dora' }), {
    status: 200,
    body: { erasedBaskets: copies + 1 - 200 },
  });
  t.same(await tablesWith(text), []);
  await audit(pool);
});

t.test('an erasure needs no body and takes no other', async (t) => {
  for (const body of [{ evil: 1 }, { customerId: 'anna' }]) {
    await assertRefused(t, shop, JSON.stringify(body), { status: 400, code: 'invalid_request' }, () =>
      owner.request('POST', '/v1/customers/anna/erase', body),
    );
  }
  await assertRefused(t, shop, 'no id', { status: 404, code: 'not_found' }, () => erase('an%20id'));
  t.match(await erase('nobody'), { status: 200, body: { erasedBaskets: 0, liveBasketIds: [] } });
});
