import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type MigrationBuilder, runner } from 'node-pg-migrate';
import pg from 'pg';
import { hasSqlState, sqlState } from './postgres.ts';

const directory = fileURLToPath(new URL('../../migrations', import.meta.url));
const lockId = 7_234_110_924;
const retryMs = 500;
/**
 * For how long a migration may wait for a table. Everybody else waits behind it meanwhile, however long a transaction it
 * is that keeps the table.
 */
const lockTimeoutMs = 300;
const lockTries = 60;

/**
 * Brings a database to the schema of this build and returns the names of the migrations that were run. Any number of
 * replicas may call it at once: one at a time has an advisory lock that lives in a transaction of its own, which also
 * holds behind PgBouncer in transaction mode. A migration that does not get its locks at once is tried again, 60
 * times. Throws what Postgres throws then, and when the database is newer than this build can work with.
 */
export async function migrate(databaseUrl: string): Promise<string[]> {
  for (let lockRefusals = 0; ; ) {
    try {
      const run = await migrateIfFree(databaseUrl);
      if (run !== null) return run;
    } catch (error) {
      lockRefusals += 1;
      if (!hasSqlState(error, sqlState.lockNotAvailable) || lockRefusals === lockTries) throw error;
    }
    // Who waited inside a transaction would keep a connection of PgBouncer's from the one who migrates, who needs two.
    await delay(retryMs);
  }
}

/** Migrates, or gives null while somebody else does. */
async function migrateIfFree(databaseUrl: string): Promise<string[] | null> {
  const gate = new pg.Client({ connectionString: databaseUrl, application_name: 'basketlink migrate' });
  await gate.connect();
  try {
    await gate.query('BEGIN');
    const { rows } = await gate.query<{ free: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS free', [lockId]);
    if (!rows[0]?.free) return null;
    // It is idle in its transaction for as long as the longest migration takes.
    await gate.query('SET LOCAL idle_in_transaction_session_timeout = 0');
    const names = await runMigrations(databaseUrl);
    await gate.query('COMMIT');
    return names;
  } finally {
    await gate.end();
  }
}

/** Runs what is missing, on a connection of its own: one of the runner's would still be open when this returns. */
async function runMigrations(databaseUrl: string): Promise<string[]> {
  const dbClient = new pg.Client({ connectionString: databaseUrl, lock_timeout: lockTimeoutMs });
  await dbClient.connect();
  try {
    // Not in the transaction that keeps others out: no migration could change the table then.
    await assertSchemaIsUsable(dbClient);
    const run = await runner({
      dbClient,
      dir: directory,
      migrationLoaderStrategies: [
        {
          extensions: ['.sql'],
          loader: (paths) => Promise.all(paths.map((path) => loadMigration(databaseUrl, path))),
        },
      ],
      direction: 'up',
      migrationsTable: 'migrations',
      checkOrder: true,
      noLock: true,
      log: () => {},
    });
    return run.map(({ name }) => name);
  } finally {
    await dbClient.end();
  }
}

/**
 * Loads a migration. One that works CONCURRENTLY cannot run in a transaction, and waits until older transactions have
 * ended, which nobody waits behind: its statements run one by one on a connection that has the time.
 */
async function loadMigration(databaseUrl: string, path: string) {
  const content = await readFile(path, 'utf8');
  const isConcurrent = /^\w.* CONCURRENTLY /m.test(content);
  const up = isConcurrent
    ? () => runOneByOne(databaseUrl, content.split(/;$/m))
    : async (pgm: MigrationBuilder) => pgm.sql(content);
  return { id: path, filePaths: [path], actions: { up, down: false as const } };
}

async function runOneByOne(databaseUrl: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'basketlink migrate' });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/**
 * Throws unless the database has every migration of this build, and none that says it breaks builds as old as this one.
 * A breaking migration says so by raising `service_state.oldest_usable_build` to its own number.
 */
export async function assertMigrated(pool: pg.Pool): Promise<void> {
  const latest = await latestMigration();
  await assertSchemaIsUsable(pool);
  const { rows } = await pool.query<{ applied: string | null }>(
    `SELECT CASE WHEN to_regclass('migrations') IS NOT NULL THEN 'yes' END AS applied`,
  );
  const names = rows[0]?.applied
    ? (await pool.query<{ name: string }>('SELECT name FROM migrations')).rows.map(({ name }) => name)
    : [];
  if (!names.some((name) => numberOf(name) >= latest)) {
    throw new Error('The database lacks migrations of this build: run `npm run migrate` first.');
  }
}

async function assertSchemaIsUsable(client: Pick<pg.ClientBase, 'query'>): Promise<void> {
  const { rows: tables } = await client.query<{ present: boolean }>(
    `SELECT to_regclass('service_state') IS NOT NULL AS present`,
  );
  if (!tables[0]?.present) return;
  const { rows } = await client.query<{ oldest: number }>('SELECT oldest_usable_build AS oldest FROM service_state');
  const latest = await latestMigration();
  const oldest = rows[0]?.oldest ?? 0;
  if (oldest > latest) {
    throw new Error(`The database needs a build with migration ${oldest} or later; this one ends at ${latest}.`);
  }
}

async function latestMigration(): Promise<number> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql'));
  return Math.max(0, ...names.map(numberOf));
}

function numberOf(name: string): number {
  return Number.parseInt(name, 10);
}
