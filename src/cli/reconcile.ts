import { setTimeout as delay } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { variablesOf } from '../config.ts';
import { adoptEpoch, checkEpoch, holdMetrics, openAdmission, reconcile as reconcileRedis } from '../holds/index.ts';
import { openLogger } from '../platform/logger.ts';
import { openPostgres } from '../platform/postgres.ts';
import { openRedis, redisTimeoutMs } from '../platform/redis.ts';
import { auditPostgres, auditRedis } from './audit.ts';
import { type Command, type Print, readArguments } from './command.ts';

export const reconcile: Command = {
  usage: `npx basketlink reconcile           compares Redis with Postgres, and repairs Redis
npx basketlink reconcile --check   checks the books: stock against baskets, orders, outbox, Redis against Postgres;
                                   changes nothing

Reads DATABASE_URL and REDIS_URL. Exit codes: 0 nothing differs, 1 something does or did, or could not be compared.
`,
  async run(args, environment, print) {
    const { values } = readArguments(args, { check: { type: 'boolean', default: false } });
    return runReconcile(environment, values.check, print);
  },
};

const redisWithinMs = 3000;
const askAgainMs = 50;

/**
 * `npx basketlink reconcile [--check]`: prints line by line what differs, and gives the exit code, 1 when anything did.
 * With `check` nothing is changed and the books in Postgres are checked as well.
 */
export async function runReconcile(
  environment: NodeJS.ProcessEnv,
  check: boolean,
  print: Print,
  redisKeyPrefix = '',
): Promise<number> {
  const { DATABASE_URL, REDIS_URL } = variablesOf(environment, ['DATABASE_URL', 'REDIS_URL']);
  const pool = openPostgres(DATABASE_URL, () => {});
  const redis = openRedis(REDIS_URL, redisKeyPrefix, () => {}, redisTimeoutMs.ofTool);
  const admission = openAdmission(redis);
  const deps = { pool, admission, logger: openLogger('silent'), metrics: holdMetrics(new Registry()) };
  try {
    const givenUpMs = performance.now() + redisWithinMs;
    // The nodes of a cluster are connected one after the other.
    while (!(await redis.ping()) && performance.now() < givenUpMs) await delay(askAgainMs);
    if (check) return await printDifferences(deps, print);
    const found = await checkEpoch(deps);
    if (found !== 'current' && found !== 'rebuilt') {
      print(`Redis cannot be reconciled now: ${found}.`);
      return 1;
    }
    if (found === 'rebuilt') print('Redis was not what Postgres knew of it, and was built anew.');
    const reconciled = await reconcileRedis(deps, 'all');
    if (reconciled === null) {
      print('Another replica is reconciling at this moment.');
      return 1;
    }
    print(
      `Redis was wrong by ${reconciled.driftUnits} units of stock${reconciled.driftUnits === 0 ? '.' : ', and was repaired.'}`,
    );
    return reconciled.driftUnits === 0 && found === 'current' ? 0 : 1;
  } finally {
    await redis.close();
    await pool.end();
  }
}

async function printDifferences(deps: Parameters<typeof auditRedis>[0], print: Print): Promise<number> {
  const findings = await auditPostgres(deps.pool);
  const standing = await adoptEpoch(deps);
  const ofRedis = standing === 'current' ? await auditRedis(deps) : null;
  if (ofRedis === null) print(`Redis is not in use: ${standing}. Postgres decides alone.`);
  for (const { rule, found } of [...findings, ...(ofRedis ?? [])]) print(`${rule}: ${JSON.stringify(found)}`);
  const differ = findings.length + (ofRedis?.length ?? 0);
  print(differ === 0 ? 'Nothing differs.' : `${differ} differences.`);
  return differ === 0 && ofRedis !== null ? 0 : 1;
}
