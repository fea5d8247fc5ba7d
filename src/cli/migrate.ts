import { migrate } from '../platform/migrations.ts';

const databaseUrl = process.env.DATABASE_URL;
if (!databaseUrl) {
  process.stderr.write('DATABASE_URL is missing: the Postgres database, postgres://user:password@host:port/name\n');
  process.exit(1);
}
const run = await migrate(databaseUrl);
process.stdout.write(run.length === 0 ? 'The database is up to date.\n' : `Migrated: ${run.join(', ')}\n`);
