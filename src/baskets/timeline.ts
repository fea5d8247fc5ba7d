import { type Static, Type } from '@sinclair/typebox';
import type pg from 'pg';
import { isRefusal, type Refusal } from '../errors.ts';
import { OneOf, Time } from '../http/schema.ts';
import { type BasketCaller, getBasket } from './change.ts';
import { BasketAnswer } from './model.ts';
import { type Openings, type RecordedChange, readChanges, readOpenings } from './store.ts';

const { status, statusReason } = BasketAnswer.properties;

const TimelineEntry = Type.Object({
  type: OneOf(
    'created',
    'opened',
    'activated',
    'edited',
    'extended',
    'updated',
    'authenticated',
    'checkout',
    'ended',
    'refunded',
  ),
  at: Type.String({ ...Time, description: 'When; of openings, the first' }),
  checkout: Type.Optional(OneOf('started', 'left', 'failed')),
  status: Type.Optional(status),
  statusReason: Type.Optional(statusReason),
  kind: Type.Optional(OneOf('person', 'preview', 'prefetch')),
  count: Type.Optional(Type.Integer()),
  firstAt: Type.Optional(Time),
  lastAt: Type.Optional(Time),
});
type TimelineEntry = Static<typeof TimelineEntry>;

/** What happened to a basket and when. */
export const Timeline = Type.Object(
  { data: Type.Array(TimelineEntry, { description: 'Oldest first: the latest thousand changes, and the openings.' }) },
  { $id: 'Timeline' },
);

/**
 * Tells what happened to a basket, oldest first: each of its changes, and how often its links were opened by people,
 * previews and prefetches. Refusals: those of getBasket.
 */
export async function readTimeline(
  pool: pg.Pool,
  caller: BasketCaller,
  basketId: string,
): Promise<Static<typeof Timeline> | Refusal> {
  const found = await getBasket(pool, caller, basketId);
  if (isRefusal(found)) return found;
  const { basket } = found;
  const changes = await readChanges(pool, caller.shopId, basketId);
  const openings = await readOpenings(pool, caller.shopId, basketId);
  const data = [...changes.map(entryOfChange), ...openings.map(entryOfOpenings)];
  const { endedAt, status, statusReason } = basket;
  // One that is past its time is expired for everybody before the sweeper has written it down.
  if (endedAt !== null && !data.some(({ type }) => type === 'ended')) {
    data.push({ type: 'ended', at: endedAt.toISOString(), status, statusReason });
  }
  return { data: data.sort((a, b) => Date.parse(a.at) - Date.parse(b.at)) };
}

function entryOfChange(change: RecordedChange): TimelineEntry {
  const at = change.at.toISOString();
  switch (change.type) {
    case 'basket.created':
      return { type: 'created', at };
    case 'basket.activated':
      return { type: 'activated', at };
    case 'basket.authenticated':
      return { type: 'authenticated', at };
    case 'basket.checkout_started':
      return { type: 'checkout', at, checkout: 'started' };
    case 'basket.checkout_failed':
      return { type: 'checkout', at, checkout: 'failed' };
    case 'basket.updated':
      if (change.leftCheckout) return { type: 'checkout', at, checkout: 'left' };
      if (change.linesChanged) return { type: 'edited', at };
      return { type: change.extended ? 'extended' : 'updated', at };
    case 'basket.refunded':
      return { type: 'refunded', at };
    default:
      return { type: 'ended', at, status: change.status, statusReason: change.statusReason };
  }
}

function entryOfOpenings({ kind, count, firstAt, lastAt }: Openings): TimelineEntry {
  const [at, until] = [firstAt.toISOString(), lastAt.toISOString()];
  return { type: 'opened', at, kind, count, firstAt: at, lastAt: until };
}
