import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { openOutbound } from '../../src/platform/outbound.ts';
import { listen } from '../support/network.ts';
import { until } from '../support/until.ts';

/** A receiver on loopback to which all names lead. `hosts` are those asked for over each connection. Answers after `answerAfterMs`, or never when that is null. */
async function startReceiver(t: Test, answerAfterMs: number | null) {
  const seen = { connections: 0, open: 0, hosts: [] as string[][] };
  const hostsOf = new WeakMap<Socket, string[]>();
  const server = createServer((request, response) => {
    hostsOf.get(request.socket)?.push(request.headers.host ?? '');
    if (answerAfterMs !== null) setTimeout(() => response.end('ok'), answerAfterMs);
  });
  server.on('connection', (socket) => {
    const hosts: string[] = [];
    hostsOf.set(socket, hosts);
    seen.hosts.push(hosts);
    seen.connections += 1;
    seen.open += 1;
    socket.on('close', () => {
      seen.open -= 1;
    });
  });
  const port = await listen(t, server);
  const outbound = openOutbound({ allowPrivate: true, resolve: async () => ['127.0.0.1'] });
  t.teardown(() => outbound.close());
  return { seen, port, outbound };
}

t.test('a connection is used again for the host that it was made for, and for no other', async (t) => {
  const { seen, port, outbound } = await startReceiver(t, 0);
  for (const name of ['a', 'b'].flatMap((name) => Array.from({ length: 10 }, () => name))) {
    t.match(await outbound.request(`http://${name}.test:${port}/`), { status: 200 });
  }
  t.equal(seen.hosts.flat().length, 20);
  t.ok(seen.connections < 20, `${seen.connections}`);
  for (const hosts of seen.hosts) t.equal(new Set(hosts).size, 1, hosts.join());
});

t.test('one receiver gets a bounded number of connections at once, and all requests', async (t) => {
  const { seen, port, outbound } = await startReceiver(t, 20);
  const answers = await Promise.all(
    Array.from({ length: 100 }, () => outbound.request(`http://a.test:${port}/`, { method: 'POST' })),
  );
  t.ok(answers.every(({ status }) => status === 200));
  t.ok(seen.connections <= 32, `${seen.connections}`);
});

t.test('what takes too long is given up with its connection, and what waits behind it, too', async (t) => {
  const { seen, port, outbound } = await startReceiver(t, null);
  const startedMs = performance.now();
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => outbound.request(`http://a.test:${port}/`, { withinMs: 300 })),
  );
  t.ok(performance.now() - startedMs < 5000);
  for (const answer of answers) t.strictSame(answer, { status: null, error: 'no whole answer within 0.3 s' });
  await until('all connections are closed', 5000, async () => seen.open === 0);
});

t.test('a name whose address is long in coming is given up in the time of the request', async (t) => {
  const outbound = openOutbound({ allowPrivate: true, resolve: () => delay(3000, []) });
  t.teardown(() => outbound.close());
  const answer = await outbound.request('http://silent.test/', { withinMs: 300 });
  t.same(answer, { status: null, error: 'no whole answer within 0.3 s' });
});

t.test('proxies of the environment are not used', async (t) => {
  const { seen, port, outbound } = await startReceiver(t, 0);
  const proxy = await startReceiver(t, 0);
  const names = [
    'HTTP_PROXY',
    'http_proxy',
    'HTTPS_PROXY',
    'https_proxy',
    'ALL_PROXY',
    'all_proxy',
    'NODE_USE_ENV_PROXY',
  ];
  const before = { ...process.env };
  t.teardown(() => {
    process.env = before;
  });
  for (const name of names) process.env[name] = name.startsWith('NODE') ? '1' : `http://127.0.0.1:${proxy.port}`;
  const fresh = openOutbound({ allowPrivate: true, resolve: async () => ['127.0.0.1'] });
  t.teardown(() => fresh.close());
  for (const each of [outbound, fresh]) t.match(await each.request(`http://a.test:${port}/`), { status: 200 });
  t.equal(proxy.seen.connections, 0);
  t.equal(seen.connections, 2);
});

t.test('a larger or a longer answer can be asked for', async (t) => {
  const { port, outbound } = await startReceiver(t, 0);
  t.match(await outbound.request(`http://a.test:${port}/`, { maxBytes: 2 }), { status: 200, body: Buffer.from('ok') });
  t.match(await outbound.request(`http://a.test:${port}/`, { maxBytes: 1 }), { status: 200, error: /larger/ });
});

t.test('names are looked up where they can be: by the system where private ones are allowed', async (t) => {
  const { port } = await startReceiver(t, 0);
  const outbound = openOutbound({ allowPrivate: true });
  t.teardown(() => outbound.close());
  t.match(await outbound.request(`http://localhost:${port}/`), { status: 200 });
});
