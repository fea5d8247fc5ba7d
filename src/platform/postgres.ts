import { Socket } from 'node:net';
import pg from 'pg';
import { isRefusal } from '../errors.ts';
import { gatherWrites } from './gather-writes.ts';

/** What a store needs to run a statement: the pool for a single one, a client inside a transaction. */
export type Queryable = Pick<pg.ClientBase, 'query'>;

// Counters and versions are bigint in SQL and stay far below 2^53.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

/** How many connections a process opens at most. */
export const poolSize = 20;

/**
 * Opens the pool. Every wait is bounded: for a connection 1.5 s, for a lock 2 s, for a statement 4 s, so that a caller
 * is answered within its 5 s whatever Postgres does. Behind PgBouncer in transaction mode these settings belong on the
 * role, and PgBouncer's `ignore_startup_parameters` must name them.
 */
export function openPostgres(databaseUrl: string, onError: (error: Error) => void): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: poolSize,
    connectionTimeoutMillis: 1500,
    idleTimeoutMillis: 30_000,
    statement_timeout: 4000,
    lock_timeout: 2000,
    idle_in_transaction_session_timeout: 10_000,
    application_name: 'basketlink',
    // What a transaction need not wait for goes out together.
    pipeline: true,
    stream: openGatheringSocket,
    onConnect: nameStatements,
  });
  // An idle connection that Postgres closes must not end the process.
  pool.on('error', onError);
  return pool;
}

function openGatheringSocket(): Socket {
  const socket = new Socket();
  // Connecting gives it back the write of every socket.
  return socket.once('connect', () => gatherWrites(socket));
}

/** More texts than the program has: should some be made at run time after all, those beyond are planned each time. */
const maxNamed = 500;
const names = new Map<string, string>();

function nameOf(text: string): string | undefined {
  if (!names.has(text) && names.size < maxNamed) names.set(text, `s${names.size}`);
  return names.get(text);
}

/**
 * Has a connection name its statements that have parameters, so that Postgres parses and plans each of them once.
 * Behind a pooler none is named: there the next transaction may be on another connection, which does not know the name.
 */
async function nameStatements(client: pg.ClientBase): Promise<void> {
  if (await isBehindPooler(client)) return;
  const query = client.query.bind(client) as (text: unknown, values: unknown, callback: unknown) => unknown;
  const queryNamed = (text: unknown, values: unknown, callback: unknown) =>
    typeof text === 'string' && Array.isArray(values) && values.length > 0
      ? query({ name: nameOf(text), text, values }, callback, undefined)
      : query(text, values, callback);
  client.query = queryNamed as typeof client.query;
}

/** Whether a pooler stands between, told by the process that it makes up, since it stands for many. */
export async function isBehindPooler(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid !== Reflect.get(client, 'processID');
}

/** SQLSTATEs that callers tell apart. Source: PostgreSQL manual, appendix A. */
export const sqlState = {
  uniqueViolation: '23505',
  checkViolation: '23514',
  serializationFailure: '40001',
  deadlockDetected: '40P01',
  lockNotAvailable: '55P03',
} as const;

/** Whether an error is Postgres saying this SQLSTATE. */
export function hasSqlState(error: unknown, ...states: string[]): boolean {
  return error instanceof pg.DatabaseError && error.code !== undefined && states.includes(error.code);
}

/** Whether an error means that Postgres cannot serve now, so that the caller should come back later. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) {
    // 08 connection, 25006 read-only, 53 resources, 55P03 lock wait, 57 operator intervention, 58 system error.
    return /^(08|53|57|58|25006|25P03|55P03|40P01|40001)/.test(error.code ?? '');
  }
  return (
    error instanceof Error &&
    /timeout exceeded when trying to connect|Connection terminated|not queryable|EMFILE|ENFILE|ECONN|EPIPE|ENOTFOUND|socket hang up/.test(
      `${error.message} ${'code' in error ? String(error.code) : ''}`,
    )
  );
}

const attempts = 3;

/**
 * Runs `work` in one READ COMMITTED transaction: committed when `keep` says so of its result (by default everything but
 * a refusal), else rolled back. Runs it again, up to three times, when Postgres ended it for a deadlock or a
 * serialization failure, so `work` may touch nothing but the transaction. Throws what Postgres throws.
 */
export async function withTransaction<T>(
  pool: pg.Pool,
  work: (tx: pg.PoolClient) => Promise<T>,
  keep: (result: T) => boolean = (result) => !isRefusal(result),
): Promise<T> {
  return begin(pool, async (client) => {
    const result = await work(client);
    await client.query(keep(result) ? 'COMMIT' : 'ROLLBACK');
    return result;
  });
}

export type Statement = { text: string; values: unknown[] };

/**
 * Runs statements one after the other in one READ COMMITTED transaction that is committed, all of it in one round trip,
 * so that what they lock is locked while Postgres works and no longer. Each sees what those before it have locked and
 * written. Tried again as withTransaction does. Gives the rows of each; throws what Postgres throws of the first that
 * fails, and then nothing is written.
 */
export async function commitTogether<Row extends pg.QueryResultRow>(
  pool: pg.Pool,
  statements: readonly Statement[],
): Promise<Row[][]> {
  return begin(pool, async (client) => {
    const sent = statements.map(({ text, values }) => client.query<Row>(text, values));
    const committed = client.query('COMMIT');
    const [results] = await Promise.all([Promise.all(sent), committed]);
    return results.map(({ rows }) => rows);
  });
}

/**
 * Named statements are planned once for whatever parameters. Left to choose, Postgres makes a new plan for most runs of
 * those that take arrays, since it guesses how long these are: of a lone creation that is a third of its work. What
 * transactions do is by key, so that every plan is the same; lists, whose filters make a difference, have none.
 */
const beginSql = 'BEGIN; SET LOCAL plan_cache_mode = force_generic_plan';

/** Begins a transaction that `work` ends, unless it throws. Tries again as withTransaction says. */
async function begin<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    let broken: Error | undefined;
    // The pool listens on idle connections only: one that dies in a transaction would end the process.
    const onError = (error: Error) => {
      broken = error;
    };
    const client = await connect(pool, onError);
    try {
      // Not waited for: it goes out with the first statement. Should it fail, later ones must not run without it.
      client.query(beginSql).catch(() => client.end());
      return await work(client);
    } catch (error) {
      await client.query('ROLLBACK').catch((failure: Error) => {
        broken = failure;
      });
      const again = hasSqlState(error, sqlState.deadlockDetected, sqlState.serializationFailure);
      if (!again || attempt === attempts) throw error;
    } finally {
      client.off('error', onError);
      client.release(broken);
    }
  }
}

/**
 * Takes a connection from the pool and listens to it from the same moment on: an awaited `pool.connect` comes too late
 * for the end of a connection that Postgres has sent together with its beginning.
 */
function connect(pool: pg.Pool, onError: (error: Error) => void): Promise<pg.PoolClient> {
  return new Promise((resolve, reject) => {
    pool.connect((error, client) => {
      if (client === undefined) return reject(error);
      client.on('error', onError);
      resolve(client);
    });
  });
}

/** Lets the transaction wait for a lock no longer than this, where the pool would wait longer. */
export async function waitForLocksAtMost(tx: Queryable, waitMs: number): Promise<void> {
  await tx.query(`SET LOCAL lock_timeout = ${waitMs}`);
}

const aloneSilentForMs = 60_000;
const aloneSaidEveryMs = 20_000;

/**
 * Runs `work` while no other process runs anything under the same name; null when one does. The lock lives in a
 * transaction of its own, so that it is gone with the process, and a minute after the process hangs; `work` uses other
 * connections.
 */
export async function runAlone<T>(pool: pg.Pool, name: string, work: () => Promise<T>): Promise<{ result: T } | null> {
  return withTransaction(pool, async (tx) => {
    await tx.query(`SET LOCAL idle_in_transaction_session_timeout = ${aloneSilentForMs}`);
    const { rows } = await tx.query<{ locked: boolean }>(
      'SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS locked',
      [name],
    );
    if (!rows[0]?.locked) return null;
    // What takes longer than a minute would lose its lock on the way, and begin again for ever.
    const saying = setInterval(() => void tx.query('SELECT').catch(() => {}), aloneSaidEveryMs);
    try {
      return { result: await work() };
    } finally {
      clearInterval(saying);
    }
  });
}

/** Lets the statements of a transaction take as long as they need: for commands that nobody waits for an answer of. */
export async function waitForLong(tx: Queryable): Promise<void> {
  await tx.query('SET LOCAL statement_timeout = 0');
}

/**
 * Reads a query's rows page by page in the caller's transaction, so that a large answer is never in memory as a whole. The
 * next page is on its way while `work` is done, which uses other connections. Ends early, and gives false, when `work` does.
 */
export async function eachPage<Row extends pg.QueryResultRow>(
  tx: Queryable,
  query: string,
  pageSize: number,
  work: (rows: Row[]) => Promise<boolean>,
): Promise<boolean> {
  await tx.query(`DECLARE page NO SCROLL CURSOR FOR ${query}`);
  let fetching = tx.query<Row>(`FETCH ${pageSize} FROM page`);
  for (;;) {
    const { rows } = await fetching;
    const isLast = rows.length < pageSize;
    fetching = tx.query<Row>(isLast ? 'CLOSE page' : `FETCH ${pageSize} FROM page`);
    // Should both fail, then of the two `work` is told of.
    fetching.catch(() => {});
    const goOn = rows.length === 0 || (await work(rows));
    if (goOn && !isLast) continue;
    await fetching;
    if (!isLast) await tx.query('CLOSE page');
    return goOn;
  }
}
