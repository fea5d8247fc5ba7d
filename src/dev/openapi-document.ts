import { pino } from 'pino';
import { buildApp } from '../app.ts';
import { loadConfig } from '../config.ts';
import { openAdmission } from '../holds/index.ts';
import type { Api } from '../http/api.ts';
import { openMetrics } from '../metrics.ts';
import { openDatabaseClock } from '../platform/clock.ts';
import { openOutbound } from '../platform/outbound.ts';
import { openPostgres } from '../platform/postgres.ts';
import { openRedis } from '../platform/redis.ts';

/** The OpenAPI document as YAML, from the schemas of the routes. */
export function openApiYaml(): Promise<string> {
  return ofApp((app) => app.swagger({ yaml: true }));
}

/** Its paths, with the operations of each by method. */
export async function openApiPaths(): Promise<Record<string, Record<string, object>>> {
  const document: { paths?: object } = JSON.parse(await ofApp((app) => JSON.stringify(app.swagger())));
  return { ...document.paths };
}

/** Builds the app to look at it. Nothing that its configuration names is connected to. */
async function ofApp<T>(look: (app: Api) => T): Promise<T> {
  const secret = 'no secret but the length of one it has';
  const config = loadConfig({
    PUBLIC_URL: 'http://localhost:3000',
    DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
    REDIS_URL: 'redis://127.0.0.1:1',
    JWT_SECRET: secret,
    LINK_KEYS: `k1:${secret}`,
    DATA_KEYS: `d1:${secret}`,
  });
  const pool = openPostgres(config.databaseUrl, () => {});
  const redis = openRedis(config.redisUrl, '', () => {});
  const outbound = openOutbound({ allowPrivate: false });
  const admission = openAdmission(redis);
  const app = await buildApp(config, {
    pool,
    redis,
    admission,
    suspect: () => {},
    metrics: openMetrics(pool, redis, admission),
    clock: openDatabaseClock(pool),
    openings: { count: () => {} },
    outbound,
    wakeRelay: () => {},
    logger: pino({ level: 'silent' }),
    isServing: () => true,
    tracing: null,
  });
  try {
    await app.ready();
    return look(app);
  } finally {
    await app.close();
    await outbound.close();
    await redis.close();
    await pool.end();
  }
}
