import t from 'tap';
import { openPostgres, withTransaction } from '../../src/platform/postgres.ts';
import { audit } from '../support/audit.ts';
import { checkout, complete, createBasket, openBasket, putItem } from '../support/journey.ts';
import { asTester, createDatabase } from '../support/service.ts';
import { openShop } from '../support/shop.ts';

/** How often a statement was prepared and how often it ran so, in the connection that asks. */
const preparedSql = `SELECT count(*)::int AS times, sum(generic_plans + custom_plans)::int AS runs
  FROM pg_prepared_statements WHERE statement = 'SELECT $1::int'`;

t.test('a statement is prepared once for all its runs in a connection', async (t) => {
  const pool = openPostgres(asTester(await createDatabase(t)), () => {});
  t.teardown(() => pool.end());
  const prepared = await withTransaction(pool, async (tx) => {
    for (const n of [1, 2, 3]) await tx.query('SELECT $1::int', [n]);
    return (await tx.query(preparedSql)).rows;
  });
  t.same(prepared, [{ times: 1, runs: 3 }]);
});

t.test('a migration that adds columns meanwhile is seen by nobody', async (t) => {
  const shop = await openShop(t, { settings: { basket: { maxLiveBasketsPerCustomer: 100 } } });
  const reader = await shop.withScope('baskets:read catalogue:read webhooks:write');
  /** One of everything that a basket goes through; throws where an answer is not what it should be. */
  async function journey(round: number): Promise<void> {
    await putItem(shop, 'stalls', 100);
    const { id } = await openBasket(shop, { customer: { id: 'cus-1' } });
    const { body } = await checkout(shop, id);
    const { status } = await complete(shop, id, { orderId: `order-${round}`, leaseId: body.leaseId });
    t.equal(status, 200);
    const ended = await createBasket(shop);
    t.equal((await shop.backEnd.request('POST', `/v1/baskets/${ended.id}/cancel`)).status, 200);
    for (const path of ['baskets', 'items', 'changes', `baskets/${id}`, `baskets/${id}/timeline`, 'webhooks']) {
      t.equal((await reader.request('GET', `/v1/${path}`)).status, 200, path);
    }
  }
  for (const round of [1, 2, 3]) await journey(round);
  await shop.service.pool.query(`DO $$ DECLARE t text; BEGIN
    FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
      EXECUTE format('ALTER TABLE %I ADD COLUMN added integer DEFAULT 1', t);
    END LOOP;
  END $$`);
  for (const round of [4, 5, 6]) await journey(round);
  await audit(shop.service.pool);
});
