import type { Queryable } from '../../platform/postgres.ts';

/** How Postgres is set for the role and database of DATABASE_URL. `settings` are as `SHOW` gives them. */
export type PostgresFacts = {
  version: string;
  versionNumber: number;
  isStandby: boolean;
  isSuperuser: boolean;
  /** How many connections there may be that are not kept for superusers, by the server, the database and the role. */
  connections: number;
  settings: Record<SettingName, string>;
};

const settingNames = [
  'fsync',
  'full_page_writes',
  'synchronous_commit',
  'default_transaction_isolation',
  'default_transaction_read_only',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
] as const;
type SettingName = (typeof settingNames)[number];

export async function readPostgresFacts(db: Queryable): Promise<PostgresFacts> {
  const { rows } = await db.query<PostgresFacts>(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS "versionNumber",
       pg_is_in_recovery() AS "isStandby", r.rolsuper AS "isSuperuser",
       least(
         current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true), '0')::int,
         nullif(d.datconnlimit, -1), nullif(r.rolconnlimit, -1)
       ) AS connections,
       (SELECT json_object_agg(name, current_setting(name)) FROM unnest($1::text[]) AS name) AS settings
     FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()`,
    [settingNames],
  );
  const [row] = rows;
  if (row === undefined) throw new Error('Postgres did not say who we are');
  return row;
}

/** The tables that the role may not read and write as the service does. */
export async function readForbiddenTables(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class
     WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname <> 'migrations' AND NOT (
       SELECT bool_and(has_table_privilege(oid, wanted))
       FROM unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS wanted)
     ORDER BY relname`,
  );
  return rows.map(({ name }) => name);
}

/** Postgres' clock, in milliseconds since 1970. */
export async function readPostgresMs(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ ms: number }>(
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms',
  );
  return rows[0]?.ms ?? Number.NaN;
}
