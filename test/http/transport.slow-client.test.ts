import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { createBasket } from '../support/journey.ts';
import { closedRedisUrl } from '../support/redis.ts';
import { contentsOf } from '../support/refusal.ts';
import { startReplica } from '../support/replica.ts';
import { createDatabase, mintToken } from '../support/service.ts';
import { openShop, openShopAt } from '../support/shop.ts';
import { until } from '../support/until.ts';

const arriveWithinMs = 10_000;
/** Until the service has looked, and what a busy machine adds. */
const noticedWithinMs = 6000;
/** As one byte a second, in less time. */
const pauseMs = 400;

/** Says `begun` at once and `more` again and again, and gives what came back until the service closed the connection. */
function drip(t: Test, serviceUrl: string, begun: string, more: string): Promise<{ text: string; tookMs: number }> {
  const { hostname, port } = new URL(serviceUrl);
  const socket = connect(Number(port), hostname);
  const startedMs = performance.now();
  const pace = setInterval(() => socket.write(more), pauseMs);
  t.teardown(() => {
    clearInterval(pace);
    socket.destroy();
  });
  let text = '';
  socket.setEncoding('utf8').on('data', (data: string) => {
    text += data;
  });
  socket.on('error', () => {});
  socket.write(begun);
  return new Promise((resolve) => {
    socket.once('close', () => {
      clearInterval(pace);
      resolve({ text, tookMs: performance.now() - startedMs });
    });
  });
}

t.test('a request that does not arrive in ten seconds is told so and cut off, and nothing comes of it', async (t) => {
  const shop = await openShop(t);
  const token = await mintToken({ shop: 'roxy', scope: 'baskets:write' });
  const post = (headers: string) =>
    `POST /v1/baskets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n${headers}`;
  const before = await contentsOf(shop.service.pool);
  const slow = {
    'a header that goes on and on': [post('X-Slow: '), 'a'],
    'headers without an end': [post(''), 'X-A: a\r\n'],
    'a body of a known length': [post('Content-Length: 1000\r\n\r\n'), ' '],
    'a body in chunks': [post('Transfer-Encoding: chunked\r\n\r\n'), '1\r\n \r\n'],
    'nothing but empty lines': ['\r\n', '\r\n'],
    nothing: ['', ''],
  } as const;
  await Promise.all(
    Object.entries(slow).map(async ([what, [begun, more]]) => {
      const { text, tookMs } = await drip(t, shop.service.url, begun, more);
      t.match(text, /^HTTP\/1\.1 408 [\s\S]*application\/problem\+json[\s\S]*"request_timeout"/, what);
      t.ok(tookMs > arriveWithinMs - 500 && tookMs < arriveWithinMs + noticedWithinMs, `${what}: ${tookMs} ms`);
    }),
  );
  t.same(await contentsOf(shop.service.pool), before, 'nothing was written');
  await createBasket(shop);
});

/** Each end needs a descriptor for each, in a process of its own: fewer where that is more than a process may have. */
const mayOpen = Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
const silent = Math.min(10_000, Number.isNaN(mayOpen) ? 10_000 : mayOpen - 500);

t.test(`${silent} connections that say nothing are closed in time, and others are served meanwhile`, async (t) => {
  const replica = await startReplica(t, { databaseUrl: await createDatabase(t), redisUrl: closedRedisUrl });
  const shop = await openShopAt(replica.url);
  const { hostname, port } = new URL(replica.url);
  const sockets: Socket[] = [];
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  let open = 0;
  const connectOne = async () => {
    const socket = connect(Number(port), hostname).on('error', () => {});
    sockets.push(socket);
    await once(socket, 'connect');
    open += 1;
    socket.resume().once('close', () => {
      open -= 1;
    });
  };
  for (let opened = 0; opened < silent; opened += 500) {
    await Promise.all(Array.from({ length: Math.min(500, silent - opened) }, connectOne));
  }
  const openedMs = performance.now();
  t.ok(open > silent / 2, `${open} are open at a time`);

  let slowestMs = 0;
  let created = 0;
  await until('all of them are closed', arriveWithinMs + noticedWithinMs, async () => {
    const startedMs = performance.now();
    await createBasket(shop);
    created += 1;
    slowestMs = Math.max(slowestMs, performance.now() - startedMs);
    return open === 0;
  });
  t.ok(created > 5, `${created} baskets were created meanwhile`);
  t.ok(slowestMs < 5000, `the slowest in ${Math.round(slowestMs)} ms`);
  t.comment(`closed after ${Math.round(performance.now() - openedMs)} ms, ${created} created, slowest ${slowestMs} ms`);
});
