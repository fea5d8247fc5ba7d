import t from 'tap';
import { audit } from '../support/audit.ts';
import { activate, createBasket, letExpire } from '../support/journey.ts';
import { assertRefused } from '../support/refusal.ts';
import { startTestService } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

type Read = Record<string, unknown> & { version: number };

t.test('a basket past its time reads as expired at once, and the same after it was swept as before', async (t) => {
  const shop = await openShop(t);
  const { pool, config, redisKeyPrefix } = shop.service;
  const open = await createBasket(shop, { customer: { id: 'cus-1' }, campaign: 'c-1' });
  const activated = await createBasket(shop, { customer: { email: 'a@b.example' } });
  await activate(shop, activated.startBasketUrl);
  const paying = await createBasket(shop);
  await activate(shop, paying.startBasketUrl);
  await shop.payments.request('POST', `/v1/baskets/${paying.id}/checkout`);
  const ids = [open.id, activated.id, paying.id];
  const read = (id: string) => shop.backEnd.request<Read>('GET', `/v1/baskets/${id}`);
  const live = await Promise.all(ids.map(read));

  // A share of the key keeps the sweeper off the rows, and lets their times be changed.
  const shield = await pool.connect();
  t.teardown(() => shield.release(true));
  await shield.query('BEGIN');
  await shield.query('SELECT FROM baskets FOR KEY SHARE');
  await letExpire(shop, ...ids);

  const before = await Promise.all(ids.map(read));
  for (const [at, { body, headers }] of before.entries()) {
    const version = (live[at]?.body.version ?? 0) + 1;
    t.match(body, {
      status: 'expired',
      statusReason: 'timeout',
      version,
      updatedAt: body.expiresAt,
      completedAt: null,
    });
    t.equal(headers.get('etag'), `"${version}"`);
  }
  const listed = await shop.backEnd.request<{ data: object[] }>('GET', '/v1/baskets?status=expired');
  const unread = (body: object) => ({ ...body, serverTime: null });
  t.same(listed.body.data.map(unread), before.map(({ body }) => unread(body)).reverse());
  for (const status of ['open', 'activated', 'checkout']) {
    const { body } = await shop.backEnd.request('GET', `/v1/baskets?status=${status}`);
    t.same(body, { data: [], nextCursor: null }, status);
  }
  const { rows } = await pool.query<{ swept: number }>(
    `SELECT count(*) AS swept FROM baskets WHERE status = 'expired'`,
  );
  t.same(rows, [{ swept: 0 }], 'none of it was swept so far');

  await shield.query('COMMIT');
  const ended = { status: 409, code: 'basket_not_live' } as const;
  for (const [method, suffix, body] of [
    ['POST', '/cancel', {}],
    ['POST', '/link', {}],
    ['PATCH', '', { reference: 'r' }],
  ] as const) {
    await assertRefused(t, shop, `${method} …${suffix}`, ended, () =>
      shop.backEnd.request(method, `/v1/baskets/${open.id}${suffix}`, body),
    );
  }
  // A new replica looks at all that is due as soon as it starts.
  await startTestService(t, { databaseUrl: config.databaseUrl }, redisKeyPrefix);
  await until('all are swept', 15_000, async () => {
    const { rows } = await pool.query<{ swept: number }>(
      `SELECT count(*) AS swept FROM baskets WHERE status = 'expired'`,
    );
    return rows[0]?.swept === ids.length;
  });
  const after = await Promise.all(ids.map(read));
  for (const [at, { body, headers }] of after.entries()) {
    t.same(unread(body), unread(before[at]?.body ?? {}));
    t.equal(headers.get('etag'), before[at]?.headers.get('etag'));
  }
  t.match(await shop.availability('stalls'), { held: 0 });
  await audit(pool);
});
