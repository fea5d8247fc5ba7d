import type pg from 'pg';
import { startProblem } from '../../config.ts';
import { assertMigrated } from '../../platform/migrations.ts';
import { hasSqlState, isBehindPooler, openPostgres, poolSize } from '../../platform/postgres.ts';
import { aheadOfOursMs, checkOurClock } from './clocks.ts';
import { broken, type Finding, ok, warning } from './finding.ts';
import { type PostgresFacts, readForbiddenTables, readPostgresFacts, readPostgresMs } from './store.ts';

const oldestVersion = 15;

/**
 * Looks at Postgres as the service would use it. `aheadMs` is how far its clock is ahead of ours; null when it cannot be
 * reached.
 */
export async function checkPostgres(databaseUrl: string): Promise<{ findings: Finding[]; aheadMs: number | null }> {
  const pool = openPostgres(databaseUrl, () => {});
  try {
    const client = await pool.connect();
    try {
      const facts = await readPostgresFacts(client);
      const isPooled = await isBehindPooler(client);
      const aheadMs = await aheadOfOursMs(() => readPostgresMs(client));
      return {
        findings: [...judge(facts, isPooled), ...(await checkSchema(pool)), checkOurClock(aheadMs)],
        aheadMs,
      };
    } finally {
      client.release();
    }
  } catch (error) {
    return {
      findings: [broken(`Postgres cannot be used: ${startProblem(error)}`, howToConnect(error))],
      aheadMs: null,
    };
  } finally {
    await pool.end();
  }
}

function howToConnect(error: unknown): string {
  if (hasSqlState(error, '28P01', '28000'))
    return 'correct user and password in DATABASE_URL, or allow them in pg_hba.conf';
  if (hasSqlState(error, '3D000')) return 'make the database with createdb, and then `npm run migrate`';
  if (hasSqlState(error, '53300')) return 'raise max_connections, or put PgBouncer in front';
  if (hasSqlState(error, '08P01')) return 'if this is PgBouncer, set ignore_startup_parameters as docs/operate.md says';
  return 'start it, and see that DATABASE_URL names its address and that nothing between refuses port and TLS';
}

function judge(facts: PostgresFacts, isPooled: boolean): Finding[] {
  const { settings } = facts;
  return [
    facts.versionNumber >= oldestVersion * 10_000
      ? ok(`Postgres ${facts.version} answers`)
      : broken(`Postgres is ${facts.version}`, `upgrade it to ${oldestVersion} or later`),
    facts.isStandby || settings.default_transaction_read_only === 'on'
      ? broken(
          'Postgres takes no writes',
          'let DATABASE_URL name the primary, and set default_transaction_read_only = off',
        )
      : ok('Postgres takes writes'),
    ...(['fsync', 'full_page_writes'] as const).map((name) =>
      settings[name] === 'on'
        ? ok(`${name} is on`)
        : broken(`${name} is ${settings[name]}: a crash can lose or damage what was answered`, set(name, 'on')),
    ),
    settings.synchronous_commit === 'off'
      ? broken('synchronous_commit is off: a crash can lose sales that were answered', set('synchronous_commit', 'on'))
      : ok(`synchronous_commit is ${settings.synchronous_commit}`),
    settings.default_transaction_isolation === 'read committed'
      ? ok('default_transaction_isolation is read committed')
      : broken(
          `default_transaction_isolation is ${settings.default_transaction_isolation}: requests fail when they meet`,
          set('default_transaction_isolation', "'read committed'"),
        ),
    ...judgeTimeouts(settings),
    judgeConnections(facts, isPooled),
    ...(facts.isSuperuser
      ? [
          warning(
            'the role of DATABASE_URL is a superuser',
            'give the service a role of its own, which owns its tables',
          ),
        ]
      : []),
  ];
}

function judgeTimeouts(settings: PostgresFacts['settings']): Finding[] {
  const names = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'] as const;
  const missing = names.filter((name) => settings[name] === '0');
  if (missing.length === 0) return [ok('statements, locks and transactions have their time-outs')];
  const mend = 'a pooler does not pass them on: set them with ALTER ROLE as docs/operate.md says';
  return [broken(`there is no ${missing.join(' and no ')}: a request may wait for ever`, mend)];
}

function judgeConnections({ connections }: PostgresFacts, isPooled: boolean): Finding {
  if (isPooled) return ok('a pooler is in front of Postgres');
  const replicas = Math.floor(connections / poolSize);
  const says = `Postgres has ${connections} connections, a replica opens up to ${poolSize}`;
  const mend = 'raise max_connections and the limits of role and database, or put PgBouncer in front';
  if (replicas === 0) return broken(says, mend);
  return replicas === 1
    ? warning(`${says}: one that is started before another has stopped finds too few`, mend)
    : ok(`${says}: enough for ${replicas}`);
}

async function checkSchema(pool: pg.Pool): Promise<Finding[]> {
  const forbidden = await readForbiddenTables(pool);
  if (forbidden.length > 0) {
    const mend = 'let it own them, or grant it to read, insert, update and delete in all of them';
    return [broken(`the role of DATABASE_URL may not read and write ${forbidden.join(', ')}`, mend)];
  }
  try {
    await assertMigrated(pool);
    return [ok('the role may read and write all tables'), ok('the database has all migrations')];
  } catch (error) {
    return [broken(startProblem(error))];
  }
}

function set(name: string, value: string): string {
  return `write ${name} = ${value} into postgresql.conf and reload it; a role or database may have its own, too`;
}
