import type pg from 'pg';
import type { Logger } from 'pino';
import { runEvery } from '../platform/background.ts';
import { addOpenings, type OpenerKind, type OpeningsOf } from './store.ts';

const writeEveryMs = 1000;
const failure = 'openings of links were not written, will be tried again';
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
  let pending = new Map<string, OpeningsOf>();

  function add(openings: OpeningsOf): void {
    const key = `${openings.shopId}/${openings.basketId}/${openings.kind}`;
    const known = pending.get(key);
    if (known) {
      known.count += openings.count;
      if (openings.firstAt < known.firstAt) known.firstAt = openings.firstAt;
      if (openings.lastAt > known.lastAt) known.lastAt = openings.lastAt;
    } else if (pending.size < maxPending) {
      pending.set(key, openings);
    }
  }
  async function write(): Promise<void> {
    const written = [...pending.values()];
    pending = new Map();
    try {
      if (written.length > 0) await addOpenings(pool, written);
    } catch (error) {
      for (const openings of written) add(openings);
      throw error;
    }
  }
  const writing = runEvery(writeEveryMs, logger, failure, write);
  return {
    count: ({ shopId, basketId }, kind, at) => add({ shopId, basketId, kind, count: 1, firstAt: at, lastAt: at }),
    async stop() {
      await writing.stop();
      await write().catch((error: unknown) => logger.warn({ err: error }, failure));
    },
  };
}
