import t from 'tap';
import { runReconcile } from '../../src/cli/reconcile.ts';
import { closedRedisUrl, countedRow, partitionKeys } from '../support/redis.ts';
import { openStoppedShop } from '../support/stopped-shop.ts';

const { config, redisKeyPrefix, baskets, keys, pool } = await openStoppedShop(t);
const [kept] = baskets;

async function run(check: boolean, redisUrl = config.redisUrl): Promise<{ code: number; text: string }> {
  const lines: string[] = [];
  const environment = { DATABASE_URL: config.databaseUrl, REDIS_URL: redisUrl };
  const code = await runReconcile(environment, check, (line) => lines.push(line), redisKeyPrefix);
  return { code, text: lines.join('\n') };
}

t.test('a check of sound books exits with 0 and changes nothing', async (t) => {
  t.same(await run(true), { code: 0, text: 'Nothing differs.' });
});

t.test('a change that leaves the hold as it is makes no difference', async (t) => {
  await pool.query('UPDATE baskets SET version = version + 1 WHERE basket_id = $1', [kept?.id]);
  t.same(await run(true), { code: 0, text: 'Nothing differs.' });
});

t.test('a check names what Redis counts wrongly, and leaves it', async (t) => {
  await keys.hset(partitionKeys.stock, 'roxy/item:stalls', '100 5 0 0');
  const { code, text } = await run(true);
  t.equal(code, 1);
  t.match(text, /Redis counts of a stock row.*"stockId":"item:stalls".*"held":-3/);
});

t.test('a repair brings Redis back to what Postgres says, and exits with 1 because it was wrong', async (t) => {
  await keys.hset(partitionKeys.stock, 'roxy/item:stalls', '100 5 0 0');
  t.match(await run(false), { code: 1, text: /wrong by 3 units of stock, and was repaired/ });
  t.equal(await countedRow(keys, 'item:stalls'), '100 2 0 0');
  t.match(await run(true), { code: 0 });
});

t.test('a check names the holds that Redis has lost or kept', async (t) => {
  await keys.hdel(partitionKeys.holds, `roxy/${kept?.id}`);
  await keys.hset(partitionKeys.holds, 'roxy/bkt_ghost', 'held 1 item:stalls=1');
  const { code, text } = await run(true);
  t.equal(code, 1);
  t.match(text, new RegExp(`"roxy/${kept?.id}","inPostgres":"held .*","inRedis":"nothing"`));
  t.match(text, /"roxy\/bkt_ghost","inPostgres":"nothing","inRedis":"held .*item:stalls/);
  await keys.hdel(partitionKeys.holds, 'roxy/bkt_ghost');
});

t.test('a check names what is wrong in Postgres', async (t) => {
  await pool.query(`UPDATE stock SET sold = sold + 1 WHERE stock_id = 'item:stalls'`);
  t.teardown(() => pool.query(`UPDATE stock SET sold = sold - 1 WHERE stock_id = 'item:stalls'`));
  const { code, text } = await run(true);
  t.equal(code, 1);
  t.match(text, /held is the sum of what live baskets hold.*"sold":1/);
});

t.test('a check without Redis says so, and does not say that all is well', async (t) => {
  const { code, text } = await run(true, closedRedisUrl);
  t.equal(code, 1);
  t.match(text, /Redis is not in use: unreachable/);
});

t.test('what is missing of the configuration is named', async (t) => {
  await t.rejects(
    runReconcile({}, true, () => {}),
    { message: /DATABASE_URL is missing.*\n.*REDIS_URL is missing/ },
  );
});
