import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { startRedis } from '../../src/dev/services.ts';
import { checkEpoch, holdMetrics, openAdmission } from '../../src/holds/index.ts';
import { openLogger } from '../../src/platform/logger.ts';
import { openPostgres } from '../../src/platform/postgres.ts';
import { openRedis } from '../../src/platform/redis.ts';
import type { Load } from '../generators/generator.ts';
import { type Server, startService } from '../processes.ts';
import { type Bench, type Figures, measureLoad, medians, type Ratio, ratioOf } from '../run.ts';
import { createSpread } from '../scenarios/create.ts';
import { clicks } from '../scenarios/hand-over.ts';
import { manyConnections } from '../scenarios/scenario.ts';
import { openShop, type Shop } from '../scenarios/shop.ts';
import { asPostgres, asRedis, createDatabase, infoOfRedis, memoryOfRedis, pidOfPostgres } from '../servers.ts';
import { addCrowd, someOf } from './crowd.ts';
import { type Size, sizesOf } from './sizes.ts';

type ScaleBench = Omit<Bench, 'redisUrl' | 'oncePerSecond'>;

/** The loads, in the order in which they are sent. */
const loadNames = ['create', 'click'] as const;
type LoadName = (typeof loadNames)[number];
type FiguresOfLoads = Record<LoadName, Figures>;

/** How a load goes with many live baskets, and with few. The ratio is of requests a second. */
type LoadAtScale = { name: LoadName; few: Figures; many: Figures; ratio: Ratio };

/** What came of it; all but the loads are of many baskets, which the crowd is and Redis was built from. */
export type ScaleResult = {
  few: number;
  many: number;
  loads: LoadAtScale[];
  redisBytesPerBasket: number;
  rebuildMs: number;
  sizes: Size[];
};

/** Of how many baskets the links are clicked. */
const clickedBaskets = 1000;
const askAgainMs = 20;
const rebuildAttempts = 5;

/**
 * Makes two databases, with few live baskets and with many, each with a Redis that is built from it, and measures what they
 * take. Then the service is started on one after the other, round by round, and creates and clicks. Throws as runScenario
 * does.
 */
export async function runScale(
  bench: ScaleBench,
  { few, many }: Pick<ScaleResult, 'few' | 'many'>,
): Promise<ScaleResult> {
  const opened: (() => Promise<unknown>)[] = [];
  try {
    const atFew = await populate(bench, few, opened);
    const atMany = await populate(bench, many, opened);
    const rounds: { few: FiguresOfLoads; many: FiguresOfLoads }[] = [];
    for (let round = 1; round <= bench.rounds; round += 1) {
      const fewFirst = round % 2 === 1 ? await measureAt(bench, atFew) : null;
      const many = await measureAt(bench, atMany);
      const few = fewFirst ?? (await measureAt(bench, atFew));
      rounds.push({ few, many });
      const perSecond = ({ create, click }: FiguresOfLoads) =>
        `create ${Math.round(create.requestsPerSecond)}/s, click ${Math.round(click.requestsPerSecond)}/s`;
      bench.print(`${round}/${bench.rounds}: with few ${perSecond(few)}; with many ${perSecond(many)}`);
    }
    const loads = loadNames.map((name) => ({
      name,
      few: medians(rounds.map(({ few }) => few[name])),
      many: medians(rounds.map(({ many }) => many[name])),
      ratio: ratioOf(rounds.map(({ few, many }) => many[name].requestsPerSecond / few[name].requestsPerSecond)),
    }));
    const { redisBytes, rebuildMs, sizes } = atMany;
    return { few, many, loads, redisBytesPerBasket: redisBytes / many, rebuildMs, sizes };
  } finally {
    for (const close of opened.reverse()) await close();
  }
}

type Addresses = { databaseUrl: string; redisUrl: string };

/** A database with live baskets and the Redis that was built from it, at which no service is. */
type Populated = Addresses & {
  redisBytes: number;
  rebuildMs: number;
  sizes: Size[];
  /** Of links to baskets all over the table, without the origin. */
  linkPaths: string[];
};

async function populate(bench: ScaleBench, count: number, opened: (() => Promise<unknown>)[]): Promise<Populated> {
  const redisDirectory = join(bench.directory, `redis-${count}`);
  await mkdir(redisDirectory);
  const redis = await startRedis({ dataDirectory: redisDirectory, persist: false });
  opened.push(redis.stop);
  const { url: databaseUrl, drop } = await createDatabase(bench.postgresUrl);
  opened.push(drop);
  const at = { databaseUrl, redisUrl: redis.url };
  const templateId = await withService(
    bench,
    at,
    async (_, shop) => (await shop.createBaskets(1, 'same'))[0]?.id ?? '',
  );
  const { sizes, clickedIds } = await asPostgres(databaseUrl, async (database) => {
    await addCrowd(database, templateId, count, (made) => {
      bench.signal.throwIfAborted();
      if (made > 0) bench.print(`${made} of ${count} baskets`);
    });
    return { sizes: await sizesOf(database, count), clickedIds: await someOf(database, clickedBaskets) };
  });
  const { redisBytes, rebuildMs } = await buildRedis(at);
  bench.print(`Redis was built of ${count} baskets in ${Math.round(rebuildMs)} ms.`);
  const linkPaths = await withService(bench, at, (_, shop) => shop.link(clickedIds));
  return { ...at, redisBytes, rebuildMs, sizes, linkPaths };
}

/** Has Redis built anew from Postgres, as it is when it has been lost: by one replica, at which nothing else is done. */
async function buildRedis({ databaseUrl, redisUrl }: Addresses): Promise<{ redisBytes: number; rebuildMs: number }> {
  await asRedis(redisUrl, (redis) => redis.flushall());
  const emptyBytes = await memoryOfRedis(redisUrl);
  const pool = openPostgres(databaseUrl, () => {});
  const redis = openRedis(redisUrl, '', () => {});
  try {
    while (!(await redis.ping())) await delay(askAgainMs);
    const logger = openLogger('silent');
    const deps = { pool, admission: openAdmission(redis), logger, metrics: holdMetrics(new Registry()) };
    // As the service does: on a busy machine Redis may not answer in time once, and it begins again.
    for (let attempt = 1; ; attempt += 1) {
      const startedAtMs = performance.now();
      const found = await checkEpoch(deps);
      const rebuildMs = performance.now() - startedAtMs;
      if (found === 'rebuilt') return { redisBytes: (await memoryOfRedis(redisUrl)) - emptyBytes, rebuildMs };
      if (attempt === rebuildAttempts) throw new Error(`Redis could not be built: ${found}`);
    }
  } finally {
    await redis.close();
    await pool.end();
  }
}

async function measureAt(bench: ScaleBench, at: Populated): Promise<FiguresOfLoads> {
  const pids = {
    postgres: await pidOfPostgres(bench.postgresUrl),
    redis: Number(await infoOfRedis(at.redisUrl, 'process_id')),
  };
  return withService(bench, at, async (server, shop) => {
    const loads = { create: await createSpread(shop), click: clicks(at.linkPaths, 303) };
    const measure = (load: Load, seconds: number) =>
      measureLoad(bench, { server, ...pids }, load, manyConnections, seconds);
    for (const name of bench.warmUpSeconds > 0 ? loadNames : []) await measure(loads[name], bench.warmUpSeconds);
    return { create: await measure(loads.create, bench.seconds), click: await measure(loads.click, bench.seconds) };
  });
}

/** Does it with a service that is started for it, so that what it does in the background disturbs nobody else. */
async function withService<T>(
  { serviceDirectory, directory, signal }: ScaleBench,
  at: Addresses,
  work: (server: Server, shop: Shop) => Promise<T>,
): Promise<T> {
  const server = await startService(serviceDirectory, { ...at, directory, signal });
  try {
    const shop = await openShop(server.url, signal);
    try {
      return await work(server, shop);
    } finally {
      await shop.close();
    }
  } finally {
    await server.stop();
  }
}
