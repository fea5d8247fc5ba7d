import Fastify, { type FastifyInstance } from 'fastify';
import { Redis } from 'ioredis';
import pg from 'pg';

/** What a floor has: a bare server, as many connections to Postgres as the service, and Redis with auto-pipelining. */
export type Floor = { app: FastifyInstance; pool: pg.Pool; redis: Redis };

const connections = 20;

/** Opens what a floor needs, from PORT, DATABASE_URL and REDIS_URL, and listens when `prepare` is done. */
export async function startFloor(prepare: (floor: Floor) => Promise<void>): Promise<void> {
  const { PORT, DATABASE_URL, REDIS_URL = '' } = process.env;
  const app = Fastify();
  const pool = new pg.Pool({ connectionString: DATABASE_URL, max: connections });
  const redis = new Redis(REDIS_URL, { enableAutoPipelining: true });
  app.get('/health', async () => 'ok');
  await prepare({ app, pool, redis });
  await app.listen({ host: '127.0.0.1', port: Number(PORT) });
  process.once('SIGTERM', async () => {
    await app.close();
    redis.disconnect();
    await pool.end();
  });
}

/** Defines a script of Redis, which is sent by its hash from the second time on. */
export function defineScript(
  redis: Redis,
  name: string,
  numberOfKeys: number,
  lua: string,
): (...keysAndArguments: (string | number)[]) => Promise<unknown> {
  redis.defineCommand(name, { numberOfKeys, lua });
  const command = Reflect.get(redis, name) as (...all: (string | number)[]) => Promise<unknown>;
  return (...all) => command.apply(redis, all);
}
