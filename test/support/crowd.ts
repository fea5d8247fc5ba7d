import type pg from 'pg';

/** How many stock rows a crowd is spread over. */
const stockRows = 20;

/**
 * Puts live baskets into Postgres as creations would have, each a copy of one that was created: one unit of one of
 * twenty stock rows, its outbox row, and all to expire at one moment. Redis is not told.
 */
export async function addCrowd(pool: pg.Pool, ofBasketId: string, count: number, expiresAt: Date): Promise<void> {
  await pool.query(
    `INSERT INTO stock (shop_id, stock_id, capacity, held)
     SELECT b.shop_id, 'item:crowd-' || n, $2, $2::int / ${stockRows} FROM baskets b, generate_series(0, ${stockRows - 1}) n
     WHERE b.basket_id = $1`,
    [ofBasketId, count],
  );
  await pool.query(
    `INSERT INTO baskets SELECT r.* FROM baskets b, generate_series(1, $2::int) n,
       jsonb_populate_record(b, jsonb_build_object('basket_id', 'bkt_crowd' || n, 'expires_at', $3::timestamptz,
         'hold_stock_ids', ARRAY['item:crowd-' || n % ${stockRows}], 'hold_quantities', ARRAY[1],
         'lines', (SELECT jsonb_agg(line || jsonb_build_object('quantity', 1, 'stockId', 'item:crowd-' || n % ${stockRows}))
           FROM jsonb_array_elements(b.lines::jsonb) line))) r
     WHERE b.basket_id = $1`,
    [ofBasketId, count, expiresAt],
  );
  await announceCrowd(pool);
}

/**
 * The same of a basket that waits for its activation: copies that hold nothing either. Postgres says that Redis may have
 * missed something, so that a service tells it soon.
 */
export async function addWaitingCrowd(pool: pg.Pool, ofBasketId: string, count: number): Promise<void> {
  await pool.query(
    `INSERT INTO baskets SELECT r.* FROM baskets b, generate_series(1, $2::int) n,
       jsonb_populate_record(b, jsonb_build_object('basket_id', 'bkt_crowd' || n)) r
     WHERE b.basket_id = $1`,
    [ofBasketId, count],
  );
  await announceCrowd(pool);
  await pool.query('UPDATE service_state SET redis_doubted_at = clock_timestamp()');
}

async function announceCrowd(pool: pg.Pool): Promise<void> {
  await pool.query(
    `INSERT INTO outbox (shop_id, subject_id, sequence, type, data)
     SELECT b.shop_id, b.basket_id, 1, 'basket.created', row_to_json(b) FROM baskets b WHERE b.basket_id LIKE 'bkt_crowd%'`,
  );
  await pool.query('ANALYZE baskets, stock, outbox');
}
