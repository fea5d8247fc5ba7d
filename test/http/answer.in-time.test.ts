import { Registry } from 'prom-client';
import t from 'tap';
import { requestMetrics } from '../../src/http/metrics.ts';
import { problemHandling } from '../../src/http/problems.ts';
import { makeFastify } from '../../src/http/requests.ts';
import { openLogger } from '../../src/platform/logger.ts';
import { api } from '../support/service.ts';

/** Beyond the 5 s of the contract: what a busy machine adds. */
const answeredWithinMs = 6000;

t.test('a request that nothing comes of is answered 503 in time, with a body and without', async (t) => {
  const publicUrl = 'http://localhost';
  const app = makeFastify({ trustProxy: false, publicUrl }, openLogger('silent'), requestMetrics(new Registry()));
  problemHandling(app, publicUrl);
  app.all('/never', () => new Promise(() => {}));
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => app.close());

  await Promise.all(
    [['GET'], ['POST'], ['POST', {}], ['PUT', { some: 'body' }]].map(async ([method, body]) => {
      const startedMs = performance.now();
      const answer = await api(url, null).request(String(method), '/never', body);
      const what = `${method} ${JSON.stringify(body)}`;
      t.equal(answer.status, 503, what);
      t.ok(answer.headers.has('retry-after'), what);
      t.ok(performance.now() - startedMs < answeredWithinMs, `${what}: ${performance.now() - startedMs} ms`);
    }),
  );
});
