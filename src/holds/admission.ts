import { loadScript, type RedisConnection } from '../platform/redis.ts';
import type { StockTake } from './model.ts';

const directory = new URL('./scripts/', import.meta.url);
const scripts = {
  admit: loadScript(directory, 'admit'),
  settle: loadScript(directory, 'settle'),
  release: loadScript(directory, 'release'),
  sell: loadScript(directory, 'sell'),
  publish: loadScript(directory, 'publish'),
  due: loadScript(directory, 'due'),
  remind: loadScript(directory, 'remind'),
  held: loadScript(directory, 'held'),
};

/** How many partitions the shops are spread over; part of the key names, so it never changes. */
export const partitions = 16;

const provisionalMs = 30_000;

/** What Redis says to a creation. `unknown`: nobody can say, so Postgres decides alone. */
type AdmissionOutcome =
  | { outcome: 'admitted' }
  | { outcome: 'sold_out'; available: Map<string, number> }
  | { outcome: 'unknown' };

type Hold = { shopId: string; basketId: string; takes: readonly StockTake[] };

/**
 * The copy of the reservations in Redis. It refuses what is sold out before Postgres is asked, and says when to look at
 * a basket again. No call rejects; whatever fails here is put right from Postgres.
 */
export type Admission = {
  admit(hold: Hold): Promise<AdmissionOutcome>;
  /** After a commit: the hold is real, until `deadline`. */
  settle(hold: Hold, deadline: Date): Promise<void>;
  /** After a refusal, an expiry or a cancellation. */
  release(hold: Hold): Promise<void>;
  /** After a completion. */
  sell(hold: Hold): Promise<void>;
  publish(shopId: string, stockId: string, capacity: number | null, taken: number): Promise<void>;
  due(partition: number, limit: number): Promise<{ shopId: string; basketId: string }[]>;
  remind(shopId: string, basketId: string, deadline: Date): Promise<void>;
  /** What an admission without a basket in Postgres holds. */
  takesOf(shopId: string, basketId: string): Promise<StockTake[]>;
};

/** Opens the admission over a Redis connection. */
export function openAdmission(redis: RedisConnection): Admission {
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
      if (!answer.known || !Array.isArray(answer.reply)) return { outcome: 'unknown' };
      const [outcome, ...pairs] = answer.reply as [string, ...number[]];
      if (outcome === 'admitted' || outcome === 'already') return { outcome: 'admitted' };
      if (outcome !== 'sold_out') return { outcome: 'unknown' };
      const available = new Map<string, number>();
      for (let at = 0; at < pairs.length; at += 2) {
        const take = hold.takes[pairs[at] ?? -1];
        if (take) available.set(take.stockId, pairs[at + 1] ?? 0);
      }
      return { outcome: 'sold_out', available };
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
    async publish(shopId, stockId, capacity, taken) {
      const key = `{bl:${partitionOf(shopId)}}:stock:${shopId}/${stockId}`;
      await redis.run(scripts.publish, [key], [capacity ?? 'unlimited', taken]);
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
