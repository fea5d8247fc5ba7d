import pg from 'pg';
import t from 'tap';
import { auditRedis } from '../../src/cli/audit.ts';
import { audit } from '../support/audit.ts';
import { addWaitingCrowd } from '../support/crowd.ts';
import { activate, type Created, putItem, readBasket } from '../support/journey.ts';
import { inspectRedis, partitionKeys } from '../support/redis.ts';
import { asTester } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

const links = 50_000;
/** As many as one call makes. */
const made = 500;

const shop = await openShop(t);
const { admission, config } = shop.service;
// Without the time limit of the service's: what is done to all of them at once takes longer.
const pool = new pg.Pool({ connectionString: asTester(config.databaseUrl), max: 4 });
t.teardown(() => pool.end());

const keys = inspectRedis(t, shop.service.redisKeyPrefix);

/** What Postgres counts as held, by stock and by baskets, and who holds anything in Redis, once it knows all of them. */
async function held() {
  const { rows } = await pool.query<{ units: number; baskets: number }>(
    `SELECT sum(held)::int AS units,
       (SELECT count(*)::int FROM baskets WHERE cardinality(hold_stock_ids) > 0) AS baskets FROM stock`,
  );
  // Counted from outside: to read all of them over and over would keep the service from telling Redis of them.
  await until('Redis knows of all', 180_000, async () => (await keys.hlen(partitionKeys.holds)) > links);
  const inRedis = await until('all holds are read', 60_000, () => admission.allHolds());
  t.equal(inRedis.length, links);
  return { ...rows[0], inRedis: inRedis.flatMap(({ basketId, takes }) => (takes.length > 0 ? [basketId] : [])) };
}

t.test(`${links} mailed links hold nothing, and an activation holds what is in its own basket`, async (t) => {
  await putItem(shop, 'mailed', 3);
  const entry = { items: [{ itemId: 'mailed', quantity: 2 }], reserve: 'activation', campaign: 'mailing' };
  const { body } = await shop.backEnd.request<{ results: { basket?: Created }[] }>('POST', '/v1/baskets/batch', {
    baskets: Array(made).fill(entry),
  });
  const [first, second, ...others] = body.results.flatMap(({ basket }) => basket ?? []);
  if (!first || !second) throw new Error('none was made');
  await addWaitingCrowd(pool, first.id, links - others.length - 2);
  t.same(await held(), { units: 0, baskets: 0, inRedis: [] });
  t.match(await shop.availability('mailed'), { held: 0, available: 3 });
  const counts = () => shop.backEnd.request('GET', '/v1/campaigns/mailing');
  t.match((await counts()).body, { created: links, activated: 0 });

  await activate(shop, second.startBasketUrl);
  t.match(await shop.availability('mailed'), { held: 2, available: 1 });
  t.match(await readBasket(shop, first.id), { status: 'open', expiresAt: null });
  t.match((await counts()).body, { created: links, activated: 1, expired: 0 });
  // Each look compares all of them, in the very process that is to bring them together.
  await until('Redis equals Postgres', 180_000, async () => (await auditRedis({ pool, admission }))?.length === 0);
  t.same(await held(), { units: 2, baskets: 1, inRedis: [second.id] });
  await audit(pool);
});
