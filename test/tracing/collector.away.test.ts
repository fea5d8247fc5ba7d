import { fileURLToPath } from 'node:url';
import t from 'tap';
import { createBasket } from '../support/journey.ts';
import { startReplica } from '../support/replica.ts';
import { startRedisServer } from '../support/servers.ts';
import { createDatabase, fromRunner } from '../support/service.ts';
import { openShopAt } from '../support/shop.ts';
import { until } from '../support/until.ts';

const withoutOpenTelemetry = fileURLToPath(new URL('../support/loader/without-opentelemetry.js', import.meta.url));
const noCollector = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_BSP_SCHEDULE_DELAY: '100' };
const skip = fromRunner('TEST_REDIS_KIND') !== 'redis-server' && 'redis-server is not installed';

t.test('a collector that is away harms nobody: it is logged, and that is all', { skip }, async (t) => {
  const [databaseUrl, redis] = await Promise.all([createDatabase(t), startRedisServer(t)]);
  const replica = await startReplica(t, { databaseUrl, redisUrl: redis.url, env: noCollector });
  const shop = await openShopAt(replica.url);
  t.equal((await createBasket(shop)).status, 'open');
  const isLogged = async () => replica.log().includes('"msg":"traces could not be exported"');
  await until('it is logged', 30_000, isLogged);
  t.equal((await createBasket(shop)).status, 'open');
  t.match(await replica.stop(), { code: 0 }, 'it stops in time');
  t.notMatch(replica.log(), /"level":[56]0/);
});

t.test('without a collector OpenTelemetry is not loaded, and with one it is', { skip }, async (t) => {
  const [databaseUrl, redis] = await Promise.all([createDatabase(t), startRedisServer(t)]);
  const options = { databaseUrl, redisUrl: redis.url, preload: withoutOpenTelemetry };
  const replica = await startReplica(t, options);
  t.equal((await createBasket(await openShopAt(replica.url))).status, 'open');
  await t.rejects(startReplica(t, { ...options, env: noCollector }), /@opentelemetry\/.* is loaded/);
});
