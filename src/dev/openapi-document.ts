import { pino } from 'pino';
import { Registry } from 'prom-client';
import { buildApp } from '../app.ts';
import { loadConfig } from '../config.ts';
import { openAdmission } from '../holds/index.ts';
import { openDatabaseClock } from '../platform/clock.ts';
import { openPostgres } from '../platform/postgres.ts';
import { openRedis } from '../platform/redis.ts';

/** The OpenAPI document as YAML, from the schemas of the routes. Nothing that it names is connected to. */
export async function openApiYaml(): Promise<string> {
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
  const app = await buildApp(config, {
    pool,
    redis,
    admission: openAdmission(redis),
    suspect: () => {},
    metrics: new Registry(),
    clock: openDatabaseClock(pool),
    openings: { count: () => {} },
    logger: pino({ level: 'silent' }),
    isDraining: () => false,
  });
  try {
    await app.ready();
    return app.swagger({ yaml: true });
  } finally {
    await app.close();
    await redis.close();
    await pool.end();
  }
}
