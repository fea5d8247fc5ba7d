import { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { commitTogether, openPostgres } from '../../src/platform/postgres.ts';
import { openTestRedis, plainRedisUrl } from '../support/redis.ts';
import { asTester, createDatabase } from '../support/service.ts';
import { until } from '../support/until.ts';

/** Counts what sockets of this process send from now on: each is a system call. Node has these two ways of it. */
function countSends(t: Test): () => number {
  let sends = 0;
  for (const name of ['_write', '_writev'] as const) {
    const send = Reflect.get(Socket.prototype, name) as (...all: unknown[]) => unknown;
    const countAndSend = function (this: Socket, ...all: unknown[]) {
      // What the test itself says goes to a pipe.
      if (this.remotePort !== undefined) sends += 1;
      return send.apply(this, all);
    };
    Reflect.set(Socket.prototype, name, countAndSend);
    t.teardown(() => Reflect.set(Socket.prototype, name, send));
  }
  return () => sends;
}

t.test('a transaction goes to Postgres by one system call', async (t) => {
  const pool = openPostgres(asTester(await createDatabase(t)), () => {});
  t.teardown(() => pool.end());
  const statements = [1, 2, 3].map((n) => ({ text: 'SELECT $1::int AS n', values: [n] }));
  await commitTogether(pool, statements);
  const sends = countSends(t);
  t.same(await commitTogether(pool, statements), [[{ n: 1 }], [{ n: 2 }], [{ n: 3 }]]);
  t.equal(sends(), 1);
});

t.test('what is asked of Redis in one turn of the event loop goes there by one system call', async (t) => {
  const { connection } = openTestRedis(t, { url: plainRedisUrl() });
  await until('Redis is connected', 5000, () => connection.ping());
  await connection.count('a', 60_000, 1);
  const sends = countSends(t);
  const counts = await Promise.all(Array.from({ length: 50 }, () => connection.count('a', 60_000, 1)));
  t.equal(counts.at(-1)?.count, 51);
  t.equal(sends(), 1);
});
