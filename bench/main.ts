import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { startPostgres, startRedis } from '../src/dev/services.ts';
import { openGenerator } from './generators/generator.ts';
import { describeCommit, describeMachine } from './machine.ts';
import { renderLine, renderReport } from './report.ts';
import { type Bench, type Result, runScenario } from './run.ts';
import { renderScale } from './scale/report.ts';
import { runScale } from './scale/run.ts';
import { scenarios } from './scenarios/index.ts';

/*
 * npm run bench [-- scenario…] [--rounds=N] [--seconds=N]
 * npm run bench -- scale [--baskets=N] [--rounds=N] [--seconds=N]
 *
 * Starts Postgres and Redis, compiles the service, and runs each scenario on it and on its floor in turn. A run of all
 * scenarios writes bench/results.md; what becomes of it with a million live baskets, bench/results-of-scale.md.
 */

const project = fileURLToPath(new URL('..', import.meta.url));
const resultsFile = fileURLToPath(new URL('results.md', import.meta.url));
const scaleFile = fileURLToPath(new URL('results-of-scale.md', import.meta.url));
/** A server's first thousands of requests are slower than all that follow. */
const warmUpSeconds = 2;
/** What a quick machine would do in a second is not needed: such loads end when they are used up. */
const oncePerSecond = 500;
/** With how many live baskets the service is compared with itself. */
const scale = 'scale';
const fewBaskets = 1000;
const manyBaskets = 1_000_000;
const defaults = { rounds: 5, seconds: 3, baskets: manyBaskets };
/** A whole run with the defaults takes some seven minutes on two cores, and scale as long. */
const limitMs = 10 * 60_000;

async function main(signal: AbortSignal): Promise<void> {
  const { rounds, seconds, baskets, names } = readArguments();
  const print = (line: string) => void process.stdout.write(`${line}\n`);
  print('Compiling the service…');
  await promisify(execFile)('npm', ['run', 'build'], { cwd: project, signal });

  await mkdir(join(project, '.data'), { recursive: true });
  const directory = await mkdtemp(join(project, '.data/bench-'));
  // As root, Postgres is run as nobody, who must get in.
  await chmod(directory, 0o755);
  const opened: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true })];
  try {
    const dataDirectory = join(directory, 'postgres');
    const postgres = await startPostgres({ dataDirectory, durable: true });
    opened.push(postgres.stop);
    const redis = await startRedis({ dataDirectory: directory, persist: false });
    opened.push(redis.stop);
    if (redis.kind === 'js-redis-server')
      throw new Error('The bench needs a redis-server or valkey-server on the PATH.');
    const generator = await openGenerator(directory);
    const bench: Bench = {
      ...{ postgresUrl: postgres.url, redisUrl: redis.url, generator, serviceDirectory: project, directory },
      ...{ rounds, seconds, warmUpSeconds: Math.min(seconds, warmUpSeconds), oncePerSecond, signal, print },
    };
    const day = new Date().toISOString().slice(0, 10);
    const circumstances = {
      machine: await describeMachine(postgres.url, redis.url, directory),
      how:
        `${day}, commit ${await describeCommit(project)}: medians of ${rounds} rounds of ${seconds} s, ` +
        `over 64 connections unless said, sent by ${generator.description}.`,
    };
    const keep = async (report: string, file: string | null) => {
      if (file !== null) await writeFile(file, report);
      print(`\n${report}`);
    };
    if (names.includes(scale)) {
      const result = await runScale(bench, { few: fewBaskets, many: baskets });
      await keep(renderScale(circumstances, result), baskets === manyBaskets ? scaleFile : null);
      return;
    }
    const chosen = scenarios.filter(({ name }) => names.length === 0 || names.includes(name));
    const results: Result[] = [];
    for (const scenario of chosen) {
      const result = await runScenario(bench, scenario);
      results.push(result);
      print(renderLine(result));
    }
    await keep(renderReport(circumstances, results), chosen.length === scenarios.length ? resultsFile : null);
  } finally {
    for (const close of opened.reverse()) await close();
  }
}

function readArguments(): Record<keyof typeof defaults, number> & { names: string[] } {
  const { values, positionals } = parseArgs({
    options: { rounds: { type: 'string' }, seconds: { type: 'string' }, baskets: { type: 'string' } },
    allowPositionals: true,
  });
  const known = scenarios.map(({ name }) => name);
  const alone = positionals.length === 1 && positionals[0] === scale;
  const unknown = alone ? [] : positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new Error(
      `No scenario is called ${unknown.join(', ')}: there are ${known.join(', ')}, and ${scale} by itself.`,
    );
  }
  const read = (name: keyof typeof defaults) => {
    const value = Number(values[name] ?? defaults[name]);
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} is a whole number from 1 on.`);
    return value;
  };
  return { rounds: read('rounds'), seconds: read('seconds'), baskets: read('baskets'), names: positionals };
}

const broken = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => broken.abort(new Error('The bench was broken off.')));
}
const tooLate = setTimeout(() => broken.abort(new Error(`It took longer than ${limitMs / 60_000} minutes.`)), limitMs);
try {
  await main(broken.signal);
} catch (error) {
  // Whatever is aborted says only that it was.
  const reason: unknown = broken.signal.aborted ? broken.signal.reason : error;
  process.stderr.write(`${reason instanceof Error ? reason.message : String(reason)}\n`);
  process.exitCode = 1;
} finally {
  clearTimeout(tooLate);
}
