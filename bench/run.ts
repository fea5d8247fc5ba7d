import pg from 'pg';
import { cpuMsOf } from './cpu.ts';
import type { Generator, Load, Seen } from './generators/generator.ts';
import { type Server, startFloor, startService } from './processes.ts';
import { manyConnections, type Scenario } from './scenarios/scenario.ts';
import { openShop } from './scenarios/shop.ts';
import { asRedis, createDatabase, infoOfRedis, pidOfPostgres } from './servers.ts';
import { median, percentileMs } from './statistics.ts';

/** What a bench runs with. Postgres and Redis are its own: it makes and drops databases, and empties Redis. */
export type Bench = {
  postgresUrl: string;
  redisUrl: string;
  generator: Generator;
  /** Where the service is, compiled. */
  serviceDirectory: string;
  /** For logs. */
  directory: string;
  rounds: number;
  /** How long a load lasts, and for how long both sides are warmed up; 0: not at all. */
  seconds: number;
  warmUpSeconds: number;
  /** How many requests are made for a second of load, where each can be sent only once. */
  oncePerSecond: number;
  /** Breaks everything off. */
  signal: AbortSignal;
  print: (line: string) => void;
};

/** CPU time of a request in milliseconds: null where the system does not say. */
export type CpuMs = { server: number | null; postgres: number | null; redis: number | null };

/** What one side gave: of one round, or as a median over rounds, each figure by itself. */
export type Figures = { requestsPerSecond: number; p50Ms: number; p99Ms: number; cpuMs: CpuMs };

type Round = { ours: Figures; floor: Figures };

/**
 * `median` is that of the ratios of all rounds, in which both sides ran one right after the other, `lowest` and `highest`
 * are the ends of these.
 */
export type Ratio = { median: number; lowest: number; highest: number };

/** What came of a scenario. The ratio is of what the goal is about, or else of requests a second. */
export type Result = Round & { scenario: Scenario; ratio: Ratio };

/**
 * Runs a scenario on a new database, an empty Redis and newly started servers: both sides are warmed up, and then take
 * turns, the one that begins changing from round to round. Throws when an answer is not the expected one, and when the
 * bench is broken off.
 */
export async function runScenario(bench: Bench, scenario: Scenario): Promise<Result> {
  const { postgresUrl, redisUrl, signal } = bench;
  const opened: (() => Promise<unknown>)[] = [];
  try {
    await asRedis(redisUrl, (redis) => redis.flushall());
    const { url: databaseUrl, drop } = await createDatabase(postgresUrl);
    opened.push(drop);
    const around = { databaseUrl, redisUrl, directory: bench.directory, signal };
    const service = await startService(bench.serviceDirectory, around);
    opened.push(service.stop);
    const floor = await startFloor(scenario.floor, around);
    opened.push(floor.stop);
    const shop = await openShop(service.url, signal);
    opened.push(shop.close);
    const database = new pg.Client({ connectionString: databaseUrl });
    await database.connect();
    opened.push(() => database.end());

    const pids = {
      postgres: await pidOfPostgres(postgresUrl),
      redis: Number(await infoOfRedis(redisUrl, 'process_id')),
    };
    const measure = async (
      server: Server,
      loadFor: (count: number) => Promise<Load>,
      seconds: number,
      connections = scenario.connections,
    ) => {
      const load = await loadFor(seconds * bench.oncePerSecond + connections);
      return measureLoad(bench, { server, ...pids }, load, connections, seconds);
    };
    const measureOurs = (seconds: number, connections?: number) =>
      measure(service, (count) => scenario.ours(shop, count), seconds, connections);
    const measureFloor = (seconds: number, connections?: number) =>
      measure(floor, (count) => scenario.floors(shop, count, database), seconds, connections);

    if (bench.warmUpSeconds > 0) {
      await measureOurs(bench.warmUpSeconds, manyConnections);
      await measureFloor(bench.warmUpSeconds, manyConnections);
    }
    const rounds: Round[] = [];
    for (let round = 1; round <= bench.rounds; round += 1) {
      const oursFirst = round % 2 === 1 ? await measureOurs(bench.seconds) : null;
      const floor = await measureFloor(bench.seconds);
      const ours = oursFirst ?? (await measureOurs(bench.seconds));
      rounds.push({ ours, floor });
      bench.print(`${scenario.name} ${round}/${bench.rounds}: ${inShort(ours)}, ${scenario.floor} ${inShort(floor)}`);
    }
    return resultOf(scenario, rounds);
  } catch (error) {
    throw new Error(`${scenario.name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    for (const close of opened.reverse()) await close();
  }
}

/** Sends a load to a server and gives the figures. Throws as figuresOf does, and when the bench is broken off. */
export async function measureLoad(
  { generator, signal }: Pick<Bench, 'generator' | 'signal'>,
  { server, postgres, redis }: { server: Server; postgres: number; redis: number },
  load: Load,
  connections: number,
  seconds: number,
): Promise<Figures> {
  signal.throwIfAborted();
  const before = cpuOf({ server: server.pid, postgres, redis });
  const seen = await generator.send(server.url, load, connections, seconds, signal);
  return figuresOf(load, seen, before, cpuOf({ server: server.pid, postgres, redis }));
}

/**
 * The figures of one load, with the CPU time that was used before and after it. Throws when an answer was not the
 * expected one, or did not come: a server that refuses is quick.
 */
export function figuresOf(load: Pick<Load, 'expected'>, seen: Seen, before: CpuMs, after: CpuMs): Figures {
  const { [load.expected]: answered = 0, ...others } = seen.statuses;
  if (answered === 0 || seen.errors > 0 || Object.keys(others).length > 0) {
    const statuses = JSON.stringify(seen.statuses);
    throw new Error(`not every answer was ${load.expected}: ${statuses}, and ${seen.errors} requests failed`);
  }
  const perRequest = (name: keyof CpuMs) => {
    const [from, to] = [before[name], after[name]];
    return from === null || to === null ? null : (to - from) / answered;
  };
  return {
    requestsPerSecond: answered / (seen.elapsedMs / 1000),
    p50Ms: percentileMs(seen.latencies, 0.5),
    p99Ms: percentileMs(seen.latencies, 0.99),
    cpuMs: { server: perRequest('server'), postgres: perRequest('postgres'), redis: perRequest('redis') },
  };
}

/** Sums up the rounds of a scenario, of which there is one at least. */
export function resultOf(scenario: Scenario, rounds: readonly Round[]): Result {
  const figure = scenario.goal?.of === 'p50' ? 'p50Ms' : 'requestsPerSecond';
  return {
    scenario,
    ours: medians(rounds.map(({ ours }) => ours)),
    floor: medians(rounds.map(({ floor }) => floor)),
    ratio: ratioOf(rounds.map(({ ours, floor }) => ours[figure] / floor[figure])),
  };
}

/** Sums up the ratios of all rounds. */
export function ratioOf(ratios: readonly number[]): Ratio {
  return { median: median(ratios), lowest: Math.min(...ratios), highest: Math.max(...ratios) };
}

function cpuOf(pids: Record<keyof CpuMs, number>): CpuMs {
  return { server: cpuMsOf(pids.server), postgres: cpuMsOf(pids.postgres), redis: cpuMsOf(pids.redis) };
}

/** Each figure's median by itself. */
export function medians(all: readonly Figures[]): Figures {
  const of = (value: (figures: Figures) => number) => median(all.map(value));
  const ofCpu = (name: keyof CpuMs) => {
    const known = all.map(({ cpuMs }) => cpuMs[name]).filter((value) => value !== null);
    return known.length === 0 ? null : median(known);
  };
  return {
    requestsPerSecond: of(({ requestsPerSecond }) => requestsPerSecond),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
    cpuMs: { server: ofCpu('server'), postgres: ofCpu('postgres'), redis: ofCpu('redis') },
  };
}

function inShort({ requestsPerSecond, p50Ms }: Figures): string {
  return `${Math.round(requestsPerSecond)}/s (p50 ${p50Ms.toFixed(2)} ms)`;
}
