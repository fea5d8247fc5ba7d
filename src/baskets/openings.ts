import type pg from 'pg';
import type { Logger } from 'pino';
import { addOpenings, type OpenerKind, type Openings } from './store.ts';

const writeEveryMs = 1000;
/** Of different baskets and kinds, between two writes. What is beyond is not counted: a flood must not cost memory. */
const maxPending = 10_000;

/** Counts the openings of start links. */
export type OpeningCounter = {
  /** Counts one, at Postgres' time `at`. Nothing waits for it to be written. */
  count(basket: { shopId: string; basketId: string }, kind: OpenerKind, at: Date): void;
  /** Writes what is pending and ends. */
  stop(): Promise<void>;
};

/**
 * Starts a counter that keeps what it counts in memory and adds it to Postgres once a second. A count is for people who
 * ask what became of a link and nothing decides on it: what a replica that is killed had not written is lost.
 */
export function startOpeningCounter(pool: pg.Pool, logger: Logger): OpeningCounter {
  let pending = new Map<string, Openings & { shopId: string; basketId: string }>();
  let working = Promise.resolve();

  async function write(): Promise<void> {
    if (pending.size === 0) return;
    const written = pending;
    pending = new Map();
    try {
      await addOpenings(pool, [...written.values()]);
    } catch (error) {
      logger.warn({ err: error }, 'openings of links were not written, will be tried again');
      for (const { shopId, basketId, kind, count, firstAt, lastAt } of written.values()) {
        add({ shopId, basketId }, kind, count, firstAt, lastAt);
      }
    }
  }
  function add(
    { shopId, basketId }: { shopId: string; basketId: string },
    kind: OpenerKind,
    count: number,
    firstAt: Date,
    lastAt: Date,
  ): void {
    const key = `${shopId}/${basketId}/${kind}`;
    const known = pending.get(key);
    if (known) {
      known.count += count;
      if (firstAt < known.firstAt) known.firstAt = firstAt;
      if (lastAt > known.lastAt) known.lastAt = lastAt;
    } else if (pending.size < maxPending) {
      pending.set(key, { shopId, basketId, kind, count, firstAt, lastAt });
    }
  }
  const timer = setInterval(() => {
    working = working.then(write);
  }, writeEveryMs);
  return {
    count: (basket, kind, at) => add(basket, kind, 1, at, at),
    async stop() {
      clearInterval(timer);
      await working;
      await write();
    },
  };
}
