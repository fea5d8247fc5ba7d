import { fault } from '../support/fault.ts';
import { createBasket, pressLink, redeem } from '../support/journey.ts';
import { startPgBouncer } from '../support/pgbouncer.ts';
import { fromRunner } from '../support/service.ts';
import { accountFor, openShopOnReplicas } from '../support/shop-on-replicas.ts';
import { until } from '../support/until.ts';

const customers = 10;
const basketsEach = 6;

fault({
  id: 'F22',
  fault: 'connections to Postgres are shared by PgBouncer',
  how: 'transaction mode, four connections for two replicas; ten customers open six baskets each, all of them at once',
  control: {
    what: 'the customer is locked by the session, not by the transaction',
    altered: [{ file: 'src/baskets/store.ts', find: 'pg_advisory_xact_lock', replace: 'pg_advisory_lock' }],
  },
  async run(t, { altered }) {
    const directory = fromRunner('TEST_DIRECTORY');
    const pgBouncer = await startPgBouncer(directory, fromRunner('TEST_POSTGRES_URL'), { poolSize: 4 });
    if (pgBouncer === null) throw new Error('pgbouncer is not installed');
    t.teardown(() => pgBouncer.stop());
    const shop = await openShopOnReplicas(t, { altered, replicas: 2, through: pgBouncer.url });
    const frontEnds = await Promise.all(shop.replicas.map(({ url }) => shop.at(url, 'confirmations:redeem')));
    const created: string[] = [];
    const violations: string[] = [];
    const tokens = await Promise.all(
      Array.from({ length: customers * basketsEach }, async (_, at) => {
        const basket = await createBasket(shop, { customer: { id: `cus-${at % customers}` } });
        created.push(basket.id);
        return pressLink(basket.startBasketUrl);
      }),
    );
    const answers = await Promise.all(
      tokens.map((token, at) => redeem({ ...shop, frontEnd: frontEnds[at % 2] ?? shop.frontEnd }, token)),
    );
    for (const { status, body, text } of answers) {
      if (status !== 200 && body.code !== 'basket_expired') violations.push(`an activation was answered ${text}`);
    }
    const { rows } = await shop.service.pool.query(
      `SELECT customer_id, count(*)::int AS activated FROM baskets WHERE status = 'activated'
       GROUP BY customer_id HAVING count(*) > 1`,
    );
    violations.push(...rows.map((row) => `more than one basket is open: ${JSON.stringify(row)}`));
    // Whoever does something alone has one for a moment; one of a session stays.
    const isFree = async () => {
      const { rowCount } = await shop.service.pool.query(
        `SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (
           SELECT oid FROM pg_database WHERE datname = current_database())`,
      );
      return rowCount === 0;
    };
    await until('no lock is left behind', 10_000, isFree).catch((error: Error) => violations.push(error.message));
    return accountFor(shop.service.pool, created, violations);
  },
});
