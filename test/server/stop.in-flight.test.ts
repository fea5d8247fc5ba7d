import t from 'tap';
import { holdLocked } from '../support/races.ts';
import { api } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

t.test('a service that drains says at once that it is not ready, and serves all the same', async (t) => {
  const shop = await openShop(t);
  const probe = () => api(shop.service.url, null).request('GET', '/health/ready');
  const read = () => shop.backEnd.request('GET', '/v1/baskets');
  t.match(await probe(), { status: 200, body: { status: 'ok' } });
  t.equal((await read()).headers.get('connection'), 'keep-alive');

  const drained = shop.service.drain();
  t.match(await probe(), { status: 503, body: { status: 'unavailable', checks: { postgres: 'ok' } } });
  const served = await read();
  t.equal(served.status, 200);
  t.equal(served.headers.get('connection'), 'close', 'whoever keeps connections opens no more here');
  await drained;
});

t.test('a request that is under way when the service stops is answered as any other', async (t) => {
  const shop = await openShop(t);
  const { pool } = shop.service;
  const letGo = await holdLocked(t, pool, 'SELECT FROM stock WHERE shop_id = $1 FOR UPDATE', [shop.shopId]);
  const creating = shop.backEnd.request('POST', '/v1/baskets', { items: [{ itemId: 'stalls', quantity: 1 }] });
  await until('the creation waits for the stock', 5000, async () => {
    const { rows } = await pool.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return rows.length > 0;
  });

  const stopped = shop.service.stop();
  await until('nobody is let in', 5000, async () =>
    fetch(`${shop.service.url}/health/live`).then(
      () => false,
      () => true,
    ),
  );
  await letGo();
  t.match(await creating, { status: 201, body: { status: 'open' } });
  await stopped;
});
