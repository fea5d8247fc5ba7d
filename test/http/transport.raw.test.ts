import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { audit } from '../support/audit.ts';
import { type Created, createBasket, putItem, type ShownProblem } from '../support/journey.ts';
import { contentsOf } from '../support/refusal.ts';
import { mintToken } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { sendRaw } from '../support/socket.ts';
import { until } from '../support/until.ts';

const body = '{"items":[{"itemId":"stalls","quantity":1}]}';
const tooLong = 64 * 1024 + 1;
const bulkTooLong = 1024 * 1024 + 1;

const shop = await openShop(t);

t.test('what no HTTP client would send is refused as a problem, with nothing written', async (t) => {
  const token = await mintToken({ shop: 'roxy', scope: 'baskets:write baskets:read shop:write' });
  const as = `Authorization: Bearer ${token}\r\nContent-Type: application/json\r\n`;
  const post = (headers: string, sent: string, path = '/v1/baskets', method = 'POST') =>
    `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${as}${headers}\r\n${sent}`;
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${as}\r\n`;
  const chunked = (bytes: number) => `${bytes.toString(16)}\r\n${'a'.repeat(bytes)}\r\n0\r\n\r\n`;
  const cases = [
    ['a path that is no URL', 400, get('/v1/baskets/%zz')],
    ['NUL in a path', 404, get('/v1/baskets/%00')],
    ['NUL in another path', 404, get('/v1/items/%00')],
    ['a way up in a path', 404, get('/v1/baskets/..%2fadmin')],
    ['a way up to another route', 404, get('/v1/baskets/..%2f..%2fhealth%2flive')],
    ['a slash in an id', 404, get('/v1/baskets/a%2fb')],
    ['an empty segment', 404, get('//v1/baskets')],
    ['an id that is too long', 404, get(`/v1/items/${'a'.repeat(129)}`)],
    ['an id that is far too long', 404, get(`/v1/baskets/${'a'.repeat(5000)}`)],
    ['a start link that is far too long', 403, get(`/b/${'a'.repeat(5000)}`)],
    ['NUL in a start link', 403, get('/b/%00')],
    ['another spelling of a route', 404, get('/V1/baskets')],
    ['two Host headers', 400, `GET /v1/baskets HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n${as}\r\n`],
    ['a header of 20 kB', 431, `GET /v1/baskets HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(20_000)}\r\n\r\n`],
    ['10,000 headers', 431, `GET /v1/baskets HTTP/1.1\r\nHost: x\r\n${'X-A: a\r\n'.repeat(10_000)}\r\n`],
    [
      'an unknown expectation',
      404,
      `GET /v1/baskets/none HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nConnection: close\r\n${as}\r\n`,
    ],
    ['no HTTP', 400, 'hello\r\n\r\n'],
    ['a length and chunks', 400, post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
    ['a length that is no number', 400, post('Content-Length: many\r\n', body)],
    ['a body too long by its length', 413, post(`Content-Length: ${tooLong}\r\n`, '')],
    ['a body too long without a length', 413, post('Transfer-Encoding: chunked\r\n', chunked(tooLong))],
    ['a bulk body too long', 413, post(`Content-Length: ${bulkTooLong}\r\n`, '', '/v1/items', 'PUT')],
    ['a bulk-sized body elsewhere', 413, post(`Content-Length: ${tooLong}\r\n`, '', '/v1/items/x', 'PUT')],
  ] as const;
  const before = await contentsOf(shop.service.pool);
  for (const [what, status, bytes] of cases) {
    const answer = await sendRaw(shop.service.url, bytes);
    t.equal(answer.status, status, `${what}: ${answer.head}`);
    t.match(answer.head, /^content-type: application\/problem\+json/im, what);
    const problem: unknown = JSON.parse(answer.body);
    t.match(problem, { type: /\/problems\//, title: /./, status, detail: /./, code: /./, requestId: /./ }, what);
    // A UUID, as the request's id is, has some of the same characters in a row now and then.
    t.notMatch(answer.body, /%00|%zz|a{13}|admin/, `${what}: the path is not echoed`);
    t.ok(answer.closed, `${what}: the connection is closed`);
  }
  const withoutHost = await sendRaw(shop.service.url, `GET /v1/baskets HTTP/1.1\r\nConnection: close\r\n${as}\r\n`);
  t.equal(withoutHost.status, 400, 'no Host');
  t.same(await contentsOf(shop.service.pool), before, 'nothing was written');
  t.equal((await shop.backEnd.request('GET', '/v1/baskets')).status, 200, 'and the service goes on');
});

t.test('URLs that are minted name the configured origin, whatever the request says of itself', async (t) => {
  const token = await mintToken({ shop: 'roxy', scope: 'baskets:write' });
  const answer = await sendRaw(
    shop.service.url,
    `POST http://evil.example/v1/baskets HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\n` +
      `X-Forwarded-Proto: https\r\nForwarded: host=evil.example\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  t.equal(answer.status, 201, answer.body);
  const { startBasketUrl } = JSON.parse(answer.body) as { startBasketUrl: string };
  t.equal(new URL(startBasketUrl).origin, shop.service.config.publicUrl);
  t.notMatch(`${answer.head}${answer.body}`, 'evil.example');
});

t.test('a caller that goes away in the middle of its body leaves nothing behind', async (t) => {
  await createBasket(shop);
  const token = await mintToken({ shop: 'roxy', scope: 'baskets:write' });
  const before = await contentsOf(shop.service.pool);
  const { status } = await sendRaw(
    shop.service.url,
    `POST /v1/baskets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${body.length + 1}\r\n\r\n${body}`,
    { thenLeave: true },
  );
  t.not(status, 201);
  t.same(await contentsOf(shop.service.pool), before);
});

t.test('a body of exactly 64 KiB is read, and one without an end is cut off soon after', async (t) => {
  const longest = body.padEnd(tooLong - 1, ' ');
  t.equal((await shop.backEnd.request('POST', '/v1/baskets', longest)).status, 201);
  const one = await shop.backEnd.request('POST', '/v1/baskets', `${longest} `);
  t.match(one, { status: 413, body: { code: 'payload_too_large' } }, 'one byte more');

  const before = await contentsOf(shop.service.pool);
  const token = await mintToken({ shop: 'roxy', scope: 'baskets:write' });
  const { hostname, port } = new URL(shop.service.url);
  const socket = connect(Number(port), hostname).on('error', () => {});
  const closed = once(socket, 'close');
  socket
    .resume()
    .write(
      `POST /v1/baskets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n` +
        'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
  const chunk = `4000\r\n${' '.repeat(0x4000)}\r\n`;
  // What the kernels of both ends keep for a connection is a few MiB.
  while (!socket.destroyed && socket.bytesWritten < 64 * 2 ** 20) {
    if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), closed]).catch(() => {});
  }
  t.ok(socket.destroyed, 'the service closed the connection');
  t.ok(socket.bytesWritten < 16 * 2 ** 20, `${socket.bytesWritten} bytes were taken`);
  socket.destroy();
  t.same(await contentsOf(shop.service.pool), before);
});

t.test('a caller that goes away before the answer finds by its key what came of it, and nothing is lost', async (t) => {
  const callers = 20;
  await putItem(shop, 'rare', callers);
  const wanted = '{"items":[{"itemId":"rare","quantity":1}]}';
  const token = await mintToken({ shop: 'roxy', scope: 'baskets:write' });
  const { hostname, port } = new URL(shop.service.url);
  const keys = Array.from({ length: callers }, (_, at) => `gone-${at}`);
  const { pool } = shop.service;

  const holder = await pool.connect();
  t.teardown(() => holder.release(true));
  await holder.query('BEGIN');
  await holder.query(`SELECT FROM stock WHERE stock_id = 'item:rare' FOR UPDATE`);
  const sockets = keys.map((key) => {
    const socket = connect(Number(port), hostname).on('error', () => {});
    socket.write(
      `POST /v1/baskets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nIdempotency-Key: ${key}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${wanted.length}\r\n\r\n${wanted}`,
    );
    return socket;
  });
  await until('a creation waits for the stock', 1500, async () => {
    const { rows } = await pool.query<{ waits: boolean }>(
      `SELECT count(*) > 0 AS waits FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return rows[0]?.waits ?? false;
  });
  for (const socket of sockets) socket.resetAndDestroy();
  await holder.query('COMMIT');

  const found = await Promise.all(
    keys.map((key) =>
      until('the call with the same key is answered', 10_000, async () => {
        const headers = { 'idempotency-key': key };
        const answer = await shop.backEnd.request<Created & ShownProblem>('POST', '/v1/baskets', wanted, headers);
        if (answer.status !== 201 && answer.body.code !== 'idempotency_in_progress') throw new Error(answer.text);
        return answer.status === 201 && { id: answer.body.id, again: answer.headers.has('idempotent-replayed') };
      }),
    ),
  );
  t.equal(new Set(found.map(({ id }) => id)).size, callers);
  t.ok(
    found.some(({ again }) => again),
    'some had taken effect',
  );
  t.same(await shop.availability('rare'), { capacity: callers, held: callers, sold: 0, available: 0 }, 'one hold each');
  await audit(pool);
});
