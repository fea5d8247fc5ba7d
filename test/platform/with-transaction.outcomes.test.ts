import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { mock } from 'node:test';
import t from 'tap';
import { refuse } from '../../src/errors.ts';
import {
  commitTogether,
  openPostgres,
  type Queryable,
  runAlone,
  withTransaction,
} from '../../src/platform/postgres.ts';
import { asTester, createDatabase } from '../support/service.ts';
import { until } from '../support/until.ts';

const url = asTester(await createDatabase(t));
const pool = openPostgres(url, () => {});
t.teardown(() => pool.end());
await pool.query('CREATE TABLE counters (id integer PRIMARY KEY, n integer NOT NULL)');
await pool.query('INSERT INTO counters VALUES (1, 0), (2, 0)');
t.beforeEach(async () => void (await pool.query('UPDATE counters SET n = 0')));

const raise = (tx: Queryable, id: number) => tx.query('UPDATE counters SET n = n + 1 WHERE id = $1', [id]);
async function counts(): Promise<number[]> {
  const { rows } = await pool.query<{ n: number }>('SELECT n FROM counters ORDER BY id');
  return rows.map(({ n }) => n);
}

t.test('a refusal rolls back what was written before it and is returned', async (t) => {
  const result = await withTransaction(pool, async (tx) => {
    await raise(tx, 1);
    return refuse('not_found');
  });
  t.same(result, { refused: 'not_found' });
  t.same(await counts(), [0, 0]);
});

t.test('any other result commits', async (t) => {
  t.equal(await withTransaction(pool, async (tx) => (await raise(tx, 1)).rowCount), 1);
  t.same(await counts(), [1, 0]);
});

t.test('a refusal that the caller wants kept commits what was written before it', async (t) => {
  const work = async (tx: Queryable) => {
    await raise(tx, 1);
    return refuse('expired_stock_gone');
  };
  t.same(await withTransaction(pool, work, () => true), { refused: 'expired_stock_gone' });
  t.same(await counts(), [1, 0]);
});

t.test('an exception rolls back, is thrown on, and the work is not repeated', async (t) => {
  let runs = 0;
  const work = async (tx: Queryable) => {
    runs += 1;
    await raise(tx, 1);
    throw new Error('an invariant is broken');
  };
  await t.rejects(withTransaction(pool, work), { message: 'an invariant is broken' });
  t.equal(runs, 1);
  t.same(await counts(), [0, 0]);
});

t.test('statements that are sent together are committed, and give the rows of each', async (t) => {
  const text = 'UPDATE counters SET n = n + 1 WHERE id = $1 RETURNING n';
  const sent = [1, 1, 2].map((id) => ({ text, values: [id] }));
  t.same(await commitTogether(pool, sent), [[{ n: 1 }], [{ n: 2 }], [{ n: 1 }]]);
  t.same(await counts(), [2, 1]);
});

t.test('of statements that are sent together nothing is written when one fails, and its error is thrown', async (t) => {
  const sent = [
    { text: 'UPDATE counters SET n = n + 1 WHERE id = $1', values: [1] },
    { text: 'SELECT 1 / $1::int', values: [0] },
    { text: 'UPDATE counters SET n = n + 1 WHERE id = $1', values: [2] },
  ];
  await t.rejects(commitTogether(pool, sent), { code: '22012' });
  t.same(await counts(), [0, 0]);
});

t.test('where no transaction begins, nothing runs that was to come after its first statement', async (t) => {
  const unsound = openPostgres(url, () => {});
  t.teardown(() => unsound.end());
  unsound.on('connect', (client) => {
    const query = client.query.bind(client) as (...all: unknown[]) => unknown;
    const queryUnsound = (text: string, ...rest: unknown[]) =>
      query(text.startsWith('BEGIN') ? 'BEGIN nothing' : text, ...rest);
    client.query = queryUnsound as typeof client.query;
  });
  const work = async (tx: Queryable) => {
    await tx.query('SELECT 1');
    await raise(tx, 1);
  };
  await t.rejects(withTransaction(unsound, work));
  t.same(await counts(), [0, 0]);
});

t.test('of two transactions that deadlock both are committed in the end, each once', async (t) => {
  let bothHoldOne = () => {};
  const gathered = new Promise<void>((resolve) => {
    bothHoldOne = resolve;
  });
  let oneIsDone = () => {};
  const done = new Promise<void>((resolve) => {
    oneIsDone = resolve;
  });
  let runs = 0;
  const crossing = async (first: number, second: number) => {
    const result = await withTransaction(pool, async (tx) => {
      runs += 1;
      // Who runs again could be quicker than the other, and cross it anew.
      if (runs > 2) await done;
      await tx.query(`SET LOCAL deadlock_timeout = '50ms'`);
      await raise(tx, first);
      if (runs >= 2) bothHoldOne();
      await gathered;
      await raise(tx, second);
      return 'done';
    });
    oneIsDone();
    return result;
  };
  t.same(await Promise.all([crossing(1, 2), crossing(2, 1)]), ['done', 'done']);
  t.equal(runs, 3, 'the one that Postgres ended ran again');
  t.same(await counts(), [2, 2]);
});

t.test('work that Postgres keeps ending is given up after the third run', async (t) => {
  let runs = 0;
  const work = (tx: Queryable) => {
    runs += 1;
    return tx.query(`DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$`);
  };
  await t.rejects(withTransaction(pool, work), { code: '40001' });
  t.equal(runs, 3);
});

t.test('a connection that broke inside a transaction is not used again', async (t) => {
  const work = (tx: Queryable) => tx.query('SELECT pg_terminate_backend(pg_backend_pid())');
  await t.rejects(withTransaction(pool, work));
  const after = await Promise.all(
    Array.from({ length: 20 }, () => withTransaction(pool, async (tx) => (await raise(tx, 1)).rowCount)),
  );
  t.same(new Set(after), new Set([1]));
  t.same(await counts(), [20, 0]);
});

t.test('a connection that Postgres ends in the moment it begins fails its transaction, and nothing else', async (t) => {
  const target = new URL(url);
  const { port, hostname } = target;
  const ready = Buffer.from('Z\0\0\0\x05I', 'latin1');
  const fields = 'SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0';
  const fatal = Buffer.concat([
    Buffer.from('E\0\0\0', 'latin1'),
    Buffer.from([fields.length + 4]),
    Buffer.from(fields),
  ]);
  let ending = true;
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) socket.on('error', () => {});
    client.on('close', () => upstream.destroy()).pipe(upstream);
    upstream.on('close', () => client.destroy());
    upstream.on('data', (bytes: Buffer) => {
      // In one piece, so that both are read before anybody who waits for the connection has it.
      if (ending && bytes.includes(ready)) client.end(Buffer.concat([bytes, fatal]));
      else client.write(bytes);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  target.port = String((server.address() as AddressInfo).port);
  const proxied = openPostgres(target.href, () => {});
  t.teardown(async () => {
    await proxied.end();
    server.close();
  });
  await t.rejects(withTransaction(proxied, async (tx) => tx.query('SELECT 1')));
  ending = false;
  t.equal(await withTransaction(proxied, async (tx) => (await tx.query('SELECT 1')).rowCount), 1);
});

t.test('who works alone for minutes keeps the lock: it is heard of before Postgres gives it up', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  t.teardown(() => mock.timers.reset());
  const heardOf = async () => {
    const { rows } = await pool.query<{ at: Date }>(
      `SELECT state_change AS at FROM pg_stat_activity
       WHERE pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory') AND datname = current_database()`,
    );
    return rows[0]?.at.getTime() ?? 0;
  };
  await runAlone(pool, 'a long work', async () => {
    const begunMs = await heardOf();
    mock.timers.tick(59_000);
    await until('it is heard of', 5000, async () => (await heardOf()) > begunMs);
    t.equal(await runAlone(pool, 'a long work', async () => 'no'), null);
  });
  t.same(await runAlone(pool, 'a long work', async () => 'yes'), { result: 'yes' });
});
