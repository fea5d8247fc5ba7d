import type pg from 'pg';
import { until } from './until.ts';

/** With Redis away or wrong; with it, two seconds. */
const sweptWithinMs = 15_000;

/**
 * Waits until no basket is live past its time, and tells how late the sweeper was, by Postgres' clock: from a basket's
 * `expiresAt` to the transaction that ended it.
 */
export async function latenessOfExpiry(
  pool: pg.Pool,
): Promise<{ violations: string[]; earliestMs: number; latestMs: number; expired: number }> {
  const dueSql = `SELECT count(*)::int AS due FROM baskets WHERE status IN ('open', 'activated', 'checkout') AND expires_at`;
  const countDue = async (bound: string) => (await pool.query<{ due: number }>(`${dueSql} ${bound}`)).rows[0]?.due ?? 0;
  // Those of a load live for some seconds more.
  await until('no basket is to expire any more', 60_000, async () => {
    const [soon, due] = [await countDue(`< now() + interval '20 seconds'`), await countDue('<= now()')];
    return soon === 0 || (due === soon && (await countDue(`< now() - interval '16 seconds'`)) > 0);
  });
  const { rows } = await pool.query<{ earliest_ms: number; latest_ms: number; expired: number }>(
    `SELECT coalesce(min(late_ms), 0) AS earliest_ms, coalesce(max(late_ms), 0) AS latest_ms, count(*)::int AS expired
     FROM (
       SELECT (extract(epoch FROM o.created_at - b.expires_at) * 1000)::float8 AS late_ms
       FROM baskets b JOIN outbox o ON o.shop_id = b.shop_id AND o.subject_id = b.basket_id AND o.type = 'basket.expired'
       WHERE b.status_reason = 'timeout'
     ) swept`,
  );
  const { earliest_ms: earliestMs = 0, latest_ms: latestMs = 0, expired = 0 } = rows[0] ?? {};
  const violations: string[] = [];
  if (expired === 0) violations.push('no basket expired, so that nothing was shown');
  if (earliestMs < 0) violations.push(`a basket was ended ${-earliestMs} ms before its time`);
  if (latestMs > sweptWithinMs) violations.push(`a basket was ended ${latestMs} ms after its time`);
  const due = await countDue('<= now()');
  if (due > 0) violations.push(`${due} baskets are past their time and have not been ended`);
  return { violations, earliestMs, latestMs, expired };
}
