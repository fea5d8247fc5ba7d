import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { freePort, launch } from '../../src/dev/services.ts';

/** What the service sets for each of its connections, and a pool shared between clients must set for the role. */
const roleSettings = {
  statement_timeout: '4s',
  lock_timeout: '2s',
  idle_in_transaction_session_timeout: '10s',
};

/**
 * Starts PgBouncer in transaction mode in front of every database of a Postgres, set up as docs/operate.md says, with
 * `poolSize` connections to each. Its files go into `directory`, which everybody can read; `postgresUrl` is a
 * superuser's. Gives the URL of a superuser through it, or null where PgBouncer is not installed.
 */
export async function startPgBouncer(directory: string, postgresUrl: string, { poolSize = 20 } = {}) {
  const server = new URL(postgresUrl);
  const role = `test_${randomBytes(8).toString('hex')}`;
  const password = randomBytes(16).toString('hex');
  const port = await freePort();
  const config = join(directory, `${role}.ini`);
  const users = join(directory, `${role}.users`);
  await writeFile(users, `"${role}" "${password}"\n`);
  await writeFile(
    config,
    `[databases]
* = host=${server.hostname} port=${server.port || 5432}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${users}
pool_mode = transaction
ignore_startup_parameters = ${Object.keys(roleSettings).join(', ')}
default_pool_size = ${poolSize}
max_client_conn = 1000
query_wait_timeout = 2
server_idle_timeout = 10
`,
  );
  // It refuses to run as root.
  const user = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  const launched = await launch(
    { command: 'pgbouncer', args: [config], cwd: directory, ...user },
    'SIGTERM',
    'process up',
  );
  if (launched.outcome === 'not installed') return null;
  if (launched.outcome === 'exited') throw new Error(`pgbouncer did not start: ${launched.log}`);

  await administer(postgresUrl, [
    `CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD '${password}'`,
    ...Object.entries(roleSettings).map(([name, value]) => `ALTER ROLE ${role} SET ${name} = '${value}'`),
  ]);
  const url = new URL(postgresUrl);
  url.host = `127.0.0.1:${port}`;
  url.username = role;
  url.password = password;
  return {
    url: url.href,
    async stop(): Promise<void> {
      await launched.stop();
      await administer(postgresUrl, [`DROP ROLE ${role}`]);
    },
  };
}

async function administer(postgresUrl: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: postgresUrl });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}
