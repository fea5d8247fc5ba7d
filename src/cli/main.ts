#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { startProblem } from '../config.ts';
import { runReconcile } from './reconcile.ts';

const usage = `npx basketlink <command>

  reconcile           compares Redis with Postgres, and repairs Redis
  reconcile --check   checks the books: stock against baskets, orders, outbox, Redis against Postgres; changes nothing

Both read DATABASE_URL and REDIS_URL, and exit with 1 when something differs.
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { check: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } },
  });
  const [command, ...others] = positionals;
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  if (command !== 'reconcile' || others.length > 0) {
    process.stderr.write(usage);
    return 2;
  }
  return runReconcile(process.env, values.check, (line) => process.stdout.write(`${line}\n`));
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`${startProblem(error)}\n`);
    process.exitCode = 1;
  },
);
