import pg from 'pg';
import t, { type Test } from 'tap';
import { purgeDeliveries } from '../../src/webhooks/relay/store.ts';
import { audit } from '../support/audit.ts';
import { activate, checkout, complete, createBasket } from '../support/journey.ts';
import { type Received, sequencesOf, startReceiver } from '../support/receiver.ts';
import { asTester, startTestService } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

type Shown = { webhookId: string; status: string; disabledReason: string | null; failingSince: string | null };
type Delivery = {
  deliveryId: string;
  type: string;
  basketId: string | null;
  sequence: number;
  status: string;
  attempts: { responseStatus: number | null; durationMs: number; error: string | null }[];
  nextTryAt: string | null;
};
type Change = { type: string; data: { basket?: { id: string }; webhook?: object } };

const soonMs = 10_000;
const shop = await openShop(t, { config: { webhookAllowPrivate: true } });
const { pool, config, redisKeyPrefix } = shop.service;
const owner = await shop.withScope('webhooks:write baskets:write');
const partner = await shop.withScope('webhooks:write baskets:write', 'partner-a');
await shop.owner.request('PATCH', '/v1/items/stalls', { capacity: 10_000 });
let made = 0;

/** A webhook of the test's own, gone with it. */
async function register(t: Test, url: string, body: object = {}, client = owner): Promise<string> {
  made += 1;
  const webhookId = `hook-${made}`;
  const answer = await client.request('PUT', `/v1/webhooks/${webhookId}`, { url, ...body });
  if (answer.status !== 200) throw new Error(answer.text);
  t.teardown(() => client.request('DELETE', `/v1/webhooks/${webhookId}`));
  return webhookId;
}
const read = async (webhookId: string, client = owner) =>
  (await client.request<Shown>('GET', `/v1/webhooks/${webhookId}`)).body;
const deliveriesOf = async (webhookId: string, client = owner) =>
  (await client.request<{ data: Delivery[] }>('GET', `/v1/webhooks/${webhookId}/deliveries?limit=100`)).body.data;
/** Waits until a webhook has as many deliveries, and all of them are as they are to be. */
const untilAll = (webhookId: string, count: number, are: (delivery: Delivery) => boolean, client = owner) =>
  until(`${count} deliveries`, soonMs, async () => {
    const all = await deliveriesOf(webhookId, client);
    return all.length === count && all.every(are);
  });
const has = (received: readonly Received[], count: number) =>
  until(`${count} messages`, soonMs, async () => received.length >= count);
/** Lets the next try of whatever waits be due by Postgres' clock. */
const letBeDue = () => pool.query(`UPDATE deliveries SET next_try_at = now() WHERE status = 'pending'`);

t.test('a change reaches each webhook that wants its type, with the bytes of the feed', async (t) => {
  const [all, some] = [await startReceiver(t), await startReceiver(t)];
  await register(t, all.url);
  await register(t, some.url, { types: ['basket.completed'] });
  const { body: before } = await owner.request<{ nextAfter: string }>('GET', '/v1/changes?limit=100');
  const { id, startBasketUrl } = await createBasket(shop);
  await activate(shop, startBasketUrl);
  await checkout(shop, id);
  await complete(shop, id, { orderId: `o-${id}` });
  await has(all.received, 4);
  await has(some.received, 1);
  t.strictSame(
    all.received.map(({ type }) => type),
    ['basket.created', 'basket.activated', 'basket.checkout_started', 'basket.completed'],
  );
  t.strictSame(
    some.received.map(({ type }) => type),
    ['basket.completed'],
  );
  const feed = await owner.request<{ data: object[] }>('GET', `/v1/changes?limit=100&after=${before.nextAfter}`);
  t.strictSame(
    all.received.map(({ text }) => text),
    feed.body.data.map((change) => JSON.stringify(change)),
  );
  t.ok(feed.text.includes(all.received[0]?.text ?? 'nothing came'), 'the very bytes');
  t.equal(new Set(all.received.map(({ id }) => id)).size, 4, 'each under an id of its own');
});

t.test('a webhook is told of what happens after its registration, a partner of its own baskets', async (t) => {
  await createBasket(shop, {}, partner);
  const [ofShop, ofPartner] = [await startReceiver(t), await startReceiver(t)];
  await register(t, ofShop.url);
  await register(t, ofPartner.url, {}, partner);
  const theirs = await createBasket(shop, {}, partner);
  const other = await createBasket(shop);
  await has(ofShop.received, 2);
  await has(ofPartner.received, 1);
  t.same(new Set(ofShop.received.map(({ basketId }) => basketId)), new Set([theirs.id, other.id]));
  t.strictSame(
    ofPartner.received.map(({ basketId }) => basketId),
    [theirs.id],
  );
});

t.test('a change that commits late is sent when it has, and once', async (t) => {
  const { url, received } = await startReceiver(t);
  await register(t, url);
  const slow = new pg.Client({ connectionString: asTester(config.databaseUrl) });
  await slow.connect();
  await slow.query('BEGIN');
  await slow.query(
    `INSERT INTO outbox (shop_id, subject_id, sequence, type, data)
     VALUES ('roxy', 'event:slow', 1, 'event.cancelled', '{"eventId": "slow"}')`,
  );
  await createBasket(shop);
  await has(received, 1);
  await slow.query('COMMIT');
  await slow.end();
  await has(received, 2);
  await createBasket(shop);
  await has(received, 3);
  t.strictSame(
    received.map(({ type }) => type),
    ['basket.created', 'event.cancelled', 'basket.created'],
  );
});

t.test('the changes of a basket are sent one after the other, in their order', async (t) => {
  const { url, received } = await startReceiver(t);
  const webhookId = await register(t, url);
  const baskets = await Promise.all(Array.from({ length: 4 }, () => createBasket(shop)));
  for (let n = 1; n < 8; n += 1) {
    const change = { custom: { n } };
    await Promise.all(baskets.map(({ id }) => shop.backEnd.request('PATCH', `/v1/baskets/${id}`, change)));
  }
  await has(received, 32);
  t.strictSame(
    [...sequencesOf(received).values()],
    baskets.map(() => [1, 2, 3, 4, 5, 6, 7, 8]),
  );
  await untilAll(webhookId, 32, ({ status, attempts }) => status === 'delivered' && attempts.length === 1);
});

t.test('what was not taken is tried again when it is due, under the same id and with the same bytes', async (t) => {
  let status = 500;
  const { url, received } = await startReceiver(t, () => ({ status }));
  const webhookId = await register(t, url);
  const { id } = await createBasket(shop);
  const failed = await until('the first try is noted', soonMs, async () => {
    const [delivery] = await deliveriesOf(webhookId);
    return delivery?.attempts.length === 1 && delivery;
  });
  t.match(failed, { basketId: id, status: 'pending', attempts: [{ responseStatus: 500, error: null }] });
  const waitMs = Date.parse(failed.nextTryAt ?? '') - Date.now();
  t.ok(waitMs > 3000 && waitMs <= 5500, `after 5 s, not ${waitMs} ms`);
  t.type((await read(webhookId)).failingSince, 'string');
  status = 200;
  await letBeDue();
  const delivered = await until('the second try is noted', soonMs, async () => {
    const [delivery] = await deliveriesOf(webhookId);
    return delivery?.attempts.length === 2 && delivery;
  });
  t.match(delivered, { status: 'delivered', nextTryAt: null, attempts: [{}, { responseStatus: 200 }] });
  t.equal(received[0]?.id, received[1]?.id);
  t.equal(received[0]?.id, delivered.deliveryId);
  t.equal(received[0]?.text, received[1]?.text);
  t.equal((await read(webhookId)).failingSince, null);
});

t.test('the last of ten tries is the last', async (t) => {
  const { url, received } = await startReceiver(t, () => ({ status: 500 }));
  const webhookId = await register(t, url);
  await createBasket(shop);
  await untilAll(webhookId, 1, ({ attempts }) => attempts.length === 1);
  await pool.query(`UPDATE deliveries SET attempt_count = 9, next_try_at = now() WHERE status = 'pending'`);
  await untilAll(webhookId, 1, ({ status, nextTryAt }) => status === 'failed' && nextTryAt === null);
  t.equal(received.length, 2);
});

t.test('a receiver that asks for time gets it, up to a day', async (t) => {
  const asked = new Map([
    ['3600', 3600],
    ['864000', 24 * 3600],
    ['1', 5],
  ]);
  for (const [retryAfter, seconds] of asked) {
    const { url } = await startReceiver(t, () => ({ status: 503, headers: { 'retry-after': retryAfter } }));
    const webhookId = await register(t, url);
    await createBasket(shop);
    const { nextTryAt } = await until('the first try is noted', soonMs, async () => {
      const [delivery] = await deliveriesOf(webhookId);
      return delivery?.attempts.length === 1 && delivery;
    });
    const waitSeconds = (Date.parse(nextTryAt ?? '') - Date.now()) / 1000;
    t.ok(waitSeconds > seconds - 3 && waitSeconds <= seconds * 1.1, `${retryAfter}: not ${waitSeconds} s`);
  }
});

t.test('a receiver that is gone is sent nothing more, and its owner finds that in the feed', async (t) => {
  const { url, received } = await startReceiver(t, () => ({ status: 410 }));
  const webhookId = await register(t, url, {}, partner);
  const { body: before } = await partner.request<{ nextAfter: string }>('GET', '/v1/changes?limit=100');
  const waiting = await startReceiver(t);
  await register(t, waiting.url);
  await createBasket(shop, {}, partner);
  await until('it is disabled', soonMs, async () => (await read(webhookId, partner)).status === 'disabled');
  t.match(await read(webhookId, partner), { disabledReason: 'gone' });
  await createBasket(shop, {}, partner);
  await has(waiting.received, 2);
  t.equal(received.length, 1);
  const feed = await partner.request<{ data: Change[] }>('GET', `/v1/changes?after=${before.nextAfter}`);
  t.strictSame(
    feed.body.data.filter(({ type }) => type === 'webhook.disabled').map(({ data }) => data),
    [{ webhook: { webhookId, url, reason: 'gone' } }],
  );
  await untilAll(webhookId, 1, ({ status }) => status === 'failed', partner);
  t.notOk(
    waiting.received.some(({ type }) => type === 'webhook.disabled'),
    'of which webhooks are not told',
  );
});

t.test('a webhook where nothing has succeeded for five days is disabled, and what waits there fails', async (t) => {
  const { url, received } = await startReceiver(t, () => ({ status: 500 }));
  const webhookId = await register(t, url);
  const failedFor = (interval: string) =>
    pool.query('UPDATE webhooks SET failing_since = now() - $2::interval WHERE webhook_id = $1', [webhookId, interval]);
  await createBasket(shop);
  await createBasket(shop);
  await untilAll(webhookId, 2, ({ attempts }) => attempts.length === 1);
  await failedFor('4 days 23 hours');
  await letBeDue();
  await untilAll(webhookId, 2, ({ attempts }) => attempts.length === 2);
  t.match(await read(webhookId), { status: 'enabled' });
  await failedFor('5 days 1 second');
  await pool.query(
    `UPDATE deliveries SET next_try_at = now() WHERE delivery_id = (SELECT max(delivery_id) FROM deliveries)`,
  );
  await until('it is disabled', soonMs, async () => (await read(webhookId)).status === 'disabled');
  t.match(await read(webhookId), { disabledReason: 'failing' });
  await untilAll(webhookId, 2, ({ status }) => status === 'failed');
  t.equal(received.length, 5);
});

t.test('a receiver that never answers keeps no other waiting', async (t) => {
  const hanging = await startReceiver(t, () => 'never');
  const refusing = await startReceiver(t, () => ({ status: 500 }));
  const sound = await startReceiver(t);
  for (const { url } of [hanging, refusing, sound]) await register(t, url);
  // A try there takes 15 s.
  for (let n = 0; n < 30; n += 1) {
    const { id } = await createBasket(shop);
    await until('it is delivered', soonMs, async () => sound.received.some(({ basketId }) => basketId === id));
  }
  t.equal(sound.received.length, 30);
  t.ok(hanging.received.length <= 20, 'and is asked twenty times at once at most');
});

t.test('two replicas send each change once', async (t) => {
  await startTestService(t, { databaseUrl: config.databaseUrl, webhookAllowPrivate: true }, redisKeyPrefix);
  const { url, received } = await startReceiver(t);
  const webhookId = await register(t, url);
  const body = { baskets: Array.from({ length: 100 }, () => ({ items: [{ itemId: 'stalls', quantity: 1 }] })) };
  for (let batch = 0; batch < 3; batch += 1) await shop.backEnd.request('POST', '/v1/baskets/batch', body);
  await has(received, 300);
  await until('all are noted', soonMs, async () => {
    const { rows } = await pool.query<{ pending: number }>(
      `SELECT count(*)::int AS pending FROM deliveries d JOIN webhooks w USING (shop_id, webhook_number)
       WHERE w.webhook_id = $1 AND d.status = 'pending'`,
      [webhookId],
    );
    return rows[0]?.pending === 0;
  });
  t.equal(received.length, 300);
  t.equal(new Set(received.map(({ id }) => id)).size, 300);
});

t.test('deliveries are kept for three days when they succeeded, for thirty when they failed', async (t) => {
  const { url } = await startReceiver(t);
  const webhookId = await register(t, url);
  const ids: string[] = [];
  for (let n = 0; n < 4; n += 1) ids.push((await createBasket(shop)).id);
  await untilAll(webhookId, 4, ({ status }) => status === 'delivered');
  const states = [
    ['delivered', '2 days 23 hours'],
    ['delivered', '3 days 1 hour'],
    ['failed', '29 days 23 hours'],
    ['failed', '30 days 1 hour'],
  ];
  for (const [at, [status, age]] of states.entries()) {
    await pool.query('UPDATE deliveries SET status = $2, updated_at = now() - $3::interval WHERE subject_id = $1', [
      ids[at],
      status,
      age,
    ]);
  }
  t.equal(await purgeDeliveries(pool), 2);
  t.same(new Set((await deliveriesOf(webhookId)).map(({ basketId }) => basketId)), new Set([ids[0], ids[2]]));
});

t.test('the books are right', async () => audit(pool));
