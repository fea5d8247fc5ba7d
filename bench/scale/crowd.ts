import type pg from 'pg';
import { itemIds, sameIds } from '../scenarios/catalogue.ts';

/** In a statement, so that it is known how far it is, and can be broken off. */
const atOnce = 50_000;
/** The digits of a TypeID, and how many of them tell the baskets of a crowd apart, which no other basket has. */
const digits = '0123456789abcdefghjkmnpqrstvwxyz';
const ownDigits = 7;
/** What differs from basket to basket, as SQL: of basket `b` with the number `n` and the ids in `item`. */
const ownColumns: Record<string, string> = {
  basket_id: `left(b.basket_id, -${ownDigits}) || ${Array.from(
    { length: ownDigits },
    (_, at) => `substr('${digits}', 1 + (n >> ${5 * (ownDigits - 1 - at)} & 31), 1)`,
  ).join(' || ')}`,
  expires_at: `now() + interval '1 hour' + n % 600 * interval '1 second'`,
  lifetime_ends_at: `now() + interval '2 hours'`,
  hold_stock_ids: `ARRAY(SELECT 'item:' || id FROM unnest(ARRAY[item.first, item.second, item.third]) id ORDER BY id COLLATE "C")`,
  lines: `replace(replace(replace($6, '<0>', item.first), '<1>', item.second), '<2>', item.third)::json`,
};

/**
 * Makes `count` live baskets as creations would have: three lines each, spread over all items, with the change that says so
 * and an idempotency key. They are made of one with `sameIds` that the API has created. Redis is not told.
 */
export async function addCrowd(
  database: pg.Client,
  ofBasketId: string,
  count: number,
  progress: (made: number) => void,
): Promise<void> {
  const { rows: columns } = await database.query<{ name: string }>(
    `SELECT column_name AS name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'baskets'`,
  );
  const names = columns.map(({ name }) => name);
  const { rows } = await database.query<{ lines: string }>(
    'SELECT lines::text AS lines FROM baskets WHERE basket_id = $1',
    [ofBasketId],
  );
  // Each line's item by a mark, since the id of one basket's first item may be that of another's second.
  const lines = sameIds.reduce((text, id, at) => text.replaceAll(`${id}"`, `<${at}>"`), rows[0]?.lines ?? '');
  for (let made = 0; made < count; made += atOnce) {
    progress(made);
    await database.query(
      `WITH crowd AS (
         INSERT INTO baskets (${names.join(', ')})
         SELECT ${names.map((name) => ownColumns[name] ?? `b.${name}`).join(', ')}
         FROM baskets b, generate_series($2::int, $3::int - 1) n, LATERAL (
           SELECT ($4::text[])[1 + n % $5] AS first, ($4::text[])[1 + (n * 7 + 331) % $5] AS second,
             ($4::text[])[1 + (n * 13 + 662) % $5] AS third
         ) item
         WHERE b.basket_id = $1
         RETURNING *
       ),
       changes AS (
         INSERT INTO outbox (shop_id, subject_id, sequence, type, data)
         SELECT shop_id, basket_id, 1, 'basket.created', row_to_json(crowd) FROM crowd
       )
       INSERT INTO idempotency_keys (shop_id, key_hash, fingerprint, status, basket_id, sequence, answer)
       SELECT shop_id, sha256(basket_id::bytea), sha256(basket_id::bytea), 201, basket_id, 1, '{}' FROM crowd`,
      [ofBasketId, made, Math.min(made + atOnce, count), itemIds, itemIds.length, lines],
    );
  }
  await database.query(
    `UPDATE stock s SET held = taken.quantity FROM (
       SELECT b.shop_id, t.stock_id, sum(t.quantity) AS quantity
       FROM baskets b, unnest(b.hold_stock_ids, b.hold_quantities) AS t(stock_id, quantity) GROUP BY 1, 2
     ) taken WHERE s.shop_id = taken.shop_id AND s.stock_id = taken.stock_id`,
  );
  await database.query('VACUUM ANALYZE');
}

/** The ids of some baskets that lie anywhere in the table. */
export async function someOf(database: pg.Client, count: number): Promise<string[]> {
  const { rows } = await database.query<{ id: string }>(
    'SELECT basket_id AS id FROM baskets ORDER BY random() LIMIT $1',
    [count],
  );
  return rows.map(({ id }) => id);
}
