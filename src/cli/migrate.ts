import { startProblem, variablesOf } from '../config.ts';
import { migrate } from '../platform/migrations.ts';

try {
  const run = await migrate(variablesOf(process.env, ['DATABASE_URL']).DATABASE_URL);
  process.stdout.write(run.length === 0 ? 'The database is up to date.\n' : `Migrated: ${run.join(', ')}\n`);
} catch (error) {
  process.stderr.write(`${startProblem(error)}\n`);
  process.exit(1);
}
