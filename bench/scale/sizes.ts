import type pg from 'pg';

/** What a basket takes in a table, with what Postgres keeps outside the row, or in an index. */
export type Size = { name: string; of: 'table' | 'index'; bytesPerBasket: number };

/** What so many baskets and what was written with them take in Postgres: each table, and after it its indexes. */
export async function sizesOf(database: pg.Client, baskets: number): Promise<Size[]> {
  const { rows: sizes } = await database.query<Size>(
    `SELECT c.relname AS name, CASE c.relkind WHEN 'r' THEN 'table' ELSE 'index' END AS of,
       ((pg_relation_size(c.oid) + coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0)) / $1::float8) AS "bytesPerBasket"
     FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
     JOIN pg_class t ON t.oid = coalesce(i.indrelid, c.oid)
     WHERE t.oid IN ('baskets'::regclass, 'outbox'::regclass, 'idempotency_keys'::regclass)
     ORDER BY t.relname, c.relkind DESC, c.relname`,
    [baskets],
  );
  return sizes;
}
