import t from 'tap';
import { judge } from './tenancy.ts';

const tables = new Set(['baskets', 'stock', 'outbox', 'orders']);
const complaintsAbout = async (statement: string) => (await judge([statement], tables))[0]?.complaints;

const good = [
  'SELECT 1 FROM baskets WHERE shop_id = $1 AND basket_id = $2',
  'SELECT 1 FROM baskets b WHERE $1::text = b.shop_id',
  'SELECT 1 FROM baskets WHERE shop_id = ANY($1)',
  'SELECT 1 FROM baskets WHERE shop_id IN ($1, $2)',
  'SELECT 1 FROM stock s WHERE (s.shop_id, s.stock_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))',
  `SELECT 1 FROM baskets b JOIN stock s ON s.shop_id = b.shop_id WHERE b.shop_id = $1 AND created_at > now() - interval $2`,
  'SELECT 1 FROM baskets b LEFT JOIN orders o USING (shop_id) WHERE b.shop_id = $1',
  'SELECT 1 FROM unnest($1::text[]) AS a(shop_id) LEFT JOIN baskets b ON b.shop_id = a.shop_id',
  'SELECT EXISTS (SELECT FROM baskets b WHERE b.shop_id = $1 AND NOT EXISTS (SELECT FROM stock s WHERE s.shop_id = b.shop_id))',
  'WITH b AS (SELECT * FROM baskets WHERE shop_id = $1) SELECT 1 FROM stock s JOIN b ON b.shop_id = s.shop_id',
  'WITH baskets AS (SELECT * FROM unnest($1::text[]) AS a) SELECT 1 FROM baskets, stock WHERE stock.shop_id = $2',
  'DECLARE page NO SCROLL CURSOR FOR SELECT * FROM stock WHERE shop_id = $1',
  'INSERT INTO stock (shop_id, stock_id) VALUES ($1, $2)',
  `INSERT INTO stock AS s (shop_id, stock_id) SELECT $1, id FROM unnest($2::text[]) AS id
   ON CONFLICT (shop_id, stock_id) DO UPDATE SET held = s.held`,
  'UPDATE stock s SET held = t.q FROM unnest($1::text[], $2::int[]) AS t(shop_id, q) WHERE s.shop_id = t.shop_id',
  'DELETE FROM stock WHERE shop_id = $1',
  'SELECT 1 FROM baskets b JOIN stock s USING (shop_id) LEFT JOIN orders o ON o.shop_id = b.shop_id WHERE b.shop_id = ANY($1)',
  'SELECT 1 FROM baskets b JOIN stock s ON s.stock_id = $2 WHERE b.shop_id = $1 AND s.shop_id = $1',
  `SELECT 1 FROM unnest($1::text[]) AS a(shop_id) JOIN baskets b ON b.shop_id = a.shop_id JOIN stock s ON s.shop_id = a.shop_id`,
  'SELECT 1 FROM baskets b WHERE shop_id = $1 AND (shop_id, basket_id) IN (SELECT shop_id, basket_id FROM orders WHERE shop_id = ANY($2))',
  'WITH b AS (SELECT basket_id FROM baskets WHERE shop_id = $1) UPDATE stock s SET held = 0 FROM b WHERE s.shop_id = $1',
  'SELECT 1 FROM baskets b, LATERAL (SELECT FROM stock s WHERE s.shop_id = b.shop_id) x WHERE b.shop_id = ANY($1)',
  'SELECT (SELECT count(*) FROM stock WHERE shop_id = $1) FROM baskets WHERE shop_id = $1',
  'UPDATE stock s SET held = 0 WHERE s.shop_id = ANY($1) AND NOT EXISTS (SELECT FROM baskets b WHERE b.shop_id = ANY($1))',
];

/** Each names its shops, and brings rows of one together with those of another. */
const mixing = [
  'SELECT 1 FROM baskets b JOIN stock s ON s.stock_id = b.basket_id WHERE b.shop_id = ANY($1) AND s.shop_id = ANY($1)',
  'SELECT 1 FROM baskets b JOIN stock s ON s.stock_id = b.basket_id WHERE b.shop_id = $1 AND s.shop_id = $2',
  'SELECT 1 FROM baskets b LEFT JOIN orders o USING (basket_id) WHERE b.shop_id = ANY($1) AND o.shop_id = ANY($1)',
  'WITH o AS (SELECT * FROM orders WHERE shop_id = ANY($1)) SELECT 1 FROM baskets b JOIN o USING (basket_id) WHERE b.shop_id = ANY($1)',
  'WITH b AS (SELECT basket_id FROM baskets WHERE shop_id = $2) UPDATE stock s SET held = 0 FROM b WHERE s.shop_id = $1',
  'UPDATE stock s SET held = b.version FROM baskets b WHERE s.shop_id = ANY($1) AND b.shop_id = ANY($1)',
  'DELETE FROM stock s USING baskets b WHERE s.shop_id = ANY($1) AND b.shop_id = ANY($1)',
  'SELECT 1 FROM baskets b, LATERAL (SELECT FROM stock s WHERE s.shop_id = $2) x WHERE b.shop_id = $1',
  'SELECT 1 FROM baskets b WHERE b.shop_id = ANY($1) AND EXISTS (SELECT FROM stock s WHERE s.shop_id = ANY($1) AND s.stock_id = b.basket_id)',
  'SELECT 1 FROM baskets b WHERE b.shop_id = ANY($1) AND basket_id IN (SELECT basket_id FROM orders WHERE shop_id = ANY($1))',
  'SELECT 1 FROM (SELECT basket_id FROM orders WHERE shop_id = ANY($1)) o, baskets b WHERE b.shop_id = ANY($1)',
];

const bad: Record<string, string[]> = {
  'without a condition on the shop': [
    'SELECT 1 FROM baskets WHERE basket_id = $1',
    'SELECT 1 FROM baskets b JOIN stock s ON s.shop_id = b.shop_id',
    'UPDATE stock SET held = $1 WHERE stock_id = $2',
    'DELETE FROM stock WHERE stock_id = $1',
    'DECLARE page NO SCROLL CURSOR FOR SELECT * FROM stock',
  ],
  'on one of two tables': [
    'SELECT 1 FROM baskets b JOIN stock s ON s.stock_id = $2 WHERE b.shop_id = $1',
    'SELECT (SELECT count(*) FROM stock) FROM baskets WHERE shop_id = $1',
    'SELECT 1 FROM baskets WHERE shop_id = $1 UNION ALL SELECT 1 FROM baskets',
    'WITH s AS (SELECT * FROM stock) SELECT 1 FROM baskets b JOIN s ON s.shop_id = b.shop_id WHERE b.shop_id = $1',
    'UPDATE stock s SET held = b.version FROM baskets b WHERE s.shop_id = $1',
    'WITH gone AS (DELETE FROM baskets RETURNING *) INSERT INTO orders (shop_id) SELECT shop_id FROM gone',
    'SELECT 1 FROM baskets b, LATERAL (SELECT * FROM stock s WHERE s.stock_id = b.basket_id) x WHERE b.shop_id = $1',
  ],
  'that need not hold': [
    'SELECT 1 FROM baskets WHERE shop_id = $1 OR basket_id = $2',
    'SELECT 1 FROM baskets WHERE NOT shop_id = $1',
    'SELECT 1 FROM baskets WHERE shop_id <> $1',
    'SELECT 1 FROM baskets WHERE shop_id NOT IN ($1)',
    'SELECT 1 FROM baskets WHERE shop_id = shop_id',
    'SELECT 1 FROM baskets WHERE shop_id IN ($1, basket_id)',
    'SELECT 1 FROM baskets b LEFT JOIN orders o ON o.shop_id = b.shop_id AND b.shop_id = $1',
    'SELECT 1 FROM baskets b FULL JOIN orders o ON o.shop_id = b.shop_id WHERE o.shop_id = $1 AND b.version = $2',
    'SELECT 1 FROM stock s WHERE (s.stock_id, s.shop_id) IN (SELECT stock_id, basket_id FROM baskets WHERE shop_id = $1)',
  ],
  'where it is written': [
    'INSERT INTO stock (stock_id) VALUES ($1)',
    'INSERT INTO stock VALUES ($1, $2)',
    'INSERT INTO outbox (shop_id, data) SELECT shop_id, lines FROM baskets',
    'INSERT INTO baskets (shop_id, basket_id) VALUES ($1, $2) ON CONFLICT (basket_id) DO UPDATE SET version = 1',
  ],
  'in ways that it could not be given': ['TRUNCATE baskets', 'COPY stock TO STDOUT', 'LOCK TABLE baskets'],
};

for (const statement of good) {
  t.test(`this names its shop: ${statement}`, async (t) => {
    t.strictSame(await complaintsAbout(statement), []);
  });
}
for (const [what, statements] of Object.entries(bad)) {
  t.test(`a statement on a tenant’s table is found out: ${what}`, async (t) => {
    for (const statement of statements) t.not((await complaintsAbout(statement))?.length ?? 0, 0, statement);
  });
}

t.test(
  'a statement that gives whatever columns there are is found out: once prepared it fails when there is one more',
  async (t) => {
    for (const statement of [
      'SELECT * FROM baskets WHERE shop_id = $1',
      'SELECT s.stock_id, b.* FROM baskets b JOIN stock s USING (shop_id) WHERE b.shop_id = $1',
      'WITH b AS (SELECT * FROM baskets WHERE shop_id = $1) SELECT b.* FROM b',
      'UPDATE baskets SET version = $1 WHERE shop_id = $2 RETURNING *',
    ]) {
      t.match(await complaintsAbout(statement), [/whatever columns/], statement);
    }
  },
);

t.test('a join is found out that is not on shop_id, though each of its sides names shops', async (t) => {
  for (const statement of mixing) {
    t.match(await complaintsAbout(statement), [/not on their shop_id|may be of another shop/], statement);
    const everywhere = statement.replace(/(\b\w\.)?\bshop_id = (ANY\(\$\d\)|\$\d)/g, 'true');
    const across = everywhere.replace(/SELECT|UPDATE|DELETE/, '$& /* across shops: for a reason */');
    t.match(await complaintsAbout(across), [/not on their shop_id|may be of another shop/], across);
  }
});

t.test('a statement may work across shops if it says why, and if it does', async (t) => {
  t.match(await judge(['SELECT /* across shops: for a reason */ 1 FROM stock'], tables), [
    { across: 'for a reason', complaints: [] },
  ]);
  t.match(await complaintsAbout('SELECT /* across shops: for a reason */ 1 FROM stock WHERE shop_id = $1'), [
    /not true/,
  ]);
  t.match(await complaintsAbout('SELECT /* across shops:  */ 1 FROM stock'), [/without its shop_id/]);
});

t.test('what reaches no tenant’s table is not judged, nor is a change of the schema', async (t) => {
  const others = ['SELECT 1', 'BEGIN', 'SELECT * FROM service_state', 'ALTER TABLE stock ADD COLUMN n integer'];
  t.strictSame(await judge(others, tables), []);
});
