import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import closeWithGrace from 'close-with-grace';
import type pg from 'pg';
import type { Logger } from 'pino';
import { buildApp, buildOpsApp, type Resources } from './app.ts';
import { showSnapshot, startOpeningCounter } from './baskets/index.ts';
import { type Config, loadConfig, startProblem } from './config.ts';
import {
  type Admission,
  endBasketsOfCancelledEvents,
  openAdmission,
  startCatchUp,
  startKeeper,
  startSweeper,
} from './holds/index.ts';
import type { Api } from './http/api.ts';
import { openMetrics } from './metrics.ts';
import { openDatabaseClock } from './platform/clock.ts';
import { deriveKeyring, sealPurpose } from './platform/crypto.ts';
import { openLogger } from './platform/logger.ts';
import { assertMigrated } from './platform/migrations.ts';
import { openOutbound } from './platform/outbound.ts';
import { openPostgres } from './platform/postgres.ts';
import { openRedis, type RedisConnection, redisTimeoutMs } from './platform/redis.ts';
import type { Tracing } from './platform/tracing.ts';
import { resealLaravelKeys } from './shops/index.ts';
import { resealWebhookSecrets, startRelay } from './webhooks/index.ts';

/** A running service. `url` is where it listens. */
export type Service = {
  url: string;
  pool: pg.Pool;
  redis: RedisConnection;
  admission: Admission;
  /**
   * Says that it is not ready and goes on serving until load balancers have noticed. To be called before `stop` where
   * there are any.
   */
  drain(): Promise<void>;
  /** May be called again. */
  stop(): Promise<void>;
};

/** Long enough for load balancers that ask once a second whether it is ready. */
const noticedWithinMs = 2500;
/** Longer than any request takes to be answered. */
const answeredWithinMs = 5250;
/** From SIGTERM to the exit, at most. What kills it must wait for longer. */
export const stoppedWithinMs = 9500;

/**
 * Opens the resources, builds the app and listens. Only tests have several services with databases of their own on one
 * Redis, which `redisKeyPrefix` keeps apart, and give Redis more time to answer than callers have. Throws when the
 * database is not migrated or cannot be reached, or a port cannot be listened on; then nothing of it goes on.
 */
export async function startService(
  config: Config,
  { redisKeyPrefix = '', redisCommandTimeoutMs = redisTimeoutMs.ofService } = {},
): Promise<Service> {
  const logger = openLogger(config.logLevel);
  const warn = (what: string) => (error: Error) => logger.warn({ err: error }, what);
  /** How to stop what has been started, in the order in which it was. */
  const started: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const stopOne of started.splice(0).reverse()) await stopOne();
  };
  const listen = async (app: Api, variable: string, port: number) => {
    started.push(async () => {
      // Node also waits for connections that say nothing, such as those that browsers open in advance.
      const cutOff = setTimeout(() => app.server.closeAllConnections(), answeredWithinMs);
      await app.close();
      clearTimeout(cutOff);
    });
    return app.listen({ host: config.host, port }).catch((error: Error) => {
      throw new Error(`${variable} cannot be used: ${error.message}`, { cause: error });
    });
  };
  try {
    const tracing = await openTracing(config, logger);
    if (tracing !== null) started.push(tracing.stop);
    const pool = openPostgres(config.databaseUrl, warn('postgres connection lost'));
    started.push(() => pool.end());
    tracing?.tracePool(pool);
    const plainRedis = openRedis(config.redisUrl, redisKeyPrefix, warn('redis failed'), redisCommandTimeoutMs);
    started.push(plainRedis.close);
    const redis = tracing?.traceRedis(plainRedis) ?? plainRedis;
    const outbound = openOutbound({ allowPrivate: config.webhookAllowPrivate });
    started.push(outbound.close);
    await assertMigrated(pool);
    const sealKeys = deriveKeyring(config.dataKeys, sealPurpose);
    await resealLaravelKeys(pool, sealKeys);
    await resealWebhookSecrets(pool, sealKeys);
    const admission = openAdmission(redis);
    const metrics = openMetrics(pool, redis, admission);
    const holdDeps = { pool, admission, logger, metrics: metrics.holds };
    const keeper = await startKeeper(holdDeps, redis);
    started.push(keeper.stop);
    const clock = openDatabaseClock(pool);
    const openings = startOpeningCounter(pool, logger);
    started.push(openings.stop);
    const relay = startRelay({
      ...{ pool, clock, sealKeys, renderBasket: showSnapshot, logger },
      outbound: tracing?.traceOutbound(outbound, 'webhook delivery') ?? outbound,
      metrics: metrics.webhooks,
    });
    started.push(relay.stop);
    const catchUp = startCatchUp(pool, admission, logger);
    started.push(catchUp.stop);
    const sweeper = startSweeper({ ...holdDeps, onExpired: relay.wake }, () => endBasketsOfCancelledEvents(holdDeps));
    started.push(sweeper.stop);
    let serving = false;
    const resources: Resources = {
      ...{ pool, redis, admission, metrics, clock, openings, logger, tracing },
      outbound: tracing?.traceOutbound(outbound, 'outgoing request') ?? outbound,
      isServing: () => serving,
      suspect: keeper.suspect,
      wakeRelay: relay.wake,
    };
    const app = await buildApp(config, resources);
    // Stopped after the other, so that probes are answered as long as requests are.
    if (config.opsPort !== null) await listen(buildOpsApp(config, resources), 'OPS_PORT', config.opsPort);
    const url = await listen(app, 'PORT', config.port);
    serving = true;
    let stopped: Promise<void> | undefined;
    return {
      url,
      pool,
      redis,
      admission,
      async drain() {
        serving = false;
        // Whoever keeps connections opens the next to another replica.
        app.server.prependListener('request', (_, response) => response.setHeader('connection', 'close'));
        // What has changed meanwhile, other replicas send.
        await Promise.all([delay(noticedWithinMs), relay.stop()]);
      },
      stop() {
        serving = false;
        stopped ??= stop();
        return stopped;
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Loads OpenTelemetry only where traces are wanted: it takes time and memory. */
async function openTracing({ otlpEndpoint }: Config, logger: Logger): Promise<Tracing | null> {
  if (otlpEndpoint === null) return null;
  return (await import('./platform/tracing.ts')).openTracing(otlpEndpoint, logger);
}

async function main(): Promise<void> {
  const config = loadConfig(process.env);
  const service = await startService(config);
  closeWithGrace({ delay: stoppedWithinMs }, async ({ err, signal }) => {
    if (err) process.stderr.write(`${err.stack ?? err.message}\n`);
    // Other signals are somebody at a terminal.
    if (signal === 'SIGTERM') await service.drain();
    await service.stop();
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error: unknown) => {
    process.stderr.write(`${startProblem(error)}\n`);
    process.exit(1);
  });
}
