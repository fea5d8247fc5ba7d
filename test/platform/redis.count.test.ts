import t from 'tap';
import { inspectRedis, openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

t.test('calls are counted in a window that begins with the first and ends by itself', async (t) => {
  const { connection, keyPrefix } = openTestRedis(t);
  const keys = inspectRedis(t, keyPrefix);
  await until('Redis is connected', 5000, () => connection.ping());
  const first = await connection.count('rate:a', 60_000, 1);
  t.match(first, { count: 1, msLeft: 60_000 });
  const second = await connection.count('rate:a', 60_000, 1);
  t.equal(second?.count, 2);
  t.ok((second?.msLeft ?? 0) <= 60_000 && (second?.msLeft ?? 0) > 50_000, 'the window goes on');
  t.match(await connection.count('rate:b', 60_000, 1), { count: 1 }, 'another key');
  t.ok((await keys.pttl('rate:a')) > 0, 'nothing is kept for ever');

  await keys.persist('rate:a');
  t.match(
    await connection.count('rate:a', 60_000, 1),
    { count: 3, msLeft: 60_000 },
    'a count that would stay for ever ends',
  );
  await keys.pexpire('rate:a', 1);
  await until('the window has passed', 5000, async () => (await keys.exists('rate:a')) === 0);
  t.match(await connection.count('rate:a', 60_000, 1), { count: 1 });
});
