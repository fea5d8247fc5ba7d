import type pg from 'pg';
import type { Logger } from 'pino';
import { type Background, runEvery } from '../platform/background.ts';
import { runAlone } from '../platform/postgres.ts';
import type { Admission } from './admission.ts';
import { type HeldBasket, toSettledHold } from './arbiter.ts';
import { liveStatuses } from './model.ts';
import { readEventsToStop, tellOfChanges } from './store.ts';

/** With what a round takes, less than the ten seconds after which the click must know. */
const everyMs = 4000;

/** Starts to catch up every four seconds. */
export function startCatchUp(pool: pg.Pool, admission: Admission, logger: Logger): Background {
  const failure = 'redis was not told again of changes, will be tried again';
  return runEvery(everyMs, logger, failure, () => catchUp(pool, admission));
}

/**
 * Tells Redis once more of every change that makes a link lead nowhere: of baskets that ended before their time or were
 * given another link, and of events that are not on sale. Whoever made the change has told it before answering, unless
 * Redis could not be reached just then, or the replica died. One replica at a time; where Redis cannot be reached from this
 * one either, the next time covers this one.
 */
export async function catchUp(pool: pg.Pool, admission: Admission): Promise<void> {
  await runAlone(pool, 'basketlink: catch up', async () => {
    await tellOfChanges(pool, (baskets) => tellAgain(admission, baskets));
    // Listed first: what is stopped after Postgres was read has another mark by then, and stays.
    const stopped = await admission.stoppedEvents();
    if (stopped === null) return;
    const named = ({ shopId, eventId }: { shopId: string; eventId: string }) => `${shopId}/${eventId}`;
    const known = new Set(stopped.map(named));
    const toStop = await readEventsToStop(pool);
    const names = new Set(toStop.map(named));
    await admission.stopEvents(toStop.filter((event) => !known.has(named(event))));
    await admission.resumeEvents(stopped.filter((event) => !names.has(named(event))));
  });
}

async function tellAgain(admission: Admission, baskets: readonly HeldBasket[]): Promise<boolean> {
  const of = (status: (status: string) => boolean) => baskets.filter((basket) => status(basket.status));
  const isLive = (status: string) => liveStatuses.some((live) => live === status);
  const told = await Promise.all([
    admission.renew(of(isLive).map(toSettledHold)),
    admission.sell(of((status) => status === 'completed').map(toSettledHold)),
    admission.release(of((status) => status !== 'completed' && !isLive(status)).map(toSettledHold)),
  ]);
  return told.every(Boolean);
}
