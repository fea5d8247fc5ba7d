import { LRUCache } from 'lru-cache';
import { loadScript, type RedisConnection } from '../platform/redis.ts';
import type { StockTake } from './model.ts';

const directory = new URL('./scripts/', import.meta.url);
const scripts = {
  admit: loadScript(directory, 'admit'),
  settle: loadScript(directory, 'settle'),
  release: loadScript(directory, 'release'),
  sell: loadScript(directory, 'sell'),
  load: loadScript(directory, 'load'),
  due: loadScript(directory, 'due'),
  remind: loadScript(directory, 'remind'),
  held: loadScript(directory, 'held'),
};

/** How many partitions the shops are spread over; part of the key names, so it never changes. */
export const partitions = 16;

const provisionalMs = 30_000;

/** For how long a sold-out answer of Redis is believed after Postgres has said the same. */
const provenForMs = 1000;

/**
 * What Redis says to a creation. `doubtful`: it answered, but Postgres must be asked, because it does not know a stock
 * row, or calls it sold out and Postgres has not said so within the last second. `unreachable`: nobody can say.
 */
type AdmissionOutcome =
  | { outcome: 'admitted' | 'doubtful' | 'unreachable' }
  | { outcome: 'sold_out'; available: Map<string, number> };

type Hold = { shopId: string; basketId: string; takes: readonly StockTake[] };

/**
 * The copy of the reservations in Redis. It refuses what is sold out before Postgres is asked, and says when to look at
 * a basket again. No call rejects. A lost or late message makes the copy wrong, never the service: where it admits too
 * much Postgres refuses, and where it refuses too much one request a second goes through and finds out; both then load
 * the row anew.
 */
export type Admission = {
  admit(hold: Hold): Promise<AdmissionOutcome>;
  /** After Postgres refused a creation: these rows have no more than this, for the next second. */
  proveSoldOut(shopId: string, available: ReadonlyMap<string, number>): void;
  /** After a commit: the hold is real, until `deadline`. */
  settle(hold: Hold, deadline: Date): Promise<void>;
  /** After a refusal, an expiry or a cancellation. */
  release(hold: Hold): Promise<void>;
  /** After a completion. */
  sell(hold: Hold): Promise<void>;
  /** Sets a stock row to what Postgres says of it. */
  load(shopId: string, stockId: string, capacity: number | null, taken: number): Promise<void>;
  due(partition: number, limit: number): Promise<{ shopId: string; basketId: string }[]>;
  remind(shopId: string, basketId: string, deadline: Date): Promise<void>;
  /** What an admission without a basket in Postgres holds. */
  takesOf(shopId: string, basketId: string): Promise<StockTake[]>;
};

/** Opens the admission over a Redis connection. */
export function openAdmission(redis: RedisConnection): Admission {
  const provenRows = new LRUCache<string, true>({ max: 100_000, ttl: provenForMs });
  const keysOf = ({ shopId, basketId, takes }: Hold) => {
    const tag = `{bl:${partitionOf(shopId)}}`;
    const stock = takes.map(({ stockId }) => `${tag}:stock:${shopId}/${stockId}`);
    return [`${tag}:deadlines`, `${tag}:hold:${shopId}/${basketId}`, ...stock];
  };
  const memberOf = ({ shopId, basketId }: Pick<Hold, 'shopId' | 'basketId'>) => `${shopId}/${basketId}`;
  const quantities = (hold: Hold) => hold.takes.map(({ quantity }) => quantity);
  const written = (hold: Hold) => JSON.stringify(hold.takes);

  return {
    async admit(hold) {
      const args = [memberOf(hold), provisionalMs, written(hold), ...quantities(hold)];
      const answer = await redis.run(scripts.admit, keysOf(hold), args);
      if (!answer.known) return { outcome: 'unreachable' };
      const [outcome, ...pairs] = answer.reply as [string, ...number[]];
      if (outcome === 'admitted' || outcome === 'already') return { outcome: 'admitted' };
      if (outcome === 'unknown_stock') return { outcome: 'doubtful' };
      const available = new Map<string, number>();
      for (let at = 0; at < pairs.length; at += 2) {
        const take = hold.takes[pairs[at] ?? -1];
        if (take) available.set(take.stockId, pairs[at + 1] ?? 0);
      }
      // One short row that Postgres has confirmed is enough to refuse the basket.
      const proven = [...available.keys()].some((stockId) => provenRows.has(`${hold.shopId}/${stockId}`));
      return proven ? { outcome: 'sold_out', available } : { outcome: 'doubtful' };
    },
    proveSoldOut(shopId, available) {
      for (const [stockId, left] of available) if (left <= 0) provenRows.set(`${shopId}/${stockId}`, true);
    },
    async settle(hold, deadline) {
      await redis.run(scripts.settle, keysOf(hold), [
        memberOf(hold),
        deadline.getTime(),
        written(hold),
        ...quantities(hold),
      ]);
    },
    async release(hold) {
      await redis.run(scripts.release, keysOf(hold), [memberOf(hold), ...quantities(hold)]);
    },
    async sell(hold) {
      await redis.run(scripts.sell, keysOf(hold).slice(0, 2), [memberOf(hold)]);
    },
    async load(shopId, stockId, capacity, taken) {
      const key = `{bl:${partitionOf(shopId)}}:stock:${shopId}/${stockId}`;
      await redis.run(scripts.load, [key], [capacity ?? 'unlimited', taken]);
    },
    async due(partition, limit) {
      const answer = await redis.run(scripts.due, [`{bl:${partition}}:deadlines`], [limit]);
      const members = answer.known ? (answer.reply as string[]) : [];
      return members.map((member) => {
        const slash = member.indexOf('/');
        return { shopId: member.slice(0, slash), basketId: member.slice(slash + 1) };
      });
    },
    async remind(shopId, basketId, deadline) {
      const key = `{bl:${partitionOf(shopId)}}:deadlines`;
      await redis.run(scripts.remind, [key], [memberOf({ shopId, basketId }), deadline.getTime()]);
    },
    async takesOf(shopId, basketId) {
      const answer = await redis.run(scripts.held, [`{bl:${partitionOf(shopId)}}:hold:${shopId}/${basketId}`], []);
      return answer.known && typeof answer.reply === 'string' ? (JSON.parse(answer.reply) as StockTake[]) : [];
    },
  };
}

/** The partition of a shop: FNV-1a over its id. All keys of a shop share one slot, so every script touches one node. */
function partitionOf(shopId: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < shopId.length; at += 1) {
    hash = Math.imul(hash ^ shopId.charCodeAt(at), 0x01000193) >>> 0;
  }
  return hash % partitions;
}
