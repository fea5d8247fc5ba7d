import pg from 'pg';
import t, { type Test } from 'tap';
import type { Queryable } from '../../src/platform/postgres.ts';
import { asTester, createDatabase } from '../support/service.ts';

/*
 * Tenants' tables could be distributed by shop_id, over a Citus say: whatever must be unique is so within a shop, and what
 * belongs together is of one shop, so that one node can see to both. That joins are on shop_id as well is asked of every
 * statement that the tests send (support/tenancy.ts).
 */

/** The tables that each node would have a copy of (Citus: reference tables), and why. */
const everywhere: Record<string, string> = {
  shops: 'tokens and store fronts name a shop by its number or public token, which are unique among all shops',
  service_state: 'one row about the service, read by every commit of creations',
  migrations: 'written while migrating alone',
};

/** Of each unique index and foreign key: its table and columns; of a foreign key also where they lead. */
type Rule = { name: string; table: string; columns: string[]; target: string | null; targetColumns: string[] | null };

async function rulesOf(db: Queryable): Promise<Rule[]> {
  const { rows } = await db.query<Rule>(
    `SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS table, NULL AS target,
       NULL AS "targetColumns", ARRAY(
         SELECT coalesce(a.attname, '')::text FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(number, at)
         LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
         WHERE k.at <= i.indnkeyatts ORDER BY k.at
       ) AS columns
     FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
     WHERE c.relnamespace = 'public'::regnamespace AND (i.indisunique OR i.indisexclusion)
     UNION ALL
     SELECT f.conname, f.conrelid::regclass::text, f.confrelid::regclass::text,
       ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY AS k(number, at)
         JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.number ORDER BY k.at),
       ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY AS k(number, at)
         JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.number ORDER BY k.at)
     FROM pg_constraint f WHERE f.contype = 'f' AND f.connamespace = 'public'::regnamespace`,
  );
  return rows;
}

/** A table with how it has `shop_id`, null when it has none, and whether it has a primary key. */
type Table = { name: string; shopId: string | null; hasKey: boolean };

async function tablesOf(db: Queryable): Promise<Table[]> {
  const { rows } = await db.query<Table>(
    `SELECT c.relname AS name, EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) AS "hasKey",
       (SELECT concat_ws(' ', format_type(a.atttypid, a.atttypmod), l.collname, CASE WHEN a.attnotnull THEN 'not null' END)
        FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE a.attrelid = c.oid AND a.attname = 'shop_id' AND NOT a.attisdropped) AS "shopId"
     FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace`,
  );
  return rows;
}

/** What of a schema could not be distributed by shop_id. */
async function obstaclesIn(db: Queryable): Promise<string[]> {
  const [tables, rules] = [await tablesOf(db), await rulesOf(db)];
  const isEverywhere = (table: string) => Object.hasOwn(everywhere, table);
  return [
    ...tables.flatMap(({ name, shopId, hasKey }) => {
      if (isEverywhere(name)) return [];
      if (shopId === null) return [`${name} has no shop_id, and is not named as a table that is everywhere`];
      return [
        ...(shopId === 'text C not null' ? [] : [`shop_id of ${name} is ${shopId}`]),
        ...(hasKey ? [] : [`${name} has no primary key`]),
      ];
    }),
    ...rules.flatMap(({ name, table, columns, target, targetColumns }) => {
      if (isEverywhere(table)) {
        return target === null || isEverywhere(target)
          ? []
          : [`${name} leads from ${table}, which is everywhere, to ${target}`];
      }
      if (target === null) return columns.includes('shop_id') ? [] : [`${name} is unique among all shops`];
      if (isEverywhere(target)) return [];
      const at = columns.indexOf('shop_id');
      return at >= 0 && targetColumns?.[at] === 'shop_id' ? [] : [`${name} leads from one shop to another`];
    }),
  ];
}

async function migrated(t: Test): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: asTester(await createDatabase(t)) });
  await client.connect();
  t.teardown(() => client.end());
  return client;
}

t.test('every key, unique index and foreign key of a tenant’s table has its shop_id', async (t) => {
  const client = await migrated(t);
  const names = (await tablesOf(client)).map(({ name }) => name);
  t.strictSame(
    Object.keys(everywhere).filter((name) => !names.includes(name)),
    [],
    'all tables that are named exist',
  );
  t.ok((await rulesOf(client)).length > names.length);
  t.strictSame(await obstaclesIn(client), []);
});

const planted: Record<string, RegExp> = {
  'CREATE TABLE visits (visit_id text PRIMARY KEY)': /^visits has no shop_id/,
  'CREATE TABLE visits (shop_id text COLLATE "C" NOT NULL)': /^visits has no primary key/,
  'ALTER TABLE pools ALTER COLUMN shop_id TYPE varchar(128) COLLATE "C"': /^shop_id of pools is character varying/,
  'CREATE TABLE visits (shop_id text COLLATE "C" NOT NULL, visit_id text PRIMARY KEY)': /^visits_pkey is unique among/,
  'CREATE UNIQUE INDEX once ON orders (payment_reference)': /^once is unique among all shops/,
  'CREATE UNIQUE INDEX once ON orders (payment_reference) INCLUDE (shop_id)': /^once is unique among all shops/,
  'CREATE UNIQUE INDEX once ON orders (lower(shop_id))': /^once is unique among all shops/,
  'CREATE UNIQUE INDEX b ON baskets (basket_id, shop_id); ALTER TABLE outbox ADD CONSTRAINT odd FOREIGN KEY (shop_id, subject_id) REFERENCES baskets (basket_id, shop_id)':
    /^odd leads from one shop to another/,
  'ALTER TABLE service_state ADD shop_id text, ADD event_id text, ADD CONSTRAINT odd FOREIGN KEY (shop_id, event_id) REFERENCES events':
    /^odd leads from service_state/,
};
for (const [change, obstacle] of Object.entries(planted)) {
  t.test(`a schema is found out that could not be distributed: ${change}`, async (t) => {
    const client = await migrated(t);
    await client.query(change);
    const obstacles = await obstaclesIn(client);
    t.ok(
      obstacles.some((one) => obstacle.test(one)),
      'it is found',
      { obstacles },
    );
  });
}
