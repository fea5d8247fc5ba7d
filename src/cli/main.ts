import { parseArgs } from 'node:util';
import { startProblem } from '../config.ts';
import { runPrune } from './prune.ts';
import { runReconcile } from './reconcile.ts';
import { makeToken } from './token.ts';

const usage = `npx basketlink <command>

  reconcile           compares Redis with Postgres, and repairs Redis
  reconcile --check   checks the books: stock against baskets, orders, outbox, Redis against Postgres; changes nothing

Both read DATABASE_URL and REDIS_URL, and exit with 1 when something differs.

  prune --older-than-days <31 or more> [--dry-run]

Removes what came to nothing so long ago: expired and cancelled baskets with all that is kept of them, idempotency keys and
spent confirmation tokens. It reads DATABASE_URL; with --dry-run it only says how much it is.

  token --shop <id> --scope "baskets:read baskets:write" [--partner <id>] [--sub <text>] [--ttl-seconds 3600]

Prints a JWT, for those without an issuer. It reads JWT_SECRET, JWT_ISSUER and JWT_AUDIENCE.
`;

const options = {
  check: { type: 'boolean', default: false },
  shop: { type: 'string' },
  scope: { type: 'string' },
  partner: { type: 'string' },
  sub: { type: 'string' },
  'ttl-seconds': { type: 'string' },
  'older-than-days': { type: 'string' },
  'dry-run': { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options });
  const [command, ...others] = positionals;
  const print = (line: string) => void process.stdout.write(`${line}\n`);
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  if (command === 'reconcile' && others.length === 0) return runReconcile(process.env, values.check, print);
  if (command === 'prune' && others.length === 0) {
    const { 'older-than-days': olderThanDays, 'dry-run': dryRun } = values;
    await runPrune(process.env, { olderThanDays, dryRun }, print);
    return 0;
  }
  if (command === 'token' && others.length === 0) {
    print(await makeToken(process.env, { ...values, ttlSeconds: values['ttl-seconds'] }));
    return 0;
  }
  process.stderr.write(usage);
  return 2;
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
