import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { Registry } from 'prom-client';
import { countOutOfDateLinks, raiseEpoch } from '../baskets/index.ts';
import { variablesOf } from '../config.ts';
import { checkEpoch, forgetRedis, holdMetrics, openAdmission } from '../holds/index.ts';
import { openLogger } from '../platform/logger.ts';
import { assertMigrated } from '../platform/migrations.ts';
import { openPostgres, waitForLong, withTransaction } from '../platform/postgres.ts';
import { openRedis, redisTimeoutMs } from '../platform/redis.ts';
import { goOnAfterRestore } from '../webhooks/index.ts';
import { type Command, type Print, readArguments } from './command.ts';

export const restored: Command = {
  usage: `npx basketlink restored [--yes]

To be run once after Postgres came back from a backup, before the service is started again. Raises the epoch, so that start
links from before answer link_revoked and places in the feed of changes from before are refused; has webhooks go on where
the backup is; and builds Redis anew. Without --yes it says what it would do, and changes nothing. Running it again does
no harm, but revokes what links were made since.

Reads DATABASE_URL, whose role must own the tables, and REDIS_URL. Exit codes: 0 done, or said what would be, 1 it could
not be done; what was done is said.
`,
  async run(args, environment, print) {
    const { values } = readArguments(args, { yes: { type: 'boolean', default: false } });
    return runRestored(environment, values.yes, print);
  },
};

const redisWithinMs = 10_000;
const askAgainMs = 100;

/**
 * `npx basketlink restored [--yes]`: prints what it does, or without `yes` what it would do, and gives the exit code: 1
 * when Redis could not be built anew, which then the next replica does that finds it.
 */
export async function runRestored(
  environment: NodeJS.ProcessEnv,
  yes: boolean,
  print: Print,
  redisKeyPrefix = '',
): Promise<number> {
  const { DATABASE_URL, REDIS_URL } = variablesOf(environment, ['DATABASE_URL', 'REDIS_URL']);
  const pool = openPostgres(DATABASE_URL, () => {});
  try {
    await assertMigrated(pool);
    if (!yes) {
      const { epoch, baskets } = await countOutOfDateLinks(pool);
      print(`Would raise the epoch from ${epoch} to ${epoch + 1}: the links of ${baskets} live baskets stop working.`);
      print('Would refuse places in the feed of changes from before, and have webhooks go on where this database is.');
      print('Would build Redis anew. Nothing was changed: stop all replicas, and give --yes to have it done.');
      return 0;
    }
    await changePostgres(pool, print);
    return await rebuildRedis(pool, REDIS_URL, redisKeyPrefix, print);
  } finally {
    await pool.end();
  }
}

/** All or nothing, so that whoever is interrupted begins again. */
async function changePostgres(pool: pg.Pool, print: Print): Promise<void> {
  const done = await withTransaction(pool, async (tx) => {
    // Of millions of changes each may have to be numbered anew.
    await waitForLong(tx);
    const { epoch, baskets } = await raiseEpoch(tx);
    const renumbered = await goOnAfterRestore(tx, epoch);
    await forgetRedis(tx);
    return { epoch, baskets, ...renumbered };
  });
  print(`The epoch is ${done.epoch}: the links of ${done.baskets} live baskets answer link_revoked.`);
  print(
    done.changes + done.webhooks === 0
      ? 'Changes and webhooks go on as they are numbered.'
      : `This is a dump of another server: ${done.changes} changes and ${done.webhooks} webhooks were numbered anew.`,
  );
}

async function rebuildRedis(pool: pg.Pool, redisUrl: string, keyPrefix: string, print: Print): Promise<number> {
  const redis = openRedis(redisUrl, keyPrefix, () => {}, redisTimeoutMs.ofTool);
  const deps = {
    ...{ pool, admission: openAdmission(redis) },
    ...{ logger: openLogger('silent'), metrics: holdMetrics(new Registry()) },
  };
  try {
    const giveUpAtMs = performance.now() + redisWithinMs;
    for (;;) {
      const found = await checkEpoch(deps);
      // Somebody else, who has seen what was changed, has built it.
      if (found === 'rebuilt' || found === 'current') {
        print('Redis was built anew.');
        return 0;
      }
      if (performance.now() > giveUpAtMs) {
        print(
          `Redis could not be built anew: ${found}. The service does so when it finds it, and goes without it till then.`,
        );
        return 1;
      }
      await delay(askAgainMs);
    }
  } finally {
    await redis.close();
  }
}
