import type pg from 'pg';
import type { Test } from 'tap';
import { type ProblemCode, problems } from '../../src/errors.ts';
import type { TestShop } from './journey.ts';
import type { api } from './service.ts';

type Answer = Awaited<ReturnType<ReturnType<typeof api>['request']>>;

/**
 * Sends what must be refused, and asserts that the answer is exactly the problem document of `code` and that not one row
 * was written or changed by it. Gives the answer for what the code adds to it.
 */
export async function assertRefused(
  t: Test,
  { service: { pool, config } }: Pick<TestShop, 'service'>,
  what: string,
  { status, code }: { status: number; code: ProblemCode },
  send: () => Promise<Answer>,
): Promise<Answer> {
  const before = await contentsOf(pool);
  const answer = await send();
  t.match(
    { status: answer.status, contentType: answer.headers.get('content-type'), body: answer.body },
    {
      status,
      contentType: 'application/problem+json',
      body: {
        type: `${config.publicUrl}/problems/${code}`,
        title: problems[code].title,
        status,
        detail: /./,
        code,
        requestId: answer.headers.get('x-request-id') ?? 'the header x-request-id',
      },
    },
    `${what}: ${answer.text}`,
  );
  t.same(await contentsOf(pool), before, `${what}: nothing is written`);
  return answer;
}

const tables = [
  'shops',
  'events',
  'stock',
  'pools',
  'items',
  'baskets',
  'orders',
  'spent_confirmations',
  'outbox',
  'idempotency_keys',
];

/** Which version of which rows each table has: equal ones mean that nothing was written in between. */
export async function contentsOf(pool: pg.Pool): Promise<Record<string, string>> {
  const versions = tables.map(
    // The place of a row and the transaction that wrote it: both change with whatever is written, the same value too.
    (table) =>
      `SELECT '${table}' AS name, count(*), md5(string_agg(ctid || ':' || xmin, ' ' ORDER BY ctid)) FROM ${table}`,
  );
  const { rows } = await pool.query<{ name: string; count: number; md5: string }>(versions.join(' UNION ALL '));
  return Object.fromEntries(rows.map(({ name, count, md5 }) => [name, `${count} rows ${md5}`]));
}
