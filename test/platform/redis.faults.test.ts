import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import t from 'tap';
import { freePort } from '../../src/dev/services.ts';
import type { RedisConnection } from '../../src/platform/redis.ts';
import { inspectRedis, openTestRedis, plainRedisUrl } from '../support/redis.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const count = { name: 'count', source: `return redis.call('INCR', KEYS[1])` };
const fail = { name: 'fail', source: `return redis.error_reply('ERR this script always fails')` };

/** Longer than a busy machine stops for, so that who has waited can be told from who has not. */
const commandTimeoutMs = 2000;
/** That several waited one after the other would take longer. */
const oneWaitMs = 1.9 * commandTimeoutMs;
const noWaitMs = commandTimeoutMs / 2;

async function timed<T>(work: Promise<T>): Promise<{ result: T; ms: number }> {
  const startedMs = performance.now();
  const result = await work;
  return { result, ms: performance.now() - startedMs };
}

async function connected(connection: RedisConnection): Promise<void> {
  await until('Redis answers', 5000, () => connection.ping());
}

async function answered(connection: RedisConnection): Promise<void> {
  await until('a script is answered', 5000, async () => (await connection.run(count, ['other'], [])).known);
}

t.test('a Redis that stops answering costs one wait, and recovers without a restart', async (t) => {
  const proxy = await startTcpProxy(t, plainRedisUrl());
  const { connection } = openTestRedis(t, { url: proxy.url, commandTimeoutMs });
  await connected(connection);
  t.same(await connection.run(count, ['n'], []), { known: true, reply: 1 });

  proxy.setReplies('hang');
  const together = await timed(Promise.all(Array.from({ length: 64 }, () => connection.run(count, ['n'], []))));
  t.same(new Set(together.result.map(({ known }) => known)), new Set([false]));
  t.ok(together.ms < oneWaitMs, `64 calls that were under way waited together: ${together.ms} ms`);
  const next = await timed(connection.run(count, ['n'], []));
  t.same(next.result, { known: false });
  t.ok(next.ms < noWaitMs, `the next one does not wait: ${next.ms} ms`);

  proxy.setReplies('pass');
  await answered(connection);
});

t.test('a Redis that accepts connections and never says anything costs no caller more than one wait', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const { connection } = openTestRedis(t, { url: `redis://127.0.0.1:${port}`, commandTimeoutMs });
  await once(server, 'connection');
  const first = await timed(connection.run(count, ['n'], []));
  t.same(first.result, { known: false });
  t.ok(first.ms < oneWaitMs, `the first: ${first.ms} ms`);
  const next = await timed(connection.run(count, ['n'], []));
  t.ok(next.ms < noWaitMs, `the next: ${next.ms} ms`);
  t.equal(await connection.ping(), false);
});

t.test('a command whose reply was lost is reported as unknown and not sent again', async (t) => {
  const proxy = await startTcpProxy(t, plainRedisUrl());
  const { connection, keyPrefix } = openTestRedis(t, { url: proxy.url, commandTimeoutMs });
  const keys = inspectRedis(t, keyPrefix, plainRedisUrl());
  await connected(connection);
  await connection.run(count, ['n'], []);

  proxy.setReplies('cut');
  t.same(await connection.run(count, ['n'], []), { known: false });
  t.equal(await keys.get('n'), '2', 'it ran');
  proxy.setReplies('pass');
  await answered(connection);
  t.equal(await keys.get('n'), '2', 'and did not run again on the new connection');
});

t.test('calls to a Redis that is not there are answered at once and not made up for when it comes', async (t) => {
  const port = await freePort();
  const { connection, keyPrefix } = openTestRedis(t, { url: `redis://127.0.0.1:${port}`, commandTimeoutMs });
  const { result, ms } = await timed(connection.run(count, ['n'], []));
  t.same(result, { known: false });
  t.ok(ms < noWaitMs, `${ms} ms`);
  await startTcpProxy(t, plainRedisUrl(), port);
  await answered(connection);
  t.equal(await inspectRedis(t, keyPrefix, plainRedisUrl()).get('n'), null);
});

t.test('a script that fails is reported as unknown, with the error to whoever watches', async (t) => {
  const { connection, errors } = openTestRedis(t);
  await connected(connection);
  t.same(await connection.run(fail, [], []), { known: false });
  t.match(errors.at(-1)?.message, /this script always fails/);
});

t.test('scripts run again after Redis has forgotten them', async (t) => {
  const { connection, keyPrefix } = openTestRedis(t);
  await connected(connection);
  await connection.run(count, ['n'], []);
  await inspectRedis(t, keyPrefix).script('FLUSH');
  t.same(await connection.run(count, ['n'], []), { known: true, reply: 2 });
});
