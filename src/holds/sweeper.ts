import type pg from 'pg';
import type { Logger } from 'pino';
import { type Admission, partitions } from './admission.ts';
import { expireAny, expireListed, readStandings } from './arbiter.ts';
import { type BasketRow, liveStatuses, takesOfRow } from './model.ts';

const batchSize = 500;
const tickMs = 500;
const postgresOnlyEveryMs = 10_000;

/** Expires baskets in the background. `stop` waits for the batch at work. */
type Sweeper = { stop(): Promise<void> };

/**
 * Starts the sweeper. Every half second it looks, partition by partition, at the baskets whose deadline in Redis has
 * passed; Postgres decides which of them are due. Every ten seconds it asks Postgres alone, which covers deadlines that
 * Redis lost. `alsoEvery10Seconds` is what else must be taken up again after a crash.
 */
export function startSweeper(
  pool: pg.Pool,
  admission: Admission,
  logger: Logger,
  alsoEvery10Seconds: () => Promise<void>,
): Sweeper {
  let stopping = false;
  let lastFullSweepMs = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let working = Promise.resolve();

  async function tick() {
    try {
      for (let partition = 0; partition < partitions && !stopping; partition += 1) {
        while (!stopping && (await sweepPartition(pool, admission, partition)) === batchSize);
      }
      if (!stopping && performance.now() - lastFullSweepMs >= postgresOnlyEveryMs) {
        lastFullSweepMs = performance.now();
        while (!stopping && (await sweepPostgres(pool, admission)) === batchSize);
        await alsoEvery10Seconds();
      }
    } catch (error) {
      logger.warn({ err: error }, 'sweep failed, will be tried again');
    }
    if (!stopping) schedule();
  }
  function schedule() {
    timer = setTimeout(() => {
      working = tick();
    }, tickMs);
  }
  schedule();
  return {
    async stop() {
      stopping = true;
      clearTimeout(timer);
      await working;
    },
  };
}

/** Looks at the baskets of a partition whose deadline has passed; gives how many there were, at most a batch. */
async function sweepPartition(pool: pg.Pool, admission: Admission, partition: number): Promise<number> {
  const listed = await admission.due(partition, batchSize);
  if (listed.length === 0) return 0;
  await tellRedis(admission, await expireListed(pool, listed));
  const standings = await readStandings(pool, listed);
  for (const { shopId, basketId } of listed) {
    const standing = standings.get(basketId);
    if (standing && liveStatuses.includes(standing.status)) {
      // Not due by Postgres' clock, or another replica is at work on it.
      await admission.remind(shopId, basketId, standing.expiresAt);
      continue;
    }
    const hold = { shopId, basketId, takes: await admission.takesOf(shopId, basketId) };
    if (standing?.status === 'completed') await admission.sell(hold);
    // Ended by now, or an admission whose commit never came.
    else await admission.release(hold);
  }
  return listed.length;
}

/** Expires a batch without asking Redis where to look; gives how many there were. */
async function sweepPostgres(pool: pg.Pool, admission: Admission): Promise<number> {
  const rows = await expireAny(pool);
  await tellRedis(admission, rows);
  return rows.length;
}

/** Gives the stock of ended baskets back in Redis, after Postgres has committed it. */
export async function tellRedis(admission: Admission, rows: readonly BasketRow[]): Promise<void> {
  await Promise.all(
    rows.map((row) => admission.release({ shopId: row.shop_id, basketId: row.basket_id, takes: takesOfRow(row) })),
  );
}
