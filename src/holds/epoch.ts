import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import { runAlone } from '../platform/postgres.ts';
import type { Admission, PartitionIdentity } from './admission.ts';
import { toSettledHold } from './arbiter.ts';
import type { HoldMetrics } from './metrics.ts';
import {
  noteTold,
  type RecordedRedis,
  raiseRedisEpoch,
  readEventsToStop,
  readEverything,
  readRecordedRedis,
} from './store.ts';

/** What keeping Redis at one with Postgres works with. */
export type KeeperDeps = { pool: pg.Pool; admission: Admission; logger: Logger; metrics: HoldMetrics };

/**
 * How Redis stands to what Postgres knows of it:
 * - `current`: every partition is of the epoch, complete, and where it was.
 * - `building`: of the epoch, but not complete.
 * - `elsewhere`: this is a server that was left for another, which is in use: the other side of a split.
 * - `lost`: flushed, restarted, failed over, or newer than a Postgres that came back from a backup.
 */
type Standing = 'current' | 'building' | 'elsewhere' | 'lost';

function standingOf(seen: readonly PartitionIdentity[], recorded: RecordedRedis): Standing {
  const same = seen.every(
    ({ epoch, server, tick }, partition) =>
      epoch === recorded.epoch && server === recorded.servers?.[partition] && tick <= recorded.tick,
  );
  if (same) return seen.every(({ ready }) => ready) ? 'current' : 'building';
  const left = seen.some(
    ({ server }, partition) => server !== recorded.servers?.[partition] && recorded.former.includes(server),
  );
  return left && recorded.inUse ? 'elsewhere' : 'lost';
}

const insistForMs = 5000;
const insistEveryMs = 200;

/** The lock of whoever rebuilds or repairs Redis. */
export const aloneWithRedis = 'basketlink: redis';

/** What a check of the epoch found or did. `waiting`: another replica rebuilds. */
export type EpochCheck = 'current' | 'rebuilt' | 'waiting' | 'elsewhere' | 'unreachable';

/**
 * Adopts the epoch if Redis is what Postgres thinks it is. If not, one replica raises the epoch, which fences all the
 * others off, and builds the copy anew; meanwhile creations go through Postgres alone. Throws what Postgres throws.
 */
export async function checkEpoch(deps: KeeperDeps): Promise<EpochCheck> {
  const { pool, admission, logger } = deps;
  const standing = await adoptEpoch(deps);
  if (standing === 'elsewhere') logger.warn('redis was left for another server, which is in use: not used');
  if (standing !== 'building' && standing !== 'lost') return standing;

  const alone = await runAlone(pool, aloneWithRedis, async (): Promise<EpochCheck> => {
    // Somebody may have built it since.
    const standingNow = await adoptEpoch(deps);
    if (standingNow !== 'building' && standingNow !== 'lost') return standingNow;
    const seen = await admission.identify();
    if (seen === null) return 'unreachable';
    return (await rebuild(deps, seen)) ? 'rebuilt' : 'unreachable';
  });
  return alone?.result ?? 'waiting';
}

/** Looks at Redis, and adopts its epoch if it can be used, changing nothing. */
export async function adoptEpoch({
  pool,
  admission,
}: Pick<KeeperDeps, 'pool' | 'admission'>): Promise<Standing | 'unreachable'> {
  const [seen, recorded] = [await admission.identify(), await readRecordedRedis(pool)];
  const standing = seen === null ? 'unreachable' : standingOf(seen, recorded);
  // While another replica builds, it must hear of what is committed after it has read Postgres.
  admission.adopt(standing === 'current' || standing === 'building' ? recorded.epoch : null);
  return standing;
}

/**
 * Asks or tells Redis the same again, up to five seconds long, where it did not answer in time: of thousands of calls one
 * is late on a busy machine, and all would begin anew. Null when that was in vain, or when it is another Redis by now or
 * of another epoch. Only for what may run twice.
 */
export async function insist<T>(
  deps: Pick<KeeperDeps, 'pool' | 'admission'>,
  epoch: number | null,
  ask: () => Promise<T | null>,
): Promise<T | null> {
  const giveUpAtMs = performance.now() + insistForMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null || performance.now() > giveUpAtMs) return answer;
    await delay(insistEveryMs);
    const standing = await adoptEpoch(deps);
    if (standing !== 'unreachable' && deps.admission.epoch() !== epoch) return null;
  }
}

/** Builds the copy in Redis anew from what Postgres has at one moment; false when Redis went away on the way. */
async function rebuild(deps: KeeperDeps, seen: readonly PartitionIdentity[]): Promise<boolean> {
  const { pool, admission, logger, metrics } = deps;
  const startedMs = performance.now();
  // Above Redis' own, too: it may be newer than a Postgres that came back from a backup.
  const { epoch, tick, snapshot } = await raiseRedisEpoch(pool, {
    epoch: Math.max(...seen.map(({ newestEpoch }) => newestEpoch)),
    tick: Math.max(...seen.map(({ tick }) => tick)),
    servers: seen.map(({ server }) => server),
  });
  metrics.epochChanges.inc();
  if (!(await admission.reset(epoch))) return false;
  admission.adopt(epoch);
  const tell = async (once: () => Promise<boolean>) =>
    (await insist(deps, epoch, async () => (await once()) || null)) ?? false;
  let holds = 0;
  // Of a page, Redis is told while the next is read.
  let filling = Promise.resolve(true);
  const read = await readEverything(
    pool,
    (rows) => tell(() => admission.load(rows)),
    (baskets) => {
      holds += baskets.length;
      const before = filling;
      filling = tell(() => admission.fill(baskets.map(toSettledHold)));
      // Awaited with the next page, or at the end, unless reading fails first.
      filling.catch(() => {});
      return before;
    },
  );
  const complete = (await filling) && read;
  const stopped = complete && (await admission.stopEvents(await readEventsToStop(pool)));
  const marked = stopped && (await admission.mark(tick));
  // What has changed while Postgres was read may have been overwritten by what it was before.
  if (marked) await noteTold(pool, snapshot);
  const ms = Math.round(performance.now() - startedMs);
  if (marked) logger.info({ epoch, holds, ms }, 'redis was built anew');
  else logger.warn({ epoch, holds, ms }, 'redis went away while it was built anew');
  return marked;
}
