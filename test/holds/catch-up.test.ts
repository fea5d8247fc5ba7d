import t from 'tap';
import { catchUp } from '../../src/holds/catch-up.ts';
import { checkEpoch } from '../../src/holds/index.ts';
import { audit } from '../support/audit.ts';
import { createBasket } from '../support/journey.ts';
import { closedRedisUrl, countedRow, holdsIn, inspectRedis, partitionKeys } from '../support/redis.ts';
import { api, mintToken, startTestService, visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { openStoppedShop } from '../support/stopped-shop.ts';
import { until } from '../support/until.ts';

const member = (id: string) => `roxy/${id}`;

t.test('what a replica did that Redis did not hear of reaches the click within ten seconds', async (t) => {
  const shop = await openShop(t);
  const { databaseUrl, publicUrl } = shop.service.config;
  const keys = inspectRedis(t, shop.service.redisKeyPrefix);
  const mute = await startTestService(t, { databaseUrl, publicUrl, redisUrl: closedRedisUrl });
  const as = async (scope: string) => api(mute.url, await mintToken({ shop: 'roxy', scope }));
  const [backEnd, owner] = [await as('baskets:write'), await as('shop:write')];
  await shop.owner.request('PUT', '/v1/events/evt-2', { name: 'Another' });
  await shop.owner.request('PUT', '/v1/items/other', { name: 'Seat', eventId: 'evt-2', price: 100, capacity: 10 });

  const rows: { code: string; body?: object; change: (id: string) => Promise<{ status: number }> }[] = [
    { code: 'basket_cancelled', change: (id) => backEnd.request('POST', `/v1/baskets/${id}/cancel`) },
    // Nothing that is counted changes with these.
    { code: 'link_revoked', change: (id) => backEnd.request('DELETE', `/v1/baskets/${id}/link`) },
    {
      code: 'basket_cancelled',
      body: { reserve: 'activation', linkMode: 'redirect' },
      change: (id) => backEnd.request('POST', `/v1/baskets/${id}/cancel`),
    },
    {
      code: 'event_suspended',
      body: { items: [{ itemId: 'other', quantity: 1 }] },
      change: () => owner.request('PATCH', '/v1/events/evt-2', { status: 'suspended' }),
    },
  ];
  await Promise.all(
    rows.map(async ({ code, body, change }) => {
      const { id, startBasketUrl } = await createBasket(shop, body);
      await until('Redis has its link', 5000, async () =>
        /^held \d+ @/.test((await keys.hget(partitionKeys.holds, member(id))) ?? ''),
      );
      const { status } = await change(id);
      t.equal(status, 200);
      await until(`the click knows of ${code}`, 10_000, async () =>
        (await visit(startBasketUrl)).headers.location?.includes(`error=${code}&`),
      );
    }),
  );
  await audit(shop.service.pool);
});

t.test('Redis is told again of what has changed since it was last, once, as Postgres has it', async (t) => {
  const { keys, pool, replica, baskets } = await openStoppedShop(t, { baskets: 4 });
  const { admission, ...mine } = await replica();
  await checkEpoch({ admission, ...mine });
  await catchUp(mine.pool, admission);
  const before = await holdsIn(keys);
  const [cancelled, completed, updated, timedOut] = baskets.map(({ id }) => id);
  const announce = (id: string | undefined, type: string, change: string) =>
    pool.query(
      `WITH changed AS (UPDATE baskets SET ${change}, version = 2, sequence = 2 WHERE basket_id = $1 RETURNING *)
       INSERT INTO outbox (shop_id, subject_id, sequence, type, data)
       SELECT shop_id, basket_id, 2, $2, row_to_json(changed) FROM changed`,
      [id, type],
    );
  await announce(cancelled, 'basket.cancelled', `status = 'cancelled'`);
  await announce(completed, 'basket.completed', `status = 'completed', order_id = 'o'`);
  await announce(updated, 'basket.updated', 'link_generation = 77');
  await announce(timedOut, 'basket.expired', `status = 'expired', status_reason = 'timeout'`);

  await catchUp(mine.pool, admission);
  t.same(await holdsIn(keys), {
    [member(updated ?? '')]: 'held 2 item:stalls=1',
    [member(timedOut ?? '')]: 'held 1 item:stalls=1',
  });
  t.match(await keys.hget(partitionKeys.holds, member(updated ?? '')), / @77\//);
  t.equal(await countedRow(keys, 'item:stalls'), '100 2 0 1');

  for (const [name, hold] of Object.entries(before)) await keys.hset(partitionKeys.holds, name, hold);
  await catchUp(mine.pool, admission);
  t.same(await holdsIn(keys), before, 'nothing has changed since');
});

t.test('what Redis could not be told of is told when it can be', async (t) => {
  const { keys, pool, replica, baskets } = await openStoppedShop(t);
  const { admission, ...mine } = await replica();
  await checkEpoch({ admission, ...mine });
  await catchUp(mine.pool, admission);
  const epoch = admission.epoch();
  await pool.query(
    `WITH changed AS (UPDATE baskets SET status = 'cancelled', sequence = 2 WHERE basket_id = $1 RETURNING *)
     INSERT INTO outbox (shop_id, subject_id, sequence, type, data)
     SELECT shop_id, basket_id, 2, 'basket.cancelled', row_to_json(changed) FROM changed`,
    [baskets[0]?.id],
  );
  admission.adopt(null);
  await catchUp(mine.pool, admission);
  t.equal(Object.keys(await holdsIn(keys)).length, 2);
  admission.adopt(epoch);
  await catchUp(mine.pool, admission);
  t.equal(Object.keys(await holdsIn(keys)).length, 1);
});

t.test('which events are stopped is made to agree, and a copy that is built anew knows of them', async (t) => {
  const { keys, pool, replica } = await openStoppedShop(t);
  const { admission, ...mine } = await replica();
  await checkEpoch({ admission, ...mine });
  const stopped = async () => ((await admission.stoppedEvents()) ?? []).map(({ eventId }) => eventId).sort();
  const put = (eventId: string, status: string, ended = false) =>
    pool.query(
      `INSERT INTO events (shop_id, event_id, name, status, baskets_ended) VALUES ('roxy', $1, 'An event', $2, $3)
       ON CONFLICT (shop_id, event_id) DO UPDATE SET status = $2, baskets_ended = $3`,
      [eventId, status, ended],
    );
  await put('suspended', 'suspended');
  await put('cancelled', 'cancelled');
  await put('over', 'cancelled', true);
  await admission.stopEvents([{ shopId: 'roxy', eventId: 'evt-1' }]);
  await catchUp(mine.pool, admission);
  t.same(await stopped(), ['cancelled', 'suspended']);
  await put('suspended', 'scheduled');
  await keys.del(partitionKeys.stock);
  t.equal(await checkEpoch({ admission, ...mine }), 'rebuilt');
  t.same(await stopped(), ['cancelled']);
});
