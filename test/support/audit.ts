import type { Queryable } from '../../src/platform/postgres.ts';

/**
 * What must hold of the reservations whatever has happened to the service. Each statement lists what breaks the rule,
 * worked out from the baskets' rows alone; none of it goes through the code under test.
 */
const rules: readonly { rule: string; broken: string }[] = [
  {
    rule: 'held is the sum of what live baskets hold, sold of what completed ones took',
    broken: `
      WITH taken AS (
        SELECT b.shop_id, t.stock_id,
          sum(t.quantity) FILTER (WHERE b.status IN ('open', 'activated', 'checkout')) AS held,
          sum(t.quantity) FILTER (WHERE b.status = 'completed') AS sold
        FROM baskets b, unnest(b.hold_stock_ids, b.hold_quantities) AS t(stock_id, quantity)
        GROUP BY b.shop_id, t.stock_id
      )
      SELECT s.shop_id, s.stock_id, s.held, s.sold,
        coalesce(t.held, 0)::int AS held_by_baskets, coalesce(t.sold, 0)::int AS sold_in_baskets
      FROM stock s FULL JOIN taken t ON t.shop_id = s.shop_id AND t.stock_id = s.stock_id
      WHERE s.stock_id IS NULL OR s.held <> coalesce(t.held, 0) OR s.sold <> coalesce(t.sold, 0)`,
  },
  {
    rule: 'what a basket holds, or held, is what its lines take',
    broken: `
      WITH line AS (
        SELECT b.shop_id, b.basket_id, l ->> 'stockId' AS stock_id, sum((l ->> 'quantity')::int) AS quantity
        FROM baskets b, json_array_elements(b.lines) AS l GROUP BY 1, 2, 3
      ),
      hold AS (
        SELECT b.shop_id, b.basket_id, t.stock_id, t.quantity
        FROM baskets b, unnest(b.hold_stock_ids, b.hold_quantities) AS t(stock_id, quantity)
      )
      SELECT * FROM line l FULL JOIN hold h USING (shop_id, basket_id, stock_id)
      WHERE l.quantity IS DISTINCT FROM h.quantity`,
  },
  {
    rule: 'no more is held and sold than there is',
    broken: 'SELECT shop_id, stock_id, capacity, held, sold FROM stock WHERE held + sold > capacity',
  },
  {
    rule: 'a completed basket has exactly one order, its own, and no other basket has any',
    broken: `
      SELECT coalesce(b.shop_id, o.shop_id) AS shop_id, b.basket_id, b.status, b.order_id, array_agg(o.order_id) AS orders
      FROM baskets b FULL JOIN orders o ON o.shop_id = b.shop_id AND o.basket_id = b.basket_id
      GROUP BY 1, 2, 3, 4
      HAVING array_agg(o.order_id) IS DISTINCT FROM ARRAY[b.order_id]`,
  },
  {
    rule: 'an order belongs to one basket',
    broken: `SELECT shop_id, order_id, count(*)::int AS baskets FROM baskets WHERE order_id IS NOT NULL
      GROUP BY 1, 2 HAVING count(*) > 1`,
  },
  {
    rule: 'the outbox rows of a basket are numbered from 1 to its sequence without a gap',
    broken: `
      SELECT b.shop_id, b.basket_id, b.sequence, array_agg(o.sequence ORDER BY o.sequence) AS outbox
      FROM baskets b LEFT JOIN outbox o ON o.shop_id = b.shop_id AND o.subject_id = b.basket_id
      GROUP BY b.shop_id, b.basket_id, b.sequence
      HAVING array_agg(o.sequence ORDER BY o.sequence) IS DISTINCT FROM
        (SELECT array_agg(n) FROM generate_series(1, b.sequence) AS n)`,
  },
  {
    rule: 'the last outbox row of a basket tells its status',
    broken: `
      SELECT b.shop_id, b.basket_id, b.status, o.type, o.data ->> 'status' AS announced
      FROM baskets b
      JOIN outbox o ON o.shop_id = b.shop_id AND o.subject_id = b.basket_id AND o.sequence = b.sequence
      WHERE o.data ->> 'status' <> b.status`,
  },
];

/** Throws with a list of everything in the database that breaks one of the rules. Nothing may be at work meanwhile. */
export async function audit(db: Queryable): Promise<void> {
  const findings: string[] = [];
  for (const { rule, broken } of rules) {
    const { rows } = await db.query<Record<string, unknown>>(broken);
    findings.push(...rows.map((row) => `${rule}: ${JSON.stringify(row)}`));
  }
  if (findings.length > 0) throw new Error(`The audit found ${findings.length}:\n  ${findings.join('\n  ')}`);
}
