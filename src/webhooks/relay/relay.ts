import type pg from 'pg';
import type { Logger } from 'pino';
import type { DatabaseClock } from '../../platform/clock.ts';
import type { Keyring } from '../../platform/crypto.ts';
import type { Outbound } from '../../platform/outbound.ts';
import { messageOf, type RenderBasket } from '../delivery/message.ts';
import { type Attempt, send } from '../delivery/send.ts';
import type { WebhookMetrics } from '../metrics.ts';
import type { KeptAttempt } from '../model.ts';
import { secretsOf } from '../secrets.ts';
import { waitMs } from './schedule.ts';
import {
  type Claimed,
  claimDeliveries,
  giveUpAtDisabled,
  noteOutcomes,
  type Outcome,
  purgeDeliveries,
  tidiedAtOnce,
} from './store.ts';

/** What the relay works with. */
export type RelayDeps = {
  pool: pg.Pool;
  clock: DatabaseClock;
  outbound: Outbound;
  sealKeys: Keyring;
  renderBasket: RenderBasket;
  logger: Logger;
  metrics: WebhookMetrics;
};

/** Sends changes to webhooks in the background. */
export type Relay = {
  /** Says that something may have changed: it is looked at at once. */
  wake(): void;
  /**
   * Takes on nothing more, and waits a little for the tries under way; what takes longer is tried again elsewhere. May be
   * called again.
   */
  stop(): Promise<void>;
};

const pollMs = 1000;
/** From one look to the next when changes wake it: a busy service does so all the time. */
const pauseMs = 50;
const tidyEveryMs = 60_000;
const maxInFlight = 400;
const stoppedWithinMs = 2000;
const keptAttempts = 20;

/**
 * Starts the relay. It is woken by the changes of this replica, and looks every second for those of others and for what is
 * to be tried again. Postgres' NOTIFY is not used: it makes commits wait for each other, and behind PgBouncer in transaction
 * mode nobody can listen.
 *
 * A try that is under way keeps nobody waiting: its outcome is noted with those of others that have come back meanwhile.
 */
export function startRelay(deps: RelayDeps): Relay {
  const { pool, logger, metrics } = deps;
  const inFlight = new Set<Promise<void>>();
  let outcomes: Outcome[] = [];
  let stopping = false;
  let working: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let startedAtMs = 0;
  let nextAtMs = 0;
  let tidyAtMs = 0;

  async function note(): Promise<void> {
    const noted = outcomes;
    if (noted.length === 0) return;
    outcomes = [];
    try {
      const { disabled } = await noteOutcomes(pool, noted);
      if (disabled.length > 0) tidyAtMs = 0;
      for (const reason of disabled) metrics.disabled(reason);
      for (const { delivered, waitMs } of noted) {
        if (delivered !== null) metrics.tried(delivered ? 'delivered' : waitMs === null ? 'failed' : 'retried');
      }
    } catch (error) {
      outcomes = [...noted, ...outcomes];
      throw error;
    }
  }

  async function tidy(): Promise<void> {
    if (performance.now() < tidyAtMs) return;
    tidyAtMs = performance.now() + tidyEveryMs;
    const largest = Math.max(await giveUpAtDisabled(pool), await purgeDeliveries(pool));
    if (largest === tidiedAtOnce) tidyAtMs = 0;
  }

  /** Does what is to be done now, and gives the pause until the next look. */
  async function turn(): Promise<number> {
    await note();
    const claimed = await claimDeliveries(pool, maxInFlight - inFlight.size);
    for (const delivery of claimed) {
      const trying = tryOnce(deps, delivery).then((outcome) => {
        inFlight.delete(trying);
        if (outcome !== null) outcomes.push(outcome);
        lookAt(performance.now());
      });
      inFlight.add(trying);
    }
    await tidy();
    return claimed.length > 0 ? 0 : pollMs;
  }

  function work(): void {
    startedAtMs = performance.now();
    nextAtMs = Number.POSITIVE_INFINITY;
    working = turn()
      .catch((error: unknown) => {
        logger.warn({ err: error }, 'changes could not be relayed, will be tried again');
        nextAtMs = Number.POSITIVE_INFINITY;
        return pollMs;
      })
      .then((pauseMs) => {
        working = undefined;
        nextAtMs = Math.min(nextAtMs, performance.now() + pauseMs);
        setTimer();
      });
  }

  /** Has the next look at this time, if none comes before. */
  function lookAt(atMs: number): void {
    if (atMs >= nextAtMs) return;
    nextAtMs = atMs;
    if (working === undefined) setTimer();
  }

  function setTimer(): void {
    clearTimeout(timer);
    if (!stopping) timer = setTimeout(work, Math.max(0, nextAtMs - performance.now()));
  }

  async function stop(): Promise<void> {
    stopping = true;
    clearTimeout(timer);
    await working;
    const giveUp = new Promise((resolve) => setTimeout(resolve, stoppedWithinMs).unref());
    await Promise.race([Promise.all(inFlight), giveUp]);
    await note().catch((error: unknown) => logger.warn({ err: error }, 'what was delivered last is sent again'));
  }

  work();
  let stopped: Promise<void> | undefined;
  return {
    wake: () => lookAt(Math.max(performance.now(), startedAtMs + pauseMs)),
    stop() {
      stopped ??= stop();
      return stopped;
    },
  };
}

/** Tries to deliver once. Null when that could not even be tried: then its lease runs out, and it is taken up again. */
async function tryOnce(deps: RelayDeps, delivery: Claimed): Promise<Outcome | null> {
  const { shopId, webhookNumber, deliveryId, dueAt, format, attempts, change, traceparent } = delivery;
  try {
    const now = await deps.clock.now();
    const secrets = await secretsOf(deps.sealKeys, delivery, now);
    if (secrets.length === 0) throw new Error('no data key opens its secret');
    const message = messageOf({ format, secrets }, deliveryId, now, change, deps.renderBasket);
    // The webhook had another format when this was made.
    if (message === null) {
      return { shopId, webhookNumber, deliveryId, dueAt, delivered: null, gone: false, waitMs: null, attempts };
    }
    return outcomeOf(delivery, await send(deps.outbound, delivery.url, message, traceparent));
  } catch (error) {
    deps.logger.error({ err: error, shopId, webhookNumber, deliveryId }, 'a change could not be sent');
    return null;
  }
}

function outcomeOf(claimed: Claimed, attempt: Attempt): Outcome {
  const { shopId, webhookNumber, deliveryId, dueAt, attempts, attemptCount } = claimed;
  const { at, responseStatus, durationMs, error, delivered, gone, retryAfterSeconds } = attempt;
  const kept: KeptAttempt = { at: at.toISOString(), responseStatus, durationMs, error };
  return {
    ...{ shopId, webhookNumber, deliveryId, dueAt, delivered, gone },
    waitMs: delivered ? null : waitMs(attemptCount + 1, retryAfterSeconds, Math.random()),
    attempts: [...attempts, kept].slice(-keptAttempts),
  };
}
