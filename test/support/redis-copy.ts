import type pg from 'pg';
import type { Test } from 'tap';
import { auditRedis } from '../../src/cli/audit.ts';
import { adoptEpoch, openAdmission } from '../../src/holds/index.ts';
import { openRedis, redisTimeoutMs } from '../../src/platform/redis.ts';
import { partitionKeys } from './redis.ts';
import type { Alteration } from './replica.ts';
import { until } from './until.ts';

/** By when Redis has to equal Postgres after a fault has ended. */
const repairedWithinMs = 15_000;

/**
 * Waits until Redis is in use again and equals Postgres, and gives what still differs after 15 seconds, in words. Looks
 * with a connection of its own, so that it does not depend on what a replica believes.
 */
export async function differsForLong(t: Test, pool: pg.Pool, redisUrl: string): Promise<string[]> {
  const redis = openRedis(redisUrl, '', () => {}, redisTimeoutMs.ofTool);
  t.teardown(() => redis.close());
  const admission = openAdmission(redis);
  let seen: string[] = [];
  await until('Redis equals Postgres', repairedWithinMs, async () => {
    const standing = await adoptEpoch({ pool, admission });
    const findings = standing === 'current' ? await auditRedis({ pool, admission }) : null;
    seen = findings?.map(({ rule, found }) => `${rule}: ${JSON.stringify(found)}`) ?? [`Redis is ${standing}`];
    return seen.length === 0;
  }).catch(() => {});
  return seen;
}

/**
 * Where what Redis counts of the stock of the shop `roxy` is not the sum of the holds that it has, in words. A script
 * changes both or neither, so that they agree at every moment, whatever was lost on the way.
 */
export async function miscounted(redis: { cli(...command: string[]): Promise<string> }): Promise<string[]> {
  const script = `local found = {}
    for _, key in ipairs(KEYS) do
      for _, part in ipairs(redis.call('HGETALL', key)) do found[#found + 1] = part end
    end
    return found`;
  const lines = (await redis.cli('EVAL', script, '2', partitionKeys.stock, partitionKeys.holds)).split('\n');
  const fields = lines.flatMap((name, at) =>
    at % 2 === 0 && name.startsWith('roxy/') ? [[name, lines[at + 1] ?? '']] : [],
  );
  const counted = new Map<string, number>();
  const held = new Map<string, number>();
  for (const [name = '', text = ''] of fields) {
    const [, heldUnits, admittedUnits] = /^\S+ (-?\d+) (-?\d+) -?\d+$/.exec(text) ?? [];
    if (heldUnits !== undefined) counted.set(name, Number(heldUnits) + Number(admittedUnits));
    for (const take of text.split(' ').filter((word) => word.includes('='))) {
      const [stockId, quantity] = take.split('=');
      held.set(`roxy/${stockId}`, (held.get(`roxy/${stockId}`) ?? 0) + Number(quantity));
    }
  }
  return [...counted].flatMap(([name, count]) => {
    const sum = held.get(name) ?? 0;
    return count === sum ? [] : [`Redis counts ${count} of ${name}, and its holds are ${sum}`];
  });
}

/** The epoch that fences Redis, as Postgres has it. */
export async function redisEpoch(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ redis_epoch: string }>('SELECT redis_epoch FROM service_state');
  return Number(rows[0]?.redis_epoch);
}

/** Postgres takes what it is asked for: whoever relies on Redis alone does without its check. */
export const postgresDecidesNothing: readonly Alteration[] = [
  {
    file: 'src/holds/arbiter.ts',
    find: 'WHERE l.held + l.sold + t.quantity > l.capacity',
    replace: 'WHERE false',
  },
];

/** Takes the database's own check away as well; what is left is Redis' word. */
export async function dropStockCheck(pool: pg.Pool): Promise<void> {
  await pool.query('ALTER TABLE stock DROP CONSTRAINT stock_not_oversold');
}

/** Nobody looks after Redis once the service has started. */
export const redisIsLeftAlone: readonly Alteration[] = [
  { file: 'src/holds/keeper.ts', find: 'const checkEveryMs = 5000;', replace: 'const checkEveryMs = 1e9;' },
  { file: 'src/holds/keeper.ts', find: 'const reconcileEveryMs = 10_000;', replace: 'const reconcileEveryMs = 1e9;' },
  { file: 'src/holds/keeper.ts', find: 'const settledAfterMs = 1000;', replace: 'const settledAfterMs = 1e9;' },
  { file: 'src/holds/keeper.ts', find: '  admission.onStale(wake);\n', replace: '' },
  { file: 'src/holds/keeper.ts', find: '    admission.adopt(null);\n    checkAtMs = 0;\n', replace: '' },
  {
    file: 'src/holds/scripts/fence.lua',
    find: "if redis.pcall('HGET', KEYS[2], '@epoch') ~= ARGV[1]",
    replace: "if false and redis.pcall('HGET', KEYS[2], '@epoch') ~= ARGV[1]",
  },
  {
    file: 'src/holds/scripts/fence.lua',
    find: "  or redis.pcall('HGET', KEYS[3], '@epoch') ~= ARGV[1]\n  or redis.pcall('ZSCORE', KEYS[1], '@epoch') ~= '-' .. ARGV[1] then",
    replace: 'then',
  },
];

/** Redis alone says whether there is stock, and what it has lost is not brought back. */
export const redisDecidesAlone: readonly Alteration[] = [...postgresDecidesNothing, ...redisIsLeftAlone];
