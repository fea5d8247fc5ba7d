import { LRUCache } from 'lru-cache';
import { loadScript, type RedisConnection, type RedisScript } from '../platform/redis.ts';
import type { LinkState, StockTake } from './model.ts';

const directory = new URL('./scripts/', import.meta.url);
const fence = loadScript(directory, 'fence');
const fenced = (name: string): RedisScript => ({ name, source: fence.source + loadScript(directory, name).source });
const scripts = {
  admit: fenced('admit'),
  settle: fenced('settle'),
  fill: fenced('fill'),
  click: fenced('click'),
  stop: fenced('stop'),
  resume: fenced('resume'),
  release: fenced('release'),
  sell: fenced('sell'),
  restock: fenced('restock'),
  load: fenced('load'),
  correct: fenced('correct'),
  due: fenced('due'),
  remind: fenced('remind'),
  rows: fenced('rows'),
  holds: fenced('holds'),
  scan: fenced('scan'),
  mark: fenced('mark'),
  reset: loadScript(directory, 'reset'),
  identify: loadScript(directory, 'identify'),
};

/** How many partitions the shops are spread over; part of the key names, so it never changes. */
const partitionCount = 16;
export const partitions: readonly number[] = Array.from({ length: partitionCount }, (_, partition) => partition);

const provisionalMs = 30_000;

/** How long a sweeper has for the baskets that it was told of before another is told of them. */
const putOffMs = 2000;

/** For how long a sold-out answer of Redis is believed after Postgres has said the same, or somebody has gone to ask it. */
const believedForMs = 1000;
/** And for how long at most, where nobody who went to ask has come back with the same answer. */
const provenForMs = 5000;

/** How many baskets or rows one script is given: more would keep Redis from others for too long. */
const perScript = 250;
/** And when it is built anew: nobody asks it much then, and it is built in half the time. */
const perFill = 1000;

/**
 * What Redis says to a creation. `doubtful`: it answered, but Postgres must be asked, because it does not know a stock
 * row, or calls it sold out and Postgres has not said so within the last second. `unreachable`: nobody can say.
 */
type AdmissionOutcome =
  | { outcome: 'admitted' | 'doubtful' | 'unreachable' }
  | { outcome: 'sold_out'; available: Map<string, number> };

export type BasketName = { shopId: string; basketId: string };
type Hold = BasketName & { takes: readonly StockTake[] };

/**
 * A live basket's hold and link as Postgres has them. `version` is the basket's: of two messages about it the newer one
 * counts. It is looked at again when its link's basket expires.
 */
export type SettledHold = Hold & { version: number; link: LinkState };

/**
 * What Redis says to a click. `follow`: the basket is live, or was when Redis last heard of it, and none of its events
 * is stopped. `unknown`: Postgres must be asked; who has done so may say `warm` with what was `seen`.
 */
type ClickOutcome = { outcome: 'follow'; link: LinkState } | { outcome: 'unknown'; seen: string | null };

/** A stock row as Redis counts it; `admitted` is what no commit has settled yet. No capacity: unlimited. */
export type CountedRow = { capacity: number | null; held: number; admitted: number; sold: number };

export type StockName = { shopId: string; stockId: string };
type EventName = { shopId: string; eventId: string };
/** An event as it was stopped in Redis; `at` tells one time from another. */
type StoppedEvent = EventName & { at: string };

/** A stock row as Postgres has it. */
export type StatedRow = StockName & Omit<CountedRow, 'admitted'>;

/** A hold as Redis has it. */
export type FoundHold = Hold & { state: 'admitted' | 'held'; version: number };

/** Who has a partition, and what of it: `epoch` is null unless all of its keys are of the same one. */
export type PartitionIdentity = {
  epoch: number | null;
  newestEpoch: number;
  ready: boolean;
  tick: number;
  server: string;
};

/**
 * The copy of the reservations in Redis. It refuses what is sold out before Postgres is asked, and says when to look at
 * a basket again. No call rejects. A lost or late message makes the copy wrong, never the service: where it admits too
 * much Postgres refuses, where it refuses too much one request a second goes through and finds out, and the reconciler
 * brings it back to what Postgres says.
 *
 * Every call carries the epoch that was adopted last, and Redis refuses those of another; without one, Redis is not
 * asked at all.
 */
export type Admission = {
  admit(hold: Hold): Promise<AdmissionOutcome>;
  /** After Postgres refused a creation: these rows have no more than this, for the next second. */
  proveSoldOut(shopId: string, available: ReadonlyMap<string, number>): void;
  /**
   * After a commit: these baskets hold exactly this until they expire, and these are their links. False when that did
   * not reach Redis.
   */
  settle(holds: readonly SettledHold[]): Promise<boolean>;
  /** The same as settle, and quicker for many of which Redis does not know any: for whoever builds it anew. */
  fill(holds: readonly SettledHold[]): Promise<boolean>;
  click(basket: BasketName): Promise<ClickOutcome>;
  /** The same as settle after a click that had to ask Postgres, unless Redis has heard of the basket since. */
  warm(hold: SettledHold, seen: string): Promise<boolean>;
  /** After a commit that suspends or cancels events: clicks on links of their baskets ask Postgres from now on. */
  stopEvents(events: readonly EventName[]): Promise<boolean>;
  /** Takes back what stopped events, unless somebody has stopped them again since they were listed. */
  resumeEvents(events: readonly StoppedEvent[]): Promise<void>;
  /** The same as settle for those of the baskets that Redis knows. */
  renew(holds: readonly SettledHold[]): Promise<boolean>;
  /** After a refusal, an expiry or a cancellation. False when that did not reach Redis. */
  release(baskets: readonly BasketName[]): Promise<boolean>;
  /** After a completion. False when that did not reach Redis. */
  sell(baskets: readonly BasketName[]): Promise<boolean>;
  /** After a refund that gives back these units of a sold basket, once for each. */
  restock(basket: Hold): Promise<void>;
  /** Makes rows known; of one that is known already, only the capacity is set. False when that did not reach Redis. */
  load(rows: readonly StatedRow[]): Promise<boolean>;
  /** Sets capacities, and changes what is held and sold by so much. */
  correct(rows: readonly StatedRow[]): Promise<void>;
  /** Baskets to look at now, each told to one caller at a time. */
  due(partition: number, limit: number): Promise<BasketName[]>;
  remind(baskets: readonly (BasketName & { deadline: Date })[]): Promise<void>;
  /** What Redis counts of these rows, or null when it cannot say; rows that it does not know are left out. */
  readRows(rows: readonly StockName[]): Promise<Map<string, CountedRow> | null>;
  /** All rows, under `<shop>/<stock>`, or null. */
  allRows(): Promise<Map<string, CountedRow> | null>;
  /** All events that are stopped, or null. */
  stoppedEvents(): Promise<StoppedEvent[] | null>;
  /** All holds of the partition that a shop is in, or null. */
  holdsBeside(shopId: string): Promise<FoundHold[] | null>;
  allHolds(): Promise<FoundHold[] | null>;
  /** About a thousand holds of a partition, from a cursor on, which is 0 to begin with and at the end; or null. */
  pageOfHolds(partition: number, cursor: string): Promise<{ holds: FoundHold[]; next: string } | null>;
  /** The holds of these baskets, or null; those that it does not have are left out. */
  readHolds(baskets: readonly BasketName[]): Promise<FoundHold[] | null>;
  /** Who has the partitions, in their order, or null. */
  identify(): Promise<PartitionIdentity[] | null>;
  /** Empties every partition and begins an epoch in it; false when it did not happen everywhere. */
  reset(epoch: number): Promise<boolean>;
  /** Says that the partitions have all that Postgres had at a tick; false when it did not reach all of them. */
  mark(tick: number): Promise<boolean>;
  /** The epoch that calls carry from now on; null: do not ask Redis. */
  adopt(epoch: number | null): void;
  epoch(): number | null;
  /** An epoch that Postgres was seen to be at. Redis is not asked any more when it is not ours. */
  sawEpoch(epoch: number): void;
  /** Calls the listener when the adopted epoch has turned out to be another than that of Redis or Postgres. */
  onStale(listener: () => void): void;
};

/** Opens the admission over a Redis connection. It asks Redis nothing before an epoch is adopted. */
export function openAdmission(redis: RedisConnection): Admission {
  const provenRows = new LRUCache<string, { believedUntilMs: number }>({ max: 100_000, ttl: provenForMs });
  const listeners: (() => void)[] = [];
  let epoch: number | null = null;

  /**
   * Whether a request for short rows may be refused on Redis' word: one that Postgres has confirmed is enough. As soon as
   * that was a second ago one request is told no, and asks Postgres; those behind it go on by what was known. All of a
   * crowd would ask otherwise, once a second.
   */
  function isProvenSoldOut(rows: readonly string[]): boolean {
    const nowMs = performance.now();
    const proofs = rows.flatMap((row) => provenRows.get(row) ?? []);
    const old = proofs.find(({ believedUntilMs }) => believedUntilMs <= nowMs);
    if (old) old.believedUntilMs = nowMs + believedForMs;
    return proofs.length > 0 && !old;
  }

  function beStale(): void {
    epoch = null;
    for (const listener of listeners) listener();
  }

  /** Runs a script in a partition; null when nobody knows whether it ran, or when it was fenced. */
  async function call(script: RedisScript, partition: number, args: (string | number)[]): Promise<unknown[] | null> {
    const answer = await redis.run(script, keysOf(partition), args);
    return answer.known ? (answer.reply as unknown[]) : null;
  }
  async function callFenced(
    script: RedisScript,
    partition: number,
    args: (string | number)[],
  ): Promise<unknown[] | null> {
    const carried = epoch;
    if (carried === null) return null;
    const reply = await call(script, partition, [carried, ...args]);
    if (reply?.[0] !== 'stale_epoch') return reply;
    if (epoch === carried) beStale();
    return null;
  }

  /**
   * Does something for many, batch by batch, in each partition one after the other: the time that a call has runs from when
   * it is sent, and the last of twenty would spend it waiting. False unless it was done for all.
   */
  async function doForAll<T extends { shopId: string }>(
    all: readonly T[],
    perBatch: number,
    work: (partition: number, batch: readonly T[]) => Promise<boolean>,
  ): Promise<boolean> {
    const batches = batchesByPartition(all, perBatch);
    const workIn = async (partition: number) => {
      let done = true;
      for (const { batch } of batches.filter((one) => one.partition === partition)) {
        done = (await work(partition, batch)) && done;
      }
      return done;
    };
    const touched = new Set(batches.map(({ partition }) => partition));
    return (await Promise.all([...touched].map(workIn))).every(Boolean);
  }

  /** Runs a script for many. False unless it ran for all. */
  function callForAll<T extends { shopId: string }>(
    script: RedisScript,
    all: readonly T[],
    argsOf: (one: T) => (string | number)[],
  ): Promise<boolean> {
    return doForAll(
      all,
      perScript,
      async (partition, batch) => (await callFenced(script, partition, batch.flatMap(argsOf))) !== null,
    );
  }

  const settleAll = (holds: readonly SettledHold[]) =>
    callForAll(scripts.settle, holds, (hold) => settlement(hold, 'anything'));

  async function scan(partition: number, what: 'holds' | 'stock' | 'events'): Promise<Map<string, string> | null> {
    const found = new Map<string, string>();
    let cursor = '0';
    do {
      const page = await scanPage(partition, what, cursor);
      if (page === null) return null;
      for (const [name, text] of page.texts) found.set(name, text);
      cursor = page.next;
    } while (cursor !== '0');
    return found;
  }

  async function scanPage(partition: number, what: 'holds' | 'stock' | 'events', cursor: string) {
    const reply = await callFenced(scripts.scan, partition, [what, cursor, 1000]);
    if (reply === null) return null;
    const [, next, parts] = reply as [string, string, string[]];
    const texts: [name: string, text: string][] = [];
    for (let at = 0; at < parts.length; at += 2) texts.push([parts[at] ?? '', parts[at + 1] ?? '']);
    return { texts, next };
  }

  async function holdsIn(partition: number): Promise<FoundHold[] | null> {
    const texts = await scan(partition, 'holds');
    return texts && [...texts].flatMap(([member, text]) => readHold(member, text));
  }

  return {
    async admit(hold) {
      const args = [memberOf(hold), provisionalMs, writtenTakes(hold.takes)];
      const reply = await callFenced(scripts.admit, partitionOf(hold.shopId), args);
      const [outcome, ...pairs] = (reply ?? ['rebuilding']) as [string, ...(string | number)[]];
      if (outcome === 'rebuilding') return { outcome: 'unreachable' };
      if (outcome === 'admitted' || outcome === 'already') return { outcome: 'admitted' };
      if (outcome === 'unknown_stock') return { outcome: 'doubtful' };
      const available = new Map<string, number>();
      for (let at = 0; at < pairs.length; at += 2) available.set(String(pairs[at]), Number(pairs[at + 1]));
      const proven = isProvenSoldOut([...available.keys()].map((stockId) => `${hold.shopId}/${stockId}`));
      return proven ? { outcome: 'sold_out', available } : { outcome: 'doubtful' };
    },
    proveSoldOut(shopId, available) {
      const believedUntilMs = performance.now() + believedForMs;
      for (const [stockId, left] of available) {
        if (left <= 0) provenRows.set(`${shopId}/${stockId}`, { believedUntilMs });
      }
    },
    settle: gather(settleAll),
    fill: (holds) =>
      doForAll(holds, perFill, async (partition, batch) => {
        const reply = await callFenced(scripts.fill, partition, filling(batch));
        return reply?.[0] === 'known' ? settleAll(batch) : reply !== null;
      }),
    async click(basket) {
      const reply = await callFenced(scripts.click, partitionOf(basket.shopId), [memberOf(basket)]);
      if (reply === null) return { outcome: 'unknown', seen: null };
      const [outcome, text] = reply.map(String);
      const link = outcome === 'follow' ? readLink(text ?? '') : null;
      if (link !== null) return { outcome: 'follow', link };
      return { outcome: 'unknown', seen: outcome === 'cold' ? (text ?? null) : null };
    },
    warm: (hold, seen) => callForAll(scripts.settle, [hold], () => settlement(hold, seen)),
    stopEvents: (events) => callForAll(scripts.stop, events, ({ shopId, eventId }) => [`${shopId}/event:${eventId}`]),
    async resumeEvents(events) {
      await callForAll(scripts.resume, events, ({ shopId, eventId, at }) => [`${shopId}/event:${eventId}`, at]);
    },
    renew: (holds) => callForAll(scripts.settle, holds, (hold) => settlement(hold, 'known')),
    release: (baskets) => callForAll(scripts.release, baskets, (basket) => [memberOf(basket)]),
    sell: (baskets) => callForAll(scripts.sell, baskets, (basket) => [memberOf(basket)]),
    async restock(basket) {
      const args = [memberOf(basket), writtenTakes(basket.takes)];
      await callFenced(scripts.restock, partitionOf(basket.shopId), args);
    },
    load: (rows) => callForAll(scripts.load, rows, rowArguments),
    async correct(rows) {
      await callForAll(scripts.correct, rows, rowArguments);
    },
    async due(partition, limit) {
      const [, ...members] = ((await callFenced(scripts.due, partition, [limit, putOffMs])) ?? []) as string[];
      return members.map(basketOf);
    },
    async remind(baskets) {
      await callForAll(scripts.remind, baskets, (basket) => [memberOf(basket), basket.deadline.getTime()]);
    },
    async readRows(rows) {
      const found = new Map<string, CountedRow>();
      for (const { partition, batch } of batchesByPartition(rows, perScript)) {
        const names = batch.map(({ shopId, stockId }) => `${shopId}/${stockId}`);
        const reply = await callFenced(scripts.rows, partition, names);
        if (reply === null) return null;
        for (const [at, name] of names.entries()) {
          const row = readRow(String(reply[at + 1]));
          if (row) found.set(name, row);
        }
      }
      return found;
    },
    async allRows() {
      const all = new Map<string, CountedRow>();
      for (const partition of partitions) {
        const texts = await scan(partition, 'stock');
        if (texts === null) return null;
        for (const [name, text] of texts) {
          const row = readRow(text);
          if (row) all.set(name, row);
        }
      }
      return all;
    },
    async stoppedEvents() {
      const all: StoppedEvent[] = [];
      for (const partition of partitions) {
        const texts = await scan(partition, 'events');
        if (texts === null) return null;
        for (const [name, at] of texts) {
          const [shopId = '', eventId = ''] = name.split('/event:');
          all.push({ shopId, eventId, at });
        }
      }
      return all;
    },
    holdsBeside: (shopId) => holdsIn(partitionOf(shopId)),
    async allHolds() {
      const all: FoundHold[] = [];
      for (const partition of partitions) {
        const holds = await holdsIn(partition);
        if (holds === null) return null;
        for (const hold of holds) all.push(hold);
      }
      return all;
    },
    async pageOfHolds(partition, cursor) {
      const page = await scanPage(partition, 'holds', cursor);
      return page && { holds: page.texts.flatMap(([member, text]) => readHold(member, text)), next: page.next };
    },
    async readHolds(baskets) {
      const found: FoundHold[] = [];
      for (const { partition, batch } of batchesByPartition(baskets, perScript)) {
        const members = batch.map(memberOf);
        const reply = await callFenced(scripts.holds, partition, members);
        if (reply === null) return null;
        for (const [at, member] of members.entries()) found.push(...readHold(member, String(reply[at + 1])));
      }
      return found;
    },
    async identify() {
      const replies = await Promise.all(partitions.map((partition) => call(scripts.identify, partition, [])));
      const identities: PartitionIdentity[] = [];
      for (const reply of replies) {
        if (reply === null) return null;
        const [, ofDeadlines, ofHolds, ofStock, ready, tick, server] = reply.map(String);
        const same = ofDeadlines !== '' && ofDeadlines === ofHolds && ofHolds === ofStock;
        identities.push({
          epoch: same ? Number(ofDeadlines) : null,
          newestEpoch: Math.max(Number(ofDeadlines), Number(ofHolds), Number(ofStock)),
          ready: ready === '1',
          tick: Number(tick),
          server: server ?? '',
        });
      }
      return identities;
    },
    async reset(newEpoch) {
      const replies = await Promise.all(partitions.map((partition) => call(scripts.reset, partition, [newEpoch])));
      return replies.every((reply) => reply?.[0] === 'reset');
    },
    async mark(tick) {
      const replies = await Promise.all(partitions.map((partition) => callFenced(scripts.mark, partition, [tick])));
      return replies.every((reply) => reply !== null);
    },
    adopt(next) {
      epoch = next;
    },
    epoch: () => epoch,
    sawEpoch(seen) {
      if (epoch !== null && epoch !== seen) beStale();
    },
    onStale(listener) {
      listeners.push(listener);
    },
  };
}

/** Does for all that one turn of the event loop asks for, as a batch of creations does, what `work` does for many. */
function gather<T>(work: (all: readonly T[]) => Promise<boolean>): (some: readonly T[]) => Promise<boolean> {
  let gathered: T[] = [];
  let done: Promise<boolean> | null = null;

  async function workLater(): Promise<boolean> {
    await new Promise(setImmediate);
    const all = gathered;
    gathered = [];
    done = null;
    return work(all);
  }
  return (some) => {
    for (const one of some) gathered.push(one);
    done ??= workLater();
    return done;
  };
}

/** The partition of a shop: FNV-1a over its id. All keys of a shop share one slot, so every script touches one node. */
function partitionOf(shopId: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < shopId.length; at += 1) {
    hash = Math.imul(hash ^ shopId.charCodeAt(at), 0x01000193) >>> 0;
  }
  return hash % partitionCount;
}

function keysOf(partition: number): string[] {
  const tag = `{bl:${partition}}`;
  return [`${tag}:deadlines`, `${tag}:holds`, `${tag}:stock`];
}

function batchesByPartition<T extends { shopId: string }>(
  all: readonly T[],
  perBatch: number,
): { partition: number; batch: T[] }[] {
  const open = new Map<number, T[]>();
  const batches: { partition: number; batch: T[] }[] = [];
  for (const one of all) {
    const partition = partitionOf(one.shopId);
    let batch = open.get(partition);
    if (batch === undefined || batch.length === perBatch) {
      batch = [];
      open.set(partition, batch);
      batches.push({ partition, batch });
    }
    batch.push(one);
  }
  return batches;
}

const memberOf = ({ shopId, basketId }: BasketName) => `${shopId}/${basketId}`;

function basketOf(member: string): BasketName {
  const slash = member.indexOf('/');
  return { shopId: member.slice(0, slash), basketId: member.slice(slash + 1) };
}

// Ids have neither spaces nor equals signs.
const writtenTakes = (takes: readonly StockTake[]) =>
  takes.map(({ stockId, quantity }) => `${stockId}=${quantity}`).join(' ');

function settlement(hold: SettledHold, seen: string): (string | number)[] {
  return [memberOf(hold), hold.version, hold.link.expiresAt.getTime(), writtenHold(hold), seen];
}

/** What many baskets of a partition hold, as the script `fill` takes it. */
function filling(holds: readonly SettledHold[]): (string | number)[] {
  const quantities = new Map<string, number>();
  for (const { shopId, takes } of holds) {
    for (const { stockId, quantity } of takes) {
      const row = `${shopId}/${stockId}`;
      quantities.set(row, (quantities.get(row) ?? 0) + quantity);
    }
  }
  const rows = Array.from(quantities, ([row, quantity]) => `${row.replace('/', '/ ')} ${quantity}`);
  const baskets = holds.flatMap((hold) => [
    memberOf(hold),
    `held ${hold.version} ${writtenHold(hold)}`,
    hold.link.expiresAt.getTime(),
  ]);
  return [rows.join(' '), ...baskets];
}

const writtenHold = ({ link, takes }: SettledHold) =>
  [writtenLink(link), writtenTakes(takes)].filter((part) => part !== '').join(' ');

/** `@<generation>/<expiry in Unix milliseconds>/<p | r | nothing><l: may log in><a: at activation>/<event>,<event>…` */
function writtenLink({ generation, expiresAt, mode, mayLogIn, reservesAtActivation, eventIds }: LinkState): string {
  const flags = [mode === null ? '' : mode.charAt(0), mayLogIn ? 'l' : '', reservesAtActivation ? 'a' : ''].join('');
  return `@${generation}/${expiresAt.getTime()}/${flags}/${eventIds.join(',')}`;
}

function readLink(text: string): LinkState | null {
  const [, generation, expiresAtMs, flags = '', eventIds = ''] = /^@(\d+)\/(\d+)\/(\w*)\/(\S*)$/.exec(text) ?? [];
  if (generation === undefined) return null;
  const asked = flags.startsWith('r') ? 'redirect' : 'page';
  return {
    generation: Number(generation),
    expiresAt: new Date(Number(expiresAtMs)),
    mode: /^[pr]/.test(flags) ? asked : null,
    mayLogIn: flags.includes('l'),
    reservesAtActivation: flags.includes('a'),
    eventIds: eventIds === '' ? [] : eventIds.split(','),
  };
}

function rowArguments({ shopId, stockId, capacity, held, sold }: StatedRow) {
  return [`${shopId}/`, stockId, capacity ?? 'unlimited', held, sold];
}

function readRow(text: string): CountedRow | null {
  const [capacity, ...counts] = text.split(' ');
  const [held, admitted, sold] = counts.map(Number);
  if (held === undefined || admitted === undefined || sold === undefined) return null;
  return { capacity: capacity === 'unlimited' ? null : Number(capacity), held, admitted, sold };
}

function readHold(member: string, text: string): FoundHold[] {
  const [state, version, ...takes] = text.split(' ');
  if (state !== 'admitted' && state !== 'held') return [];
  return [
    {
      ...basketOf(member),
      state,
      version: Number(version),
      takes: takes.flatMap((take) => {
        const [stockId = '', quantity] = take.split('=');
        return quantity === undefined ? [] : [{ stockId, quantity: Number(quantity) }];
      }),
    },
  ];
}
