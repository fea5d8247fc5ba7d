import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import t from 'tap';
import { openOutbound } from '../../src/platform/outbound.ts';
import { type Attempt, send } from '../../src/webhooks/delivery/send.ts';
import { selfSigned } from '../support/certificate.ts';
import { listen } from '../support/network.ts';
import { until } from '../support/until.ts';

/** What a receiver does with a connection over which a whole request has come. */
type Receiver = (socket: Socket) => void;

const message = { body: Buffer.from('{"type":"basket.completed"}'), headers: { 'content-type': 'application/json' } };
const tenGiB = 10 * 2 ** 30;
const piece = Buffer.alloc(2 ** 16, 'x');
const whole = (status: string, body = '', ...headers: string[]) =>
  [`HTTP/1.1 ${status}`, `content-length: ${Buffer.byteLength(body)}`, ...headers, '', body].join('\r\n');
const answering =
  (text: string): Receiver =>
  (socket) =>
    socket.write(text);

/** Writes for as long as somebody reads. */
const writingOnAndOn =
  (start: string, more: Buffer | string): Receiver =>
  (socket) => {
    const write = () => {
      while (!socket.destroyed && socket.write(more));
    };
    socket.on('drain', write);
    socket.write(start);
    write();
  };

/** Writes a little now and then, for as long as somebody reads. */
const dripping =
  (start: string, more: string, everyMs: number): Receiver =>
  (socket) => {
    socket.write(start);
    const timer = setInterval(() => socket.write(more), everyMs);
    socket.on('close', () => clearInterval(timer));
  };

const inTime = 'no whole answer within 15 s';
const tooLarge = 'the answer is larger than 64 KiB';
const closed = 'the connection was closed before the whole answer was there';
const bad = { delivered: false, gone: false, retryAfterSeconds: null };

const receivers: Record<string, [Receiver, Partial<Attempt>]> = {
  'answers 200': [answering(whole('200 OK')), { delivered: true, responseStatus: 200, error: null }],
  'answers 204': [answering('HTTP/1.1 204 No Content\r\n\r\n'), { delivered: true, responseStatus: 204 }],
  'answers 200 with 64 KiB': [answering(whole('200 OK', 'x'.repeat(2 ** 16))), { delivered: true, error: null }],
  'answers 200 with a byte more': [
    answering(whole('200 OK', 'x'.repeat(2 ** 16 + 1))),
    { ...bad, responseStatus: 200, error: tooLarge },
  ],
  'answers 500': [answering(whole('500 Oh')), { ...bad, responseStatus: 500, error: null }],
  'answers 410': [answering(whole('410 Gone')), { delivered: false, gone: true, responseStatus: 410 }],
  'answers 429 with a time': [
    answering(whole('429 Slow', '', 'retry-after: 120')),
    { ...bad, responseStatus: 429, retryAfterSeconds: 120 },
  ],
  'answers 503 with a date that has passed': [
    answering(whole('503 Slow', '', 'retry-after: Sun, 06 Nov 1994 08:49:37 GMT')),
    { ...bad, retryAfterSeconds: 0 },
  ],
  'answers 503 with nonsense for a time': [answering(whole('503 Slow', '', 'retry-after: -5 soon')), bad],
  hangs: [() => {}, { ...bad, responseStatus: null, error: inTime }],
  'answers 200 after 16 s': [
    (socket) => {
      const timer = setTimeout(() => socket.write(whole('200 OK')), 16_000);
      socket.on('close', () => clearTimeout(timer));
    },
    { ...bad, responseStatus: null, error: inTime },
  ],
  'resets the connection': [(socket) => socket.resetAndDestroy(), { ...bad, responseStatus: null, error: closed }],
  'closes the connection': [(socket) => socket.end(), { ...bad, responseStatus: null, error: closed }],
  'closes it in the middle of an answer': [
    (socket) => socket.end(whole('200 OK', 'half').slice(0, -2)),
    { ...bad, responseStatus: 200, error: closed },
  ],
  'answers with 10 GiB': [
    writingOnAndOn(`HTTP/1.1 200 OK\r\ncontent-length: ${tenGiB}\r\n\r\n`, piece),
    { ...bad, responseStatus: 200, error: tooLarge },
  ],
  'answers 500 with 10 GiB in chunks': [
    writingOnAndOn(
      'HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n',
      Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]),
    ),
    { ...bad, responseStatus: 500, error: tooLarge },
  ],
  'sends a byte of its answer a second': [
    dripping('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n', 'x', 1000),
    { ...bad, responseStatus: 200, error: inTime },
  ],
  'sends a byte of its headers a second': [
    dripping('HTTP/1.1 200 OK\r\nx: ', 'x', 1000),
    { ...bad, responseStatus: null, error: inTime },
  ],
  'sends headers without end': [
    writingOnAndOn('HTTP/1.1 200 OK\r\n', `x-more: ${'x'.repeat(1000)}\r\n`),
    { ...bad, responseStatus: null, error: 'the headers of the answer are too large' },
  ],
  'promises an answer without end': [
    dripping('', 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n', 20),
    { ...bad, responseStatus: null, error: inTime },
  ],
  'does not speak HTTP': [answering('220 mail.example ESMTP\r\n'), { ...bad, responseStatus: null }],
};

t.test('a receiver can fail a try, and nothing else: in 15 s, and in a little memory', async (t) => {
  const connected = new Set<Socket>();
  let bytesWritten = 0;
  const serve = async (receiver: Receiver) => {
    const server = createServer((socket) => {
      connected.add(socket);
      socket.on('close', () => {
        connected.delete(socket);
        bytesWritten += socket.bytesWritten;
      });
      let received = '';
      socket.on('data', (bytes) => {
        received += bytes;
        if (received.endsWith(message.body.toString())) receiver(socket);
      });
    });
    return `http://127.0.0.1:${await listen(t, server)}/hook`;
  };
  const elsewhere: string[] = [];
  const target = await serve((socket) => elsewhere.push(String(socket.remotePort)));
  for (const status of ['301', '302', '303', '307', '308']) {
    receivers[`answers ${status}`] = [
      answering(whole(`${status} Elsewhere`, '', `location: ${target}`)),
      { ...bad, responseStatus: Number(status), error: null },
    ];
  }
  const outbound = openOutbound({
    allowPrivate: true,
    resolve: async (name) => Promise.reject(Object.assign(new Error(name), { code: 'ENOTFOUND' })),
  });
  t.teardown(() => outbound.close());
  const tls = await listen(t, createTlsServer(selfSigned));
  const cases: [what: string, url: string, expected: Partial<Attempt>][] = await Promise.all(
    Object.entries(receivers).map(
      async ([what, [receiver, expected]]) =>
        [what, await serve(receiver), expected] as [string, string, typeof expected],
    ),
  );
  cases.push(
    ['nobody listens', 'http://127.0.0.1:1/', { ...bad, responseStatus: null, error: 'the connection was refused' }],
    ['its name is gone', 'http://gone.example/', { ...bad, responseStatus: null, error: 'the name has no address' }],
    [
      'has a certificate of its own making',
      `https://127.0.0.1:${tls}/`,
      { ...bad, responseStatus: null, error: 'the connection failed (DEPTH_ZERO_SELF_SIGNED_CERT)' },
    ],
    ['speaks no TLS', target.replace('http:', 'https:'), { ...bad, responseStatus: null }],
  );

  const before = memoryBytes();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, memoryBytes());
  }, 50);
  const startedMs = performance.now();
  await Promise.all(
    cases.map(async ([what, url, expected]) => {
      const attempt = await send(outbound, url, message, null);
      t.match(attempt, expected, what);
      if (attempt.responseStatus === null) t.type(attempt.error, 'string', what);
      const timedOut = expected.error === inTime;
      t.ok(attempt.durationMs < 16_000 && (!timedOut || attempt.durationMs >= 14_900), `${what}: in time`, { attempt });
    }),
  );
  clearInterval(timer);
  t.ok(performance.now() - startedMs < 20_000, 'none waited for another');
  t.strictSame(elsewhere, [], 'no redirection was followed');
  t.ok(most - before < 64 * 2 ** 20, `${Math.round((most - before) / 2 ** 20)} MiB more at most`);
  await outbound.close();
  await until('no connection is left', 5000, async () => connected.size === 0);
  t.ok(bytesWritten < 64 * 2 ** 20, `of 20 GiB receivers have got rid of ${Math.round(bytesWritten / 2 ** 20)} MiB`);
});

function memoryBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
