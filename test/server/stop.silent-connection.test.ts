import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { startService } from '../../src/server.ts';
import { startTestService, visit } from '../support/service.ts';

t.test('a connection on which nothing comes does not keep the service from stopping in time', async (t) => {
  const { config, redisKeyPrefix } = await startTestService(t);
  const replica = await startService({ ...config, port: 0 }, { redisKeyPrefix });
  const { hostname, port } = new URL(replica.url);
  const silent = connect(Number(port), hostname);
  silent.on('error', () => {});
  t.teardown(() => silent.destroy());
  await once(silent, 'connect');
  // Answered on a later connection, so the service has taken up the silent one.
  t.equal((await visit(`${replica.url}/health/live`)).status, 200);

  const startedMs = performance.now();
  await replica.stop();
  t.ok(performance.now() - startedMs < 9000, 'SIGTERM allows for 9 s');
});
