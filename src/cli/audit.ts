import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { compareHolds, compareRows, type KeeperDeps } from '../holds/index.ts';
import { type Queryable, withTransaction } from '../platform/postgres.ts';

/** Something that breaks a rule: which rule, and what breaks it. */
export type Finding = { rule: string; found: Record<string, unknown> };

/**
 * What must hold of the reservations whatever has happened to the service. Each statement lists what breaks the rule,
 * worked out from the baskets' rows alone; none of it goes through the code that keeps the rules.
 */
const rules: readonly { rule: string; broken: string }[] = [
  {
    rule: 'held is the sum of what live baskets hold, sold of what completed ones took and refunds did not give back',
    broken: `
      WITH taken AS (
        SELECT b.shop_id, t.stock_id,
          sum(t.quantity) FILTER (WHERE b.status IN ('open', 'activated', 'checkout')) AS held,
          sum(t.quantity) FILTER (WHERE b.status = 'completed') AS sold
        FROM baskets b, unnest(b.hold_stock_ids, b.hold_quantities) AS t(stock_id, quantity)
        GROUP BY b.shop_id, t.stock_id
      ),
      given_back AS (
        SELECT r.shop_id, l ->> 'stockId' AS stock_id, sum((l ->> 'quantity')::int) AS units
        FROM refunds r, json_array_elements(r.lines) AS l WHERE r.restocked GROUP BY 1, 2
      )
      SELECT s.shop_id, s.stock_id, s.held, s.sold, coalesce(t.held, 0)::int AS held_by_baskets,
        coalesce(t.sold, 0)::int AS sold_in_baskets, coalesce(g.units, 0)::int AS given_back
      FROM stock s FULL JOIN taken t ON t.shop_id = s.shop_id AND t.stock_id = s.stock_id
      LEFT JOIN given_back g ON g.shop_id = s.shop_id AND g.stock_id = s.stock_id
      WHERE s.stock_id IS NULL OR s.held <> coalesce(t.held, 0)
        OR s.sold <> coalesce(t.sold, 0) - coalesce(g.units, 0)`,
  },
  {
    rule: 'no more of a line is refunded than was bought, for no more than was paid, and what is all refunded says so',
    broken: `
      WITH refunded AS (
        SELECT r.shop_id, r.basket_id, l ->> 'lineId' AS line_id, l ->> 'stockId' AS stock_id,
          sum((l ->> 'quantity')::int) AS units, sum((l ->> 'amount')::bigint) AS amount
        FROM refunds r, json_array_elements(r.lines) AS l GROUP BY 1, 2, 3, 4
      ),
      bought AS (
        SELECT b.shop_id, b.basket_id, b.refunded_at, l ->> 'lineId' AS line_id, l ->> 'stockId' AS stock_id,
          (l ->> 'quantity')::int AS units, (l ->> 'total')::bigint AS amount
        FROM baskets b, json_array_elements(b.lines) AS l WHERE b.status = 'completed'
      )
      SELECT shop_id, basket_id, line_id, b.units AS bought, r.units::int AS refunded, b.amount, r.amount AS given_back
      FROM bought b FULL JOIN refunded r USING (shop_id, basket_id, line_id, stock_id)
      WHERE b.units IS NULL OR r.units > b.units OR r.amount > b.amount
        OR (b.refunded_at IS NOT NULL AND (r.units, r.amount) IS DISTINCT FROM (b.units::bigint, b.amount::numeric))`,
  },
  {
    rule: 'what a basket holds, or held, is what its lines, codes and cards take, and nothing while it waits to be activated',
    broken: `
      WITH line AS (
        SELECT b.shop_id, b.basket_id, t.take ->> 'stockId' AS stock_id, sum((t.take ->> 'quantity')::int) AS quantity
        FROM baskets b, LATERAL (
          SELECT json_array_elements(b.lines)
          UNION ALL
          SELECT json_array_elements(c -> 'takes') FROM json_array_elements(b.codes) AS c
          UNION ALL
          SELECT json_array_elements(g -> 'takes') FROM json_array_elements(b.gift_cards) AS g
        ) AS t(take) WHERE NOT b.waiting GROUP BY 1, 2, 3
      ),
      hold AS (
        SELECT b.shop_id, b.basket_id, t.stock_id, t.quantity
        FROM baskets b, unnest(b.hold_stock_ids, b.hold_quantities) AS t(stock_id, quantity)
      )
      SELECT shop_id, basket_id, stock_id, l.quantity AS of_lines, h.quantity AS held FROM line l FULL JOIN hold h USING (shop_id, basket_id, stock_id)
      WHERE l.quantity IS DISTINCT FROM h.quantity`,
  },
  {
    rule: 'what happened to the money of a gift card comes to what is left on it',
    broken: `
      SELECT g.shop_id, g.card_id, s.capacity - s.sold AS left_on_it, e.amount AS written_down
      FROM gift_cards g
      LEFT JOIN stock s ON s.shop_id = g.shop_id AND s.stock_id = 'giftCard:' || g.card_id
      LEFT JOIN (SELECT shop_id, card_id, sum(amount)::bigint AS amount FROM gift_card_entries GROUP BY 1, 2) e
        ON e.shop_id = g.shop_id AND e.card_id = g.card_id
      WHERE s.capacity - s.sold IS DISTINCT FROM e.amount`,
  },
  {
    rule: 'completed baskets have spent what they took of gift cards, and no more is given back',
    broken: `
      WITH spent AS (
        SELECT shop_id, basket_id, card_id, -sum(amount) FILTER (WHERE kind = 'spent') AS amount,
          coalesce(sum(amount) FILTER (WHERE kind = 'given_back'), 0) AS given_back
        FROM gift_card_entries WHERE basket_id IS NOT NULL GROUP BY 1, 2, 3
      ),
      paid AS (
        SELECT b.shop_id, b.basket_id, g ->> 'cardId' AS card_id, (t ->> 'quantity')::bigint AS amount
        FROM baskets b, json_array_elements(b.gift_cards) AS g, json_array_elements(g -> 'takes') AS t
        WHERE b.status = 'completed'
      )
      SELECT shop_id, basket_id, card_id, p.amount AS paid, s.amount AS spent, s.given_back
      FROM paid p FULL JOIN spent s USING (shop_id, basket_id, card_id)
      WHERE p.amount IS DISTINCT FROM s.amount OR s.given_back > s.amount`,
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
  {
    rule: 'the changes of a basket are numbered in the order of its sequence',
    broken: `
      SELECT o.shop_id, o.subject_id, o.sequence, o.change_number, o.change_number_before FROM (
        SELECT shop_id, subject_id, sequence, change_number, lag(change_number) OVER before AS change_number_before
        FROM outbox WINDOW before AS (PARTITION BY shop_id, subject_id ORDER BY sequence)
      ) o WHERE change_number <= change_number_before`,
  },
  {
    rule: 'a partner’s webhook is sent what is the partner’s own',
    broken: `
      SELECT w.shop_id, w.partner, w.webhook_id, o.subject_id, o.sequence, o.partner AS partner_of_change
      FROM webhooks w
      JOIN deliveries d ON d.shop_id = w.shop_id AND d.webhook_number = w.webhook_number
      JOIN outbox o ON o.shop_id = d.shop_id AND o.subject_id = d.subject_id AND o.sequence = d.sequence
      WHERE w.partner <> coalesce(o.partner, '')`,
  },
];

/** Lists everything in the database that breaks one of the rules. For a running service see auditPostgres. */
export async function auditRules(db: Queryable): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { rule, broken } of rules) {
    const { rows } = await db.query<Record<string, unknown>>(
      `${broken} /* across shops: an audit is of all of them */`,
    );
    findings.push(...rows.map((found) => ({ rule, found })));
  }
  return findings;
}

/** The same of one moment, so that a service which goes on meanwhile breaks no rule. */
export function auditPostgres(pool: pg.Pool): Promise<Finding[]> {
  return withTransaction(
    pool,
    async (tx) => {
      await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
      return auditRules(tx);
    },
    () => true,
  );
}

/** What a client was answered with a 2xx: a basket, and the order id if it was completed. */
export type Acknowledged = { shopId: string; basketId: string; orderId: string | null };

/** Lists the acknowledged baskets and orders that Postgres does not have. */
export async function auditAcknowledged(db: Queryable, acknowledged: readonly Acknowledged[]): Promise<Finding[]> {
  const { rows } = await db.query<Record<string, unknown>>(
    `SELECT a.shop_id, a.basket_id, a.order_id FROM unnest($1::text[], $2::text[], $3::text[]) AS a(shop_id, basket_id, order_id)
     LEFT JOIN baskets b ON b.shop_id = a.shop_id AND b.basket_id = a.basket_id
     WHERE b.basket_id IS NULL OR (a.order_id IS NOT NULL AND b.order_id IS DISTINCT FROM a.order_id)`,
    [
      acknowledged.map(({ shopId }) => shopId),
      acknowledged.map(({ basketId }) => basketId),
      acknowledged.map(({ orderId }) => orderId),
    ],
  );
  return rows.map((found) => ({ rule: 'what was answered with a 2xx is in Postgres', found }));
}

const lookAgainAfterMs = 500;

/**
 * Lists where Redis differs from Postgres: counts of stock rows, and holds of baskets. What is on its way meanwhile is
 * left out, by looking more than once, and so are admissions that no commit has settled. Null when Redis cannot be read.
 */
export async function auditRedis(deps: Pick<KeeperDeps, 'pool' | 'admission'>): Promise<Finding[] | null> {
  const rows = await compareRows(deps, 'all');
  const first = await compareHolds(deps);
  await delay(lookAgainAfterMs);
  const second = await compareHolds(deps);
  if (rows === null || first === null || second === null) return null;
  const holds = [...second].filter(([member]) => first.has(member));
  return [
    ...rows.map((found) => ({ rule: 'Redis counts of a stock row what Postgres says, and is short by', found })),
    ...(await unexplainedAdmissions(deps)),
    ...holds.map(([member, { inPostgres, inRedis }]) => ({
      rule: 'Redis has the holds that Postgres has',
      found: { member, inPostgres, inRedis },
    })),
  ];
}

/** Rows that count more or less admitted than the admissions in Redis have, when that stays so. */
async function unexplainedAdmissions({ admission }: Pick<KeeperDeps, 'admission'>): Promise<Finding[]> {
  const look = async () => {
    const admitted = new Map<string, number>();
    for (const { shopId, state, takes } of (await admission.allHolds()) ?? []) {
      for (const { stockId, quantity } of state === 'admitted' ? takes : []) {
        const row = `${shopId}/${stockId}`;
        admitted.set(row, (admitted.get(row) ?? 0) + quantity);
      }
    }
    const rows = [...((await admission.allRows()) ?? [])];
    return new Map(rows.map(([row, counted]): [string, number] => [row, counted.admitted - (admitted.get(row) ?? 0)]));
  };
  const first = await look();
  await delay(lookAgainAfterMs);
  const second = await look();
  return [...second].flatMap(([row, unexplained]) =>
    unexplained !== 0 && first.get(row) === unexplained
      ? [{ rule: 'Redis counts as admitted what its admissions take', found: { row, unexplained } }]
      : [],
  );
}
