import { setTimeout as delay } from 'node:timers/promises';
import type { RedisConnection } from '../platform/redis.ts';
import type { StockName } from './admission.ts';
import { checkEpoch, type KeeperDeps } from './epoch.ts';
import { reconcile } from './reconcile.ts';
import { doubtRedis } from './store.ts';

const checkEveryMs = 5000;
const reconcileEveryMs = 10_000;
/** After a fault: what was lost on the way is found by then, and what was delayed has arrived. */
const settledAfterMs = 1000;
const turnEveryMs = 1000;
/** While another replica rebuilds. */
const waitMs = 100;
/** A start does not wait for longer: Redis may be away. */
const startedWithoutMs = 500;
const startPauseMs = 5;

/** Keeps the copy in Redis at one with Postgres. */
export type Keeper = {
  /** Has these rows compared soon, because an answer of Redis about them was wrong. */
  suspect(shopId: string, stockIds: readonly string[]): void;
  stop(): Promise<void>;
};

/**
 * Starts the keeper. It checks the epoch at once, whenever Redis can be used again, when a script was fenced, and every
 * five seconds; and it compares Redis with Postgres every ten seconds, and a second after each fault. Resolves when an
 * epoch is adopted, or after half a second without.
 */
export async function startKeeper(deps: KeeperDeps, redis: RedisConnection): Promise<Keeper> {
  const { admission, logger } = deps;
  let stopping = false;
  let timer: NodeJS.Timeout | undefined;
  let working: Promise<void> | undefined;
  let awoken = false;
  /** Whether Redis may have missed something that this replica did without it, and nobody was told yet. */
  let doubtful = false;
  /** From then on this replica does things. */
  let started = false;
  let checkAtMs = 0;
  let reconcileAtMs = performance.now() + reconcileEveryMs;
  let suspects = new Map<string, StockName>();

  async function turn(): Promise<number> {
    if (started && admission.epoch() === null) doubtful = true;
    if (admission.epoch() === null || performance.now() >= checkAtMs) {
      const found = await checkEpoch(deps);
      checkAtMs = performance.now() + checkEveryMs;
      if (found === 'waiting') return waitMs;
      if (found === 'rebuilt') reconcileAtMs = performance.now() + settledAfterMs;
    }
    if (doubtful) {
      await doubtRedis(deps.pool);
      doubtful = admission.epoch() === null;
      if (!doubtful) reconcileAtMs = Math.min(reconcileAtMs, performance.now() + settledAfterMs);
    }
    if (admission.epoch() === null) return turnEveryMs;
    if (performance.now() >= reconcileAtMs) {
      // Put off also when it was another's turn: that one has compared everything.
      reconcileAtMs = performance.now() + reconcileEveryMs;
      suspects = new Map();
      await reconcile(deps, 'all');
    } else if (suspects.size > 0) {
      const rows = [...suspects.values()];
      suspects = new Map();
      await reconcile(deps, rows);
    }
    return turnEveryMs;
  }

  function work(): void {
    clearTimeout(timer);
    awoken = false;
    working = turn()
      .catch((error: unknown) => {
        logger.warn({ err: error }, 'redis could not be compared with postgres, will be tried again');
        reconcileAtMs = Math.min(reconcileAtMs, performance.now() + settledAfterMs);
        return turnEveryMs;
      })
      .then((pauseMs) => {
        working = undefined;
        if (!stopping) timer = setTimeout(work, awoken ? 0 : pauseMs);
      });
  }
  function wake(): void {
    awoken = true;
    if (working === undefined && !stopping) work();
  }

  redis.onUsable(() => {
    // Perhaps another server, and perhaps messages were lost: nothing is believed before it was looked at.
    admission.adopt(null);
    checkAtMs = 0;
    wake();
  });
  admission.onStale(wake);
  work();
  const giveUpAtMs = performance.now() + startedWithoutMs;
  while (admission.epoch() === null && performance.now() < giveUpAtMs) await delay(startPauseMs);
  started = true;
  doubtful = admission.epoch() === null;
  return {
    suspect(shopId, stockIds) {
      for (const stockId of stockIds) suspects.set(`${shopId}/${stockId}`, { shopId, stockId });
    },
    async stop() {
      stopping = true;
      clearTimeout(timer);
      await working;
    },
  };
}
