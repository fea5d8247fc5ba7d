import t from 'tap';
import { haveEverythingHappen } from '../support/busy-shop.ts';
import { createBasket, forgetLinks } from '../support/journey.ts';
import { changesOf, readMetrics } from '../support/metrics.ts';
import { startReceiver } from '../support/receiver.ts';
import { visit } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

const shop = await openShop(t, { config: { webhookAllowPrivate: true } });
const { url, pool } = shop.service;
const hooks = await shop.withScope('webhooks:write');
const putHook = (name: string, hookUrl: string) => hooks.request('PUT', `/v1/webhooks/${name}`, { url: hookUrl });

/** Waits until what has changed of a metric is this. */
async function untilChanged(name: string, before: Awaited<ReturnType<typeof readMetrics>>, wanted: object) {
  let last = {};
  const isThere = async () => {
    last = changesOf(name, before.samples, (await readMetrics(url)).samples);
    return JSON.stringify(sorted(last)) === JSON.stringify(sorted(wanted));
  };
  await until(name, 10_000, isThere).catch(() => {});
  t.strictSame(sorted(last), sorted(wanted), name);
}
const sorted = (counts: object) => Object.entries(counts).sort(([one], [other]) => (one < other ? -1 : 1));
const shownValue = async (name: string) =>
  (await readMetrics(url)).samples.find((sample) => sample.name === name)?.value ?? Number.NaN;

t.test('everything that becomes of a basket is counted once, and names nobody', async (t) => {
  const before = await readMetrics(url);
  const untold = await haveEverythingHappen(shop, 1);
  await untilChanged('basketlink_basket_changes_total', before, {
    created: 5,
    activated: 2,
    completed: 1,
    refunded: 1,
    cancelled: 1,
    event_cancelled: 1,
    superseded: 1,
    expired: 1,
  });
  await untilChanged('basketlink_expiry_lateness_seconds_count', before, { '': 1 });
  // Two were pressed, one opened without a page and one with it; the last two led nowhere.
  const openings = async () => {
    const changes = changesOf('basketlink_link_openings_total', before.samples, (await readMetrics(url)).samples);
    const { redirected = 0, redirected_cold = 0, ...others } = changes;
    // On a busy machine Redis may not have heard of a basket when its link is clicked.
    return { ...others, redirected: redirected + redirected_cold };
  };
  t.strictSame(sorted(await openings()), sorted({ redirected: 3, page: 1, refused: 2 }));
  await untilChanged('basketlink_commit_batch_size_count', before, { create: 6, redeem: 2, complete: 1 });
  const { text } = await readMetrics(url);
  for (const secret of untold) t.notOk(text.includes(secret), secret);
});

t.test('a click that Redis could not answer is told from one that it could', async (t) => {
  const { id, startBasketUrl } = await createBasket(shop);
  const before = await readMetrics(url);
  await forgetLinks(shop, id);
  await visit(startBasketUrl);
  await untilChanged('basketlink_link_openings_total', before, { redirected_cold: 1 });
  t.pass();
});

t.test(
  'what webhooks take, do not take and will never take is counted, and what waits for nobody is no lag',
  async (t) => {
    const receiver = await startReceiver(t, ({ path }) => ({
      status: path.endsWith('/gone') ? 410 : path.endsWith('/broken') ? 500 : 204,
    }));
    const before = await readMetrics(url);
    for (const name of ['works', 'gone', 'broken']) await putHook(name, `${receiver.url}/${name}`);
    await createBasket(shop);
    await untilChanged('basketlink_webhooks_disabled_total', before, { gone: 1 });
    await untilChanged('basketlink_deliveries_total', before, { delivered: 1, retried: 2 });

    t.ok((await shownValue('basketlink_outbox_lag_seconds')) < 5, 'nothing waits');
    await pool.query(`UPDATE deliveries d SET status = 'pending', next_try_at = now() - interval '10 minutes',
    leased_until = now() + interval '1 hour' FROM webhooks w WHERE w.shop_id = d.shop_id
    AND w.webhook_number = d.webhook_number AND w.webhook_id IN ('gone', 'broken')`);
    t.ok(
      (await shownValue('basketlink_outbox_lag_seconds')) < 5,
      'what waits for a failing or disabled webhook waits for it',
    );
    await pool.query(`UPDATE deliveries d SET status = 'pending', next_try_at = now() - interval '2 minutes',
    leased_until = now() + interval '1 hour' FROM webhooks w WHERE w.shop_id = d.shop_id
    AND w.webhook_number = d.webhook_number AND w.webhook_id = 'works'`);
    t.match(
      Math.round((await shownValue('basketlink_outbox_lag_seconds')) / 60),
      2,
      'a delivery that is due and not tried',
    );
  },
);

t.test('a change of which no delivery is made shows as lag, from when it was made', async (t) => {
  const receiver = await startReceiver(t);
  await putHook('unseen', `${receiver.url}/unseen`);
  await pool.query(`UPDATE deliveries SET status = 'delivered' WHERE status = 'pending'`);
  const holder = await pool.connect();
  await holder.query('BEGIN');
  // The relay leaves alone what somebody else has locked.
  await holder.query('SELECT FROM webhooks FOR UPDATE');
  const { id } = await createBasket(shop);
  await pool.query(`UPDATE outbox SET created_at = now() - interval '3 minutes' WHERE subject_id = $1`, [id]);
  t.match(Math.round((await shownValue('basketlink_outbox_lag_seconds')) / 60), 3);
  await holder.query('ROLLBACK');
  holder.release();
  await until('it is sent', 10_000, async () => receiver.received.some(({ basketId }) => basketId === id));
  await until('nothing waits', 10_000, async () => (await shownValue('basketlink_outbox_lag_seconds')) < 5);
});

t.test('metrics say whether Postgres and Redis are there, and are shown without them', async (t) => {
  t.equal(await shownValue('basketlink_postgres_up'), 1);
  t.equal(await shownValue('basketlink_redis_up'), 1);
  t.equal(await shownValue('basketlink_redis_in_use'), 1);
  const away = await openShop(t, { config: { redisUrl: 'redis://127.0.0.1:1' } });
  const { samples } = await readMetrics(away.service.url);
  const of = (name: string) => samples.find((sample) => sample.name === name)?.value;
  t.match([of('basketlink_postgres_up'), of('basketlink_redis_up'), of('basketlink_redis_in_use')], [1, 0, 0]);
});
