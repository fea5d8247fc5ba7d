import type pg from 'pg';
import { eventsToEnd, markBasketsEnded } from '../catalogue/index.ts';
import type { Admission } from './admission.ts';
import { cancelByEvent, hasLiveBaskets } from './arbiter.ts';

/**
 * Ends the live baskets of a cancelled event, batch by batch. Baskets that another transaction is working on are left
 * for the next run, and the event is marked as done only when none is left: no new ones come, since a commit sees that
 * the event is cancelled.
 */
export async function endBasketsOfEvent(
  pool: pg.Pool,
  admission: Admission,
  shopId: string,
  eventId: string,
): Promise<void> {
  for (;;) {
    const ended = await cancelByEvent(pool, shopId, eventId);
    if (ended.length === 0) break;
    await admission.release(ended);
  }
  if (!(await hasLiveBaskets(pool, shopId, eventId))) await markBasketsEnded(pool, shopId, eventId);
}

/** Takes up cancellations that were interrupted. */
export async function endBasketsOfCancelledEvents(pool: pg.Pool, admission: Admission): Promise<void> {
  for (const { shopId, eventId } of await eventsToEnd(pool)) await endBasketsOfEvent(pool, admission, shopId, eventId);
}
