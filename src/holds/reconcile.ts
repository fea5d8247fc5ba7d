import { setTimeout as delay } from 'node:timers/promises';
import { runAlone } from '../platform/postgres.ts';
import {
  type BasketName,
  type CountedRow,
  type FoundHold,
  partitions,
  type StatedRow,
  type StockName,
} from './admission.ts';
import { type HeldBasket, readHeldBaskets, readHoldsOn, toSettledHold } from './arbiter.ts';
import { aloneWithRedis, insist, type KeeperDeps } from './epoch.ts';
import { type BasketStatus, liveStatuses, type StockTake, takesOfRow } from './model.ts';
import { countComparison, readDoubts, readEverything, readStockRows, settleDoubts } from './store.ts';

/** How often rows that differ are looked at, and how far apart: what is on its way meanwhile is no drift. */
const looks = 5;
const lookEveryMs = 200;

/** Redis takes one script after the other: the last of too many would not be answered in the time that a call has. */
const repairedAtOnce = 1000;

/** How a row's copy differs from Postgres. */
type Drift = StatedRow & { unknown: boolean; recapacitated: boolean };

/** What a comparison found: units of stock by which the copy was wrong, before it was repaired. */
export type Reconciled = { driftUnits: number };

/**
 * Compares what Redis counts of stock rows with what Postgres says, and repairs what differs, first basket by basket,
 * then the counts that are left. One replica at a time; null when it was another's turn, or Redis could not be read.
 *
 * Nothing stands still meanwhile: Postgres commits before Redis is told, so a hot row nearly always differs. It has
 * drifted by what all of several looks have in common. Counts are corrected by that difference, not set, so that what
 * goes on at the same time stays counted. Admissions that no commit has settled are left out; they end by themselves.
 *
 * Counts can agree although the holds do not: one that Redis missed, and one whose end it missed. So where a replica had
 * to go on without Redis since the last time, all holds are compared first.
 */
export async function reconcile(deps: KeeperDeps, which: readonly StockName[] | 'all'): Promise<Reconciled | null> {
  const { pool, admission, logger, metrics } = deps;
  const alone = await runAlone(pool, aloneWithRedis, async () => {
    if (which === 'all' && !(await repairDoubted(deps))) return null;
    const drifted = await compareRows(deps, which);
    if (drifted === null) return null;
    const driftUnits = drifted.reduce((sum, { held, sold }) => sum + Math.abs(held) + Math.abs(sold), 0);
    metrics.driftRepaired.inc(driftUnits);
    if (which === 'all') metrics.drift.set(driftUnits);
    if (drifted.length > 0) {
      logger.warn({ rows: drifted.length, driftUnits }, 'redis had drifted from postgres');
      await repairHolds(deps, () => differingOn(deps, drifted));
      const left = await compareRows(deps, drifted);
      if (left === null) return null;
      await admission.load(
        await readStockRows(
          pool,
          left.filter(({ unknown }) => unknown),
        ),
      );
      await admission.correct(left.filter(({ unknown }) => !unknown));
    }
    // A Redis that is ahead of Postgres in this is newer than the backup that Postgres came back from.
    if (which === 'all') await admission.mark(await countComparison(pool));
    return { driftUnits };
  });
  return alone?.result ?? null;
}

/** Compares all holds if there is a doubt about them, and repairs what differs; false when Redis could not be read. */
async function repairDoubted(deps: KeeperDeps): Promise<boolean> {
  const { doubted, now } = await readDoubts(deps.pool);
  if (!doubted) return true;
  const repaired = await repairHolds(deps, () => compareHolds(deps));
  if (repaired === null) return false;
  if (repaired > 0) deps.logger.warn({ holds: repaired }, 'redis had missed some holds');
  await settleDoubts(deps.pool, now);
  return true;
}

/**
 * The rows that differ in the same way however often one looks, with what Redis is short of; null when Redis cannot be
 * read. `held` leaves out admissions that no commit has settled.
 */
export async function compareRows(
  deps: Pick<KeeperDeps, 'pool' | 'admission'>,
  which: readonly StockName[] | 'all',
): Promise<Drift[] | null> {
  const { pool, admission } = deps;
  const epoch = admission.epoch();
  const counted = await insist(deps, epoch, () => (which === 'all' ? admission.allRows() : admission.readRows(which)));
  if (counted === null) return null;
  let drifted = differing(await readStockRows(pool, which), counted);
  for (let look = 1; look < looks && drifted.length > 0; look += 1) {
    await delay(lookEveryMs);
    const again = await insist(deps, epoch, () => admission.readRows(drifted));
    if (again === null) return null;
    const now = new Map(differing(await readStockRows(pool, drifted), again).map((row) => [nameOf(row), row]));
    drifted = drifted.flatMap((before) => inCommon(before, now.get(nameOf(before))));
  }
  return drifted;
}

function differing(stated: readonly StatedRow[], counted: ReadonlyMap<string, CountedRow>): Drift[] {
  return stated.flatMap((row) => {
    const copy = counted.get(nameOf(row));
    const held = row.held - (copy?.held ?? 0);
    const sold = row.sold - (copy?.sold ?? 0);
    const recapacitated = row.capacity !== (copy?.capacity ?? null);
    const differs = copy === undefined || held !== 0 || sold !== 0 || recapacitated;
    return differs ? [{ ...row, held, sold, unknown: copy === undefined, recapacitated }] : [];
  });
}

function inCommon(before: Drift, now: Drift | undefined): Drift[] {
  if (now === undefined) return [];
  const held = nearerToZero(before.held, now.held);
  const sold = nearerToZero(before.sold, now.sold);
  const unknown = before.unknown && now.unknown;
  const recapacitated = before.recapacitated && now.recapacitated;
  return unknown || recapacitated || held !== 0 || sold !== 0 ? [{ ...now, held, sold, unknown, recapacitated }] : [];
}

function nearerToZero(a: number, b: number): number {
  if (Math.sign(a) !== Math.sign(b)) return 0;
  return Math.abs(a) < Math.abs(b) ? a : b;
}

const nameOf = ({ shopId, stockId }: StockName) => `${shopId}/${stockId}`;

/**
 * Makes Redis agree with Postgres about the baskets that `find` gives twice in a row, by basket, so that each is counted
 * once. Gives how many there were; null when Redis could not be read.
 */
async function repairHolds(deps: KeeperDeps, find: () => Promise<DifferingHolds | null>) {
  const { pool, admission } = deps;
  const epoch = admission.epoch();
  const first = await find();
  if (first === null || first.size === 0) return first && 0;
  await delay(lookEveryMs);
  const second = await find();
  if (second === null) return null;
  const baskets = [...second].filter(([member]) => first.has(member)).map(([, basket]) => basket);
  const stated = await readHeldBaskets(pool, baskets);
  const live: HeldBasket[] = [];
  const gone: BasketName[] = [];
  const sold: BasketName[] = [];
  for (const { shopId, basketId, state } of baskets) {
    const basket = stated.get(basketId);
    if (basket !== undefined && liveStatuses.includes(basket.status)) live.push(basket);
    else if (basket?.status === 'completed') sold.push({ shopId, basketId });
    else if (basket !== undefined || state !== 'admitted') gone.push({ shopId, basketId });
  }
  // What Redis has of a live one may be newer than a Postgres that came back from a backup, and would win.
  const stale = live.map(({ shop_id: shopId, basket_id: basketId }) => ({ shopId, basketId }));
  for (const batch of batchesOf(sold)) await admission.sell(batch);
  for (const batch of batchesOf([...gone, ...stale])) await admission.release(batch);
  for (const batch of batchesOf(live)) {
    const settled = await insist(deps, epoch, async () => (await admission.settle(batch.map(toSettledHold))) || null);
    if (!settled) return null;
  }
  // One that has ended since it was read was released before it was settled.
  const now = await readHeldBaskets(pool, stale);
  const isLive = (status?: BasketStatus) => status !== undefined && liveStatuses.includes(status);
  await admission.release(stale.filter(({ basketId }) => !isLive(now.get(basketId)?.status)));
  return baskets.length;
}

function batchesOf<T>(all: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(all.length / repairedAtOnce) }, (_, at) =>
    all.slice(at * repairedAtOnce, (at + 1) * repairedAtOnce),
  );
}

/** The baskets whose hold on these rows is not the same in both; null when Redis cannot be read. */
async function differingOn(
  { pool, admission }: KeeperDeps,
  rows: readonly StockName[],
): Promise<DifferingHolds | null> {
  const differing: DifferingHolds = new Map();
  for (const shopId of new Set(rows.map(({ shopId }) => shopId))) {
    const stockIds = rows.filter((row) => row.shopId === shopId).map(({ stockId }) => stockId);
    const beside = await admission.holdsBeside(shopId);
    if (beside === null) return null;
    const found = beside.filter(
      (hold) => hold.shopId === shopId && hold.takes.some(({ stockId }) => stockIds.includes(stockId)),
    );
    for (const [member, hold] of differingFrom(await readHoldsOn(pool, shopId, stockIds), found)) {
      differing.set(member, hold);
    }
  }
  return differing;
}

type DifferingHold = BasketName & { state: 'admitted' | 'held' | 'missing'; inPostgres: string; inRedis: string };
/** Under `<shop>/<basket>`. */
type DifferingHolds = Map<string, DifferingHold>;

function differingFrom(live: readonly HeldBasket[], found: readonly FoundHold[]): DifferingHolds {
  const differing: DifferingHolds = new Map();
  const onlyInRedis = new Map(found.map((hold) => [nameOfHold(hold), hold]));
  for (const basket of live) {
    const name = { shopId: basket.shop_id, basketId: basket.basket_id };
    const copy = onlyInRedis.get(nameOfHold(name));
    onlyInRedis.delete(nameOfHold(name));
    const takes = takesOfRow(basket);
    if (copy?.state === 'held' && takeTheSame(takes, copy.takes)) continue;
    differing.set(nameOfHold(name), {
      ...name,
      state: copy?.state ?? 'missing',
      inPostgres: `held ${JSON.stringify(takes)}`,
      inRedis: copy ? describeCopy(copy) : 'nothing',
    });
  }
  for (const [name, copy] of onlyInRedis) {
    const { shopId, basketId, state } = copy;
    differing.set(name, { shopId, basketId, state, inPostgres: 'nothing', inRedis: describeCopy(copy) });
  }
  return differing;
}

const nameOfHold = ({ shopId, basketId }: BasketName) => `${shopId}/${basketId}`;
const describeCopy = ({ state, takes }: FoundHold) => `${state} ${JSON.stringify(takes)}`;

/** Whether two holds are the same: by what they take, since Redis is not told of the versions of changes that leave it. */
function takeTheSame(some: readonly StockTake[], others: readonly StockTake[]): boolean {
  return (
    some.length === others.length &&
    some.every(({ stockId, quantity }, at) => stockId === others[at]?.stockId && quantity === others[at]?.quantity)
  );
}

/**
 * The baskets whose hold is not the same in both at about this moment, under `<shop>/<basket>`; null when Redis cannot
 * be read. Admissions of baskets that Postgres does not know are left out: no commit has settled them yet. First all of
 * Redis is looked up in Postgres and then all of Postgres in Redis, page by page: a million baskets would not fit into
 * memory twice, and nobody else would be served while they were compared.
 */
export async function compareHolds(deps: Pick<KeeperDeps, 'pool' | 'admission'>): Promise<DifferingHolds | null> {
  const { pool, admission } = deps;
  const epoch = admission.epoch();
  const insistently = <T>(ask: () => Promise<T | null>) => insist(deps, epoch, ask);
  const differing: DifferingHolds = new Map();
  const compare = (live: readonly HeldBasket[], found: readonly FoundHold[]) => {
    for (const [member, hold] of differingFrom(live, found)) {
      if (hold.state !== 'admitted' || hold.inPostgres !== 'nothing') differing.set(member, hold);
    }
  };
  for (const partition of partitions) {
    let cursor = '0';
    do {
      const next = await atHalfSpeed(async () => {
        const page = await insistently(() => admission.pageOfHolds(partition, cursor));
        if (page === null) return null;
        const stated = await readHeldBaskets(pool, page.holds);
        compare(
          [...stated.values()].filter(({ status }) => liveStatuses.includes(status)),
          page.holds,
        );
        return page.next;
      });
      if (next === null) return null;
      cursor = next;
    } while (cursor !== '0');
  }
  const complete = await readEverything(
    pool,
    async () => true,
    (live) =>
      atHalfSpeed(async () => {
        const names = live.map(({ shop_id: shopId, basket_id: basketId }) => ({ shopId, basketId }));
        const found = await insistently(() => admission.readHolds(names));
        if (found !== null) compare(live, found);
        return found !== null;
      }),
  );
  return complete ? differing : null;
}

/** Does a part of what takes long, and pauses for as long as that took: this process has customers to serve beside. */
async function atHalfSpeed<T>(work: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const result = await work();
  await delay(performance.now() - startedMs);
  return result;
}
