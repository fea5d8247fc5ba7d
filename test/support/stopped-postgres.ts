import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { startPostgres } from '../../src/dev/services.ts';
import { migrate } from '../../src/platform/migrations.ts';

/**
 * Makes a stopped Postgres, migrated, for others to be copies of: a run of all faults needs a hundred, and a copy takes
 * a tenth of the time.
 */
export async function makePostgres(dataDirectory: string): Promise<void> {
  const server = await startPostgres({ dataDirectory, durable: false });
  await migrate(server.url);
  await server.stop();
}

/** Copies a stopped Postgres, with the password that is kept beside it, for the same user to run. */
export async function copyPostgres(from: string, to: string): Promise<void> {
  await promisify(execFile)('cp', ['-a', from, to]);
  await promisify(execFile)('cp', ['-a', `${from}.password`, `${to}.password`]);
}
