import { spawnSync } from 'node:child_process';
import t from 'tap';
import { auditPostgres } from '../../src/cli/audit.ts';
import { runRestored } from '../../src/cli/restored.ts';
import { startFleet } from '../support/fleet.ts';
import { activate, complete, createBasket, openBasket } from '../support/journey.ts';
import { startReceiver } from '../support/receiver.ts';
import { closedRedisUrl } from '../support/redis.ts';
import { differsForLong } from '../support/redis-copy.ts';
import { startTestService } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

type Feed = { data: { type: string; epoch?: number; data: { basket?: { id: string } } }[]; nextAfter: string };
const withinMs = 20_000;

async function restore(environment: NodeJS.ProcessEnv, yes = true, redisKeyPrefix = '') {
  const lines: string[] = [];
  const code = await runRestored(environment, yes, (line) => lines.push(line), redisKeyPrefix);
  return { code, text: lines.join('\n') };
}
const codeOf = async (link: string) => {
  const text = await (await fetch(link, { headers: { accept: 'application/json' }, redirect: 'manual' })).text();
  return /"code":"(\w+)"/.exec(text)?.[1] ?? 'none';
};

const [missing] = ['redis-server', 'redis-cli'].filter((program) => spawnSync(program, ['--version']).error);
const skip = missing === undefined ? false : `${missing} is not installed`;

t.test(
  'after a backup, links and cursors from before are refused, and all else goes on from there',
  { skip },
  async (t) => {
    const fleet = await startFleet(t, { env: { WEBHOOK_ALLOW_PRIVATE: 'true' } });
    const { shop, postgres, redis, pool } = fleet;
    const environment = { DATABASE_URL: postgres.url, REDIS_URL: redis.url };
    const hooks = await shop.withScope('webhooks:write');
    const receiver = await startReceiver(t);
    t.equal((await hooks.request('PUT', '/v1/webhooks/all', { url: receiver.url })).status, 200);
    const readFeed = (after: string) =>
      hooks.request<Feed>('GET', `/v1/changes?limit=100${after && `&after=${after}`}`);
    const arrived = (basketId: string) =>
      until('the webhook is told', withinMs, async () => receiver.received.some((one) => one.basketId === basketId));

    const kept = await createBasket(shop);
    const opened = await openBasket(shop);
    const sold = await openBasket(shop);
    t.equal((await complete(shop, sold.id, { orderId: 'order-1' })).status, 200);
    await arrived(sold.id);
    await postgres.backUp();
    await until('it serves again', withinMs, async () => (await readFeed('')).status === 200);
    const lost = await createBasket(shop);
    const lostOrder = await openBasket(shop);
    t.equal((await complete(shop, lostOrder.id, { orderId: 'order-2' })).status, 200);
    await arrived(lostOrder.id);
    const minted = await shop.backEnd.request<{ startBasketUrl: string }>('POST', `/v1/baskets/${kept.id}/link`);
    const after = (await readFeed('')).body.nextAfter;
    for (const replica of fleet.replicas) await replica.stop();
    await postgres.restoreBackup();

    const said = await restore(environment, false);
    t.match(said, {
      code: 0,
      text: /Would raise the epoch from 1 to 2: the links of 2 live baskets[\s\S]*Nothing was changed/,
    });
    const { rows } = await pool.query('SELECT epoch FROM service_state');
    t.same(rows, [{ epoch: 1 }], 'nothing was changed');
    const done = await restore(environment);
    t.match(done, {
      code: 0,
      text: /^The epoch is 2: the links of 2 live baskets.*\n.*go on.*\nRedis was built anew\.$/,
    });
    t.match(await differsForLong(t, pool, redis.url), [], 'Redis has what Postgres has');

    const [former] = fleet.replicas;
    await fleet.start({ port: Number(new URL(former?.url ?? '').port) });
    t.equal(await codeOf(kept.startBasketUrl), 'link_revoked');
    t.equal(await codeOf(minted.body.startBasketUrl), 'link_revoked', 'one that the backup has not heard of');
    t.equal(await codeOf(opened.startBasketUrl), 'link_revoked');
    t.equal(await codeOf(sold.startBasketUrl), 'link_used', 'ended ones say how they ended');
    t.equal(await codeOf(lost.startBasketUrl), 'basket_expired');
    t.match(await readFeed(after), { status: 400, body: { code: 'invalid_cursor' } });
    t.equal((await readFeed('')).body.data[0]?.epoch, 1, 'what was before stays of its epoch');

    const remade = await shop.backEnd.request<{ startBasketUrl: string }>('POST', `/v1/baskets/${kept.id}/link`);
    t.equal((await activate(shop, remade.body.startBasketUrl)).basket.id, kept.id);
    const next = await openBasket(shop);
    t.equal(
      (await complete(shop, next.id, { orderId: 'order-2' })).status,
      200,
      'an order that was lost can be made again',
    );
    await arrived(next.id);
    const newest = (await readFeed('')).body;
    t.match(newest.data.at(-1), { epoch: 2, type: 'basket.completed', data: { basket: { id: next.id } } });
    const further = await createBasket(shop);
    t.match(
      (await readFeed(newest.nextAfter)).body.data,
      [{ data: { basket: { id: further.id } } }],
      'new places go on',
    );

    t.match(await restore(environment), { code: 0, text: /^The epoch is 3/ }, 'again');
    t.equal(await codeOf(further.startBasketUrl), 'link_revoked');
    t.same(await auditPostgres(pool), []);
  },
);

t.test(
  'a dump counts its transactions anew: webhooks and the feed are told what comes, and nothing twice',
  async (t) => {
    const shop = await openShop(t, { config: { webhookAllowPrivate: true } });
    const { pool, config, redisKeyPrefix } = shop.service;
    const hooks = await shop.withScope('webhooks:write');
    const receiver = await startReceiver(t);
    await hooks.request('PUT', '/v1/webhooks/all', { url: receiver.url });
    const readFeed = (after: string) =>
      hooks.request<Feed>('GET', `/v1/changes?limit=100${after && `&after=${after}`}`);
    const told = (basketId: string) => receiver.received.filter((one) => one.basketId === basketId).length;
    const before = await createBasket(shop);
    await until('the webhook is told', withinMs, async () => told(before.id) === 1);

    // Shown to no webhook yet, as a change that was committed at the last moment before the dump.
    const client = await pool.connect();
    await client.query('BEGIN');
    await client.query('LOCK TABLE webhooks IN EXCLUSIVE MODE');
    const unseen = await createBasket(shop);
    await shop.service.stop();
    // What was dumped elsewhere names transactions that are far ahead of this server's.
    const ahead = 1_000_000_000;
    await client.query(`UPDATE outbox SET xact = (xact::text::bigint + ${ahead})::text::xid8`);
    await client.query(
      `UPDATE webhooks SET seen = format('%s:%s:%s', pg_snapshot_xmin(seen)::text::bigint + ${ahead},
         pg_snapshot_xmax(seen)::text::bigint + ${ahead},
         (SELECT string_agg((xact::text::bigint + ${ahead})::text, ',') FROM pg_snapshot_xip(seen) AS xact))::pg_snapshot`,
    );
    await client.query('DELETE FROM deliveries');
    await client.query('COMMIT');
    client.release();

    const environment = { DATABASE_URL: config.databaseUrl, REDIS_URL: config.redisUrl };
    const done = await restore(environment, true, redisKeyPrefix);
    t.match(done, { code: 0, text: /This is a dump of another server: \d+ changes and 1 webhooks were numbered anew/ });
    const started = await startTestService(t, config, redisKeyPrefix);
    const next = await createBasket(shop);
    await until('the webhook is told of what came next', withinMs, async () => told(next.id) === 1);
    await until('and of what it was owed', withinMs, async () => told(unseen.id) === 1);
    t.equal(told(before.id), 1, 'and not again of what it knew');
    const { data, nextAfter } = (await readFeed('')).body;
    t.same(
      data.map((change) => change.data.basket?.id),
      [before.id, unseen.id, next.id],
    );
    t.same((await readFeed(nextAfter)).body.data, []);
    await started.stop();
    t.match(await restore(environment, true, redisKeyPrefix), { code: 0, text: /go on as they are numbered/ });
  },
);

t.test('without Redis Postgres is brought in order, and it says who builds Redis', async (t) => {
  const shop = await openShop(t);
  const { config, redisKeyPrefix, pool } = shop.service;
  await shop.service.stop();
  const environment = { DATABASE_URL: config.databaseUrl, REDIS_URL: closedRedisUrl };
  const { code, text } = await restore(environment, true, redisKeyPrefix);
  t.equal(code, 1);
  t.match(text, /^The epoch is 2.*\n.*\nRedis could not be built anew: unreachable\. The service does so/);
  const { rows } = await pool.query('SELECT redis_servers AS servers FROM service_state');
  t.same(rows, [{ servers: null }], 'whichever Redis is found is built anew');
});
