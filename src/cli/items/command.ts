import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { variablesOf } from '../../config.ts';
import { adoptEpoch, openAdmission, stockKeeper } from '../../holds/index.ts';
import { assertMigrated } from '../../platform/migrations.ts';
import { openPostgres } from '../../platform/postgres.ts';
import { openRedis, redisTimeoutMs } from '../../platform/redis.ts';
import { readShop } from '../../shops/index.ts';
import { type Command, type Print, readArguments, UsageError } from '../command.ts';
import { refusalText } from '../refusal.ts';
import { importRows } from './import.ts';
import { type ProgressStream, showProgress } from './progress.ts';
import { readRows } from './rows.ts';

export const items: Command = {
  usage: `npx basketlink items import <shop id> <file.csv>

Creates or replaces items by the rules of PUT /v1/items. The first line of the file names columns: itemId, name, price,
and any other property of an item; prices are in minor units, variables are JSON, an empty cell is left out. Rows that
are refused are listed with their lines, and the others imported. Items that are so already are left alone, so that it
may be run again.

Reads DATABASE_URL and REDIS_URL. Exit codes: 0 all are imported, 1 some rows or the file were refused, 2 not called as
it can be.
`,
  async run(args, environment, print) {
    const { positionals } = readArguments(args, {}, ['import', 'shop id', 'file.csv']);
    const [what, shopId = '', file = ''] = positionals;
    if (what !== 'import') throw new UsageError(`what is "${what}"? There is: items import`);
    return runImport(environment, { shopId, csv: readFileSync(file) }, print, process.stderr);
  },
};

const redisWithinMs = 2000;
const askAgainMs = 50;

/**
 * `npx basketlink items import`: prints what became of the rows and gives the exit code. The bar goes to `progress`, where
 * that is a terminal. Without Redis, which refuses sold-out requests early, the service tells it of the items later.
 */
export async function runImport(
  environment: NodeJS.ProcessEnv,
  { shopId, csv }: { shopId: string; csv: Buffer },
  print: Print,
  progress: ProgressStream,
  redisKeyPrefix = '',
): Promise<number> {
  const { DATABASE_URL, REDIS_URL } = variablesOf(environment, ['DATABASE_URL', 'REDIS_URL']);
  const { rows, refused: unreadable } = readRows(csv);
  const pool = openPostgres(DATABASE_URL, () => {});
  const redis = openRedis(REDIS_URL, redisKeyPrefix, () => {}, redisTimeoutMs.ofTool);
  try {
    await assertMigrated(pool);
    if ((await readShop(pool, shopId)) === null) {
      print(`There is no shop ${shopId}.`);
      return 1;
    }
    const admission = openAdmission(redis);
    const giveUpAtMs = performance.now() + redisWithinMs;
    while (!(await redis.ping()) && performance.now() < giveUpAtMs) await delay(askAgainMs);
    await adoptEpoch({ pool, admission });
    const told = showProgress(progress, rows.length, print);
    const imported = await importRows({ pool, stock: stockKeeper(pool, admission) }, shopId, rows, told);
    const refused = [...unreadable, ...imported.refused].sort((a, b) => a.line - b.line);
    print(`${imported.changed} imported, ${imported.asTheyAre} were so already, ${refused.length} refused.`);
    for (const { line, itemId, refusal } of refused) {
      print(`line ${line}${itemId === '' ? '' : `, ${itemId}`}: ${refusalText(refusal)}`);
    }
    return refused.length === 0 ? 0 : 1;
  } finally {
    await redis.close();
    await pool.end();
  }
}
