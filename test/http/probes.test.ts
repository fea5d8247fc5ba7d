import t from 'tap';
import { freePort } from '../../src/dev/services.ts';
import { closedRedisUrl } from '../support/redis.ts';
import { api, startTestService } from '../support/service.ts';

const probes = ['/health/live', '/health/ready', '/metrics'];

t.test('with OPS_PORT probes and metrics are on that port, and on PORT no more', async (t) => {
  const opsPort = await freePort();
  const { url } = await startTestService(t, { opsPort });
  const ops = api(`http://127.0.0.1:${opsPort}`, null);
  t.match(await ops.request('GET', '/health/live'), { status: 200, body: { status: 'ok' } });
  t.match(await ops.request('GET', '/health/ready'), { status: 200, body: { status: 'ok' } });
  t.match(await ops.request('GET', '/metrics'), { status: 200, text: /^basketlink_redis_drift_units/m });
  for (const path of probes) {
    t.match(await api(url, null).request('GET', path), { status: 404, body: { code: 'not_found' } }, path);
  }
  t.match(await ops.request('POST', '/metrics', {}), { status: 405 });
  t.match(await ops.request('GET', '/v1/baskets'), { status: 404 }, 'and nothing else is there');
});

t.test('without OPS_PORT they are on PORT', async (t) => {
  const { url } = await startTestService(t);
  for (const path of probes) t.match(await api(url, null).request('GET', path), { status: 200 }, path);
});

t.test('without Redis it is degraded and ready', async (t) => {
  const { url } = await startTestService(t, { redisUrl: closedRedisUrl });
  t.match(await api(url, null).request('GET', '/health/ready'), {
    status: 200,
    body: { status: 'degraded', checks: { postgres: 'ok', redis: 'failed' } },
  });
});
