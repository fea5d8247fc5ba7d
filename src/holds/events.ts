import { eventsToEnd, markBasketsEnded } from '../catalogue/index.ts';
import { cancelByEvent, hasLiveBaskets } from './arbiter.ts';
import type { KeeperDeps } from './epoch.ts';

type EndDeps = Pick<KeeperDeps, 'pool' | 'admission' | 'metrics'>;

/**
 * Ends the live baskets of a cancelled event, batch by batch. Baskets that another transaction is working on are left
 * for the next run, and the event is marked as done only when none is left: no new ones come, since a commit sees that
 * the event is cancelled.
 */
export async function endBasketsOfEvent(
  { pool, admission, metrics }: EndDeps,
  shopId: string,
  eventId: string,
): Promise<void> {
  for (;;) {
    const ended = await cancelByEvent(pool, shopId, eventId);
    if (ended.length === 0) break;
    metrics.changed('event_cancelled', ended.length);
    await admission.release(ended);
  }
  if (!(await hasLiveBaskets(pool, shopId, eventId))) await markBasketsEnded(pool, shopId, eventId);
}

/** Takes up cancellations that were interrupted. */
export async function endBasketsOfCancelledEvents(deps: EndDeps): Promise<void> {
  for (const { shopId, eventId } of await eventsToEnd(deps.pool)) await endBasketsOfEvent(deps, shopId, eventId);
}
