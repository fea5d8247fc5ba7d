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

/** Which version of which rows each table has: equal ones mean that nothing was written in between. */
export async function contentsOf(pool: pg.Pool): Promise<Record<string, string>> {
  // Not of service_state: its row changes with what happens to Redis. Nor of what is counted aside of visitors, and of
  // deliveries, which the relay makes and tries on its own.
  const tables = await pool.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables
     WHERE schemaname = 'public' AND tablename NOT IN ('service_state', 'link_openings', 'deliveries')`,
  );
  const versions = tables.rows.map(
    ({ name }) =>
      `SELECT '${name}' AS name, count(*), md5(string_agg(version, ' ' ORDER BY version))
       FROM (SELECT ${versionOf(name)} AS version FROM ${name}) AS rows`,
  );
  const { rows } = await pool.query<{ name: string; count: number; md5: string }>(versions.join(' UNION ALL '));
  return Object.fromEntries(rows.map(({ name, count, md5 }) => [name, `${count} rows ${md5}`]));
}

/** SQL that tells the versions of a table's rows apart. */
function versionOf(table: string): string {
  // How far a webhook has come is up to the relay, too. Whoever changes one, changes `updated_at`.
  if (table === 'webhooks') return "webhook_number || ':' || updated_at";
  // The place of a row and the transaction that wrote it: both change with whatever is written, the same value too.
  return "ctid || ':' || xmin";
}
