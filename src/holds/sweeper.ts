import { type Background, runEvery } from '../platform/background.ts';
import { hasSqlState, sqlState } from '../platform/postgres.ts';
import { type BasketName, partitions } from './admission.ts';
import { expireListed, listDue, readHeldBaskets } from './arbiter.ts';
import type { KeeperDeps } from './epoch.ts';
import { liveStatuses } from './model.ts';

/** Larger ones end a crowd little sooner, and keep others waiting for longer; smaller ones end it later. */
const batchSize = 500;
const tickMs = 500;
const postgresOnlyEveryMs = 10_000;

/** `onExpired` is called when baskets have expired. */
type SweeperDeps = KeeperDeps & { onExpired(): void };

/**
 * Starts the sweeper. Every half second it looks, partition by partition, at the baskets whose deadline in Redis has
 * passed; Postgres decides which of them are due. Every ten seconds it asks Postgres alone, which covers deadlines that
 * Redis lost. `alsoEvery10Seconds` is what else must be taken up again after a crash.
 */
export function startSweeper(deps: SweeperDeps, alsoEvery10Seconds: () => Promise<void>): Background {
  let lastFullSweepMs = Number.NEGATIVE_INFINITY;
  return runEvery(tickMs, deps.logger, 'sweep failed, will be tried again', async (isStopping) => {
    for (const partition of partitions) {
      while (!isStopping() && (await sweepPartition(deps, partition)) === batchSize);
    }
    if (isStopping() || performance.now() - lastFullSweepMs < postgresOnlyEveryMs) return;
    lastFullSweepMs = performance.now();
    while (!isStopping() && (await sweepPostgres(deps)) === batchSize);
    await alsoEvery10Seconds();
  });
}

/** Looks at the baskets of a partition whose deadline has passed; gives how many there were, at most a batch. */
async function sweepPartition(deps: SweeperDeps, partition: number): Promise<number> {
  const { pool, admission } = deps;
  const listed = await admission.due(partition, batchSize);
  if (listed.length === 0) return 0;
  const ended = await expireApart(deps, listed);
  if (ended.length > 0) deps.onExpired();
  await admission.release(ended);
  const endedIds = new Set(ended.map(({ basketId }) => basketId));
  const others = listed.filter(({ basketId }) => !endedIds.has(basketId));
  if (others.length === 0) return listed.length;

  const stated = await readHeldBaskets(pool, others);
  const gone: BasketName[] = [];
  const sold: BasketName[] = [];
  const early: (BasketName & { deadline: Date })[] = [];
  for (const name of others) {
    const basket = stated.get(name.basketId);
    // Not due by Postgres' clock, or another replica is at work on it.
    if (basket && liveStatuses.includes(basket.status)) early.push({ ...name, deadline: basket.expires_at });
    else if (basket?.status === 'completed') sold.push(name);
    // Ended by now, or an admission whose commit never came.
    else gone.push(name);
  }
  await admission.sell(sold);
  await admission.release(gone);
  await admission.remind(early);
  return listed.length;
}

/** Expires a batch without asking Redis where to look; gives how many there were. */
async function sweepPostgres(deps: SweeperDeps): Promise<number> {
  const rows = await expireApart(deps, await listDue(deps.pool, batchSize));
  if (rows.length > 0) deps.onExpired();
  await deps.admission.release(rows);
  return rows.length;
}

/**
 * Expires those of the listed baskets that are due. One that Postgres cannot end, because its row and its stock's
 * contradict each other or somebody keeps its stock locked, fails the whole statement: the batch is halved until it is
 * alone, so that the others end in time.
 */
async function expireApart(deps: KeeperDeps, listed: readonly BasketName[]): Promise<BasketName[]> {
  const { pool, logger, metrics } = deps;
  try {
    const ended = await expireListed(pool, listed);
    metrics.changed('expired', ended.length);
    for (const { lateSeconds } of ended) metrics.expiryLateness.observe(lateSeconds);
    return ended;
  } catch (error) {
    if (!hasSqlState(error, sqlState.checkViolation, sqlState.lockNotAvailable)) throw error;
    if (listed.length === 1) {
      logger.error({ err: error, basketId: listed[0]?.basketId }, 'a basket cannot be ended');
      return [];
    }
    const half = Math.ceil(listed.length / 2);
    const rows = await expireApart(deps, listed.slice(0, half));
    return rows.concat(await expireApart(deps, listed.slice(half)));
  }
}
