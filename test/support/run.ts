import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build, type OnResolveArgs, type OnResolveResult } from 'esbuild';
import pg from 'pg';
import { type RedisKind, startPostgres, startRedis } from '../../src/dev/services.ts';
import { migrate } from '../../src/platform/migrations.ts';
import { startPgBouncer } from './pgbouncer.ts';
import { startRedisCluster } from './redis-cluster.ts';
import { copyPostgres, makePostgres } from './stopped-postgres.ts';
import { type Judgement, judge, keepStatements, keptStatements, recording, tenantTablesOf } from './tenancy.ts';

/*
 * npm test [-- file patterns]
 * npm run test:faults [-- file patterns]
 *
 * Starts one Postgres and one Redis for all test files, migrates a template database that each test clones, runs tap and
 * says what could not be run. At the end it asks Postgres for every statement that the service sent, and fails when one
 * reaches a tenant's table without naming the shop (tenancy.ts). With `--faults` it runs the files that the other leaves
 * out because they take minutes.
 * TEST_DATABASE_URL names a Postgres to use instead of the embedded one (a superuser's URL), TEST_REDIS_KIND asks for
 * redis-server, valkey-server or js-redis-server. TEST_PGBOUNCER=1 puts PgBouncer between the services under test and
 * Postgres; TEST_REDIS_CLUSTER=1 gives them a Redis Cluster.
 */

const project = fileURLToPath(new URL('../..', import.meta.url));
const slowFiles = 'test/faults/slow.*.test.ts';
const isSlow = process.argv[2] === '--faults';
const onPgBouncer = process.env.TEST_PGBOUNCER === '1';
const onRedisCluster = process.env.TEST_REDIS_CLUSTER === '1';
const reportName = isSlow ? 'faults' : onPgBouncer ? 'pgbouncer' : onRedisCluster ? 'cluster' : 'report';
const reportFile = join(project, `.tap/${reportName}.tap`);
const tapProgram = join(project, 'node_modules/.bin/tap');
const patterns = process.argv.slice(isSlow ? 3 : 2);
/** One more than the two cores of the smallest machine: what a test waits for leaves gaps in what it computes. */
const tapArguments = [
  '--jobs=3',
  ...(isSlow
    ? ['--timeout=900', ...(patterns.length === 0 ? [slowFiles] : patterns)]
    : [`--exclude=${slowFiles}`, ...patterns]),
];
const redisKinds: readonly RedisKind[] = ['redis-server', 'valkey-server', 'js-redis-server'];

let interrupted = false;
let tap: ChildProcess | null = null;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    interrupted = true;
    tap?.kill(signal);
  });
}

const wantedRedis = redisKinds.find((kind) => kind === process.env.TEST_REDIS_KIND);
if (wantedRedis === undefined && process.env.TEST_REDIS_KIND) {
  throw new Error(`TEST_REDIS_KIND is none of ${redisKinds.join(', ')}.`);
}
const directory = await mkdtemp(join(await quickestDirectory(), 'basketlink-test-'));
/** Below the checkout, so that what is compiled finds its packages. */
const compiled = join(project, `.tap/compiled/${process.pid}`);
process.on('exit', () => {
  for (const path of [directory, compiled]) rmSync(path, { recursive: true, force: true });
});
// As root, Postgres is run as nobody, who must get in.
await chmod(directory, 0o755);
const template = `basketlink_template_${randomBytes(6).toString('hex')}`;
/** The role of the tests, by which what they send is told apart from what the service sends. */
const tester = `basketlink_tester_${randomBytes(6).toString('hex')}`;
const testerPassword = randomBytes(16).toString('hex');
const given = process.env.TEST_DATABASE_URL;
const stoppedPostgres = join(directory, 'stopped');
await makePostgres(stoppedPostgres);
const [postgres, redis] = await Promise.all([
  given === undefined ? startShared() : null,
  startRedis({ dataDirectory: null, persist: false, only: wantedRedis }),
  buildTap(),
  compile(),
]);
const postgresUrl = postgres?.url ?? given ?? '';
const pgBouncer = onPgBouncer ? await startPgBouncer(directory, postgresUrl) : null;
if (onPgBouncer && pgBouncer === null) throw new Error('TEST_PGBOUNCER=1: there is no pgbouncer.');
const cluster = onRedisCluster ? await startRedisCluster(directory) : null;
try {
  process.exitCode = await runTests();
} finally {
  await cluster?.stop();
  await pgBouncer?.stop();
  if (postgres === null) {
    await administer(`DROP DATABASE IF EXISTS ${template} WITH (FORCE)`);
    await administer(`DROP ROLE IF EXISTS ${tester}`);
  }
  await Promise.all([postgres?.stop(), redis.stop()]);
}

/** Every test clones a database of some 8 MB: 20 ms in memory, up to 400 ms on the disk of a small machine. */
async function quickestDirectory(): Promise<string> {
  const memory = await statfs('/dev/shm').catch(() => null);
  return memory !== null && memory.bavail * memory.bsize > 2 ** 30 ? '/dev/shm' : tmpdir();
}

async function startShared() {
  const dataDirectory = join(directory, 'postgres');
  await copyPostgres(stoppedPostgres, dataDirectory);
  return startPostgres({ dataDirectory, durable: false, settings: recording });
}

async function runTests(): Promise<number> {
  await administer(`CREATE DATABASE ${template}`);
  const templateUrl = new URL(postgresUrl);
  templateUrl.pathname = `/${template}`;
  await administer(`CREATE ROLE ${tester} SUPERUSER LOGIN PASSWORD '${testerPassword}'`);
  const testerUrl = new URL(postgresUrl);
  testerUrl.username = tester;
  testerUrl.password = testerPassword;
  const since = postgres && (await asAdministrator(keepStatements));
  await migrate(templateUrl.href);
  const tenantTables = await asAdministrator(tenantTablesOf, templateUrl.href);
  // A database that somebody is connected to cannot be cloned.
  await administer(`ALTER DATABASE ${template} WITH ALLOW_CONNECTIONS false`);
  await mkdir(join(project, '.tap'), { recursive: true });
  await rm(reportFile, { force: true });
  if (interrupted) return 1;

  // Tap's short reporters keep what a file wrote to stderr to themselves, such as why it could not be loaded.
  const isTerminal = process.stdout.isTTY;
  const output = isTerminal ? `--output-file=${reportFile}` : '--reporter=tap';
  const child = spawn(tapProgram, ['run', output, ...tapArguments], {
    cwd: project,
    stdio: ['inherit', isTerminal ? 'inherit' : 'pipe', 'inherit'],
    env: {
      ...process.env,
      TEST_POSTGRES_URL: postgresUrl,
      TEST_TESTER_URL: testerUrl.href,
      TEST_TEMPLATE_DATABASE: template,
      TEST_REDIS_URL: cluster?.url ?? redis.url,
      TEST_PLAIN_REDIS_URL: redis.url,
      TEST_REDIS_KIND: redis.kind,
      // Where servers that a test starts for itself keep their data.
      TEST_DIRECTORY: directory,
      TEST_STOPPED_POSTGRES: stoppedPostgres,
      TEST_COMPILED: compiled,
      ...(pgBouncer === null ? {} : { TEST_PGBOUNCER_URL: pgBouncer.url }),
    },
  });
  tap = child;
  const ended = once(child, 'close');
  if (child.stdout !== null) {
    createInterface(child.stdout).on('line', shortened());
    await pipeline(child.stdout, createWriteStream(reportFile));
  }
  const [code] = (await ended) as [number | null];
  let report = existsSync(reportFile) ? readFileSync(reportFile, 'utf8') : '';
  if (countResults(report).passed + countResults(report).failed === 0) {
    process.stdout.write('\nNo test was run.\n');
    return 1;
  }
  if (since !== null && !interrupted) {
    const statements = await asAdministrator((client) => keptStatements(client, since, tester));
    const result = describeTenancy(await judge(statements, tenantTables));
    process.stdout.write(`${result.startsWith('ok ') ? result.split('\n', 1)[0] : result}\n`);
    report = withResult(report, result);
    await writeFile(reportFile, report);
  }
  const counts = countResults(report);
  process.stdout.write(`\n${interrupted ? 'Interrupted.' : describeGaps(report)}\n${describeCounts(counts)}\n`);
  return code === 0 && counts.failed > 0 ? 1 : (code ?? 1);
}

/** Prints of a TAP stream one line a file, and in full what failed. */
function shortened(): (line: string) => void {
  let inFailure = false;
  return (line) => {
    const failed = /^ *not ok /.test(line);
    if (failed || inFailure || /^ok /.test(line)) process.stdout.write(`${line}\n`);
    // Whatever holds a failed assertion has failed too, and carries its duration: it has nothing to add.
    if (failed) inFailure = !line.includes(' # time=');
    else if (/^ *\.\.\.$/.test(line)) inFailure = false;
  };
}

/**
 * The first run of tap after an installation rebuilds it for the plugins that .taprc names, but then still runs with the
 * ones before, which cannot load a test file of this project.
 */
async function buildTap(): Promise<void> {
  const built = await stat(join(project, 'node_modules/@tapjs/test/test-built/dist/esm/index.js'));
  const installed = await stat(join(project, 'node_modules/.package-lock.json'));
  if (built.mtimeMs < installed.mtimeMs) await promisify(execFile)(tapProgram, ['build'], { cwd: project });
}

/**
 * Compiles the project's TypeScript twice, without looking at its types, which `npm run check` does: each file for
 * loader/load.js, which keeps the names of the sources, and the service as `npm run build` does, for the tests that start
 * it as a process.
 */
async function compile(): Promise<void> {
  const options = { format: 'esm', target: 'node20', logLevel: 'warning' } as const;
  // As if they were put beside their sources, where their source maps look for these.
  const { outputFiles } = await build({
    ...options,
    entryPoints: ['src', 'test', 'bench'].flatMap(sourcesIn),
    outbase: project,
    outdir: project,
    write: false,
    sourcemap: 'inline',
    sourcesContent: false,
  });
  for (const { path, contents } of outputFiles) {
    const file = join(compiled, 'modules', relative(project, path));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, contents);
  }
  await build({
    ...options,
    entryPoints: sourcesIn('src'),
    outbase: join(project, 'src'),
    outdir: join(compiled, 'dist'),
    // Nothing is put together: only so can esbuild be told to change the names of imported files.
    bundle: true,
    packages: 'external',
    plugins: [{ name: 'extensions', setup: ({ onResolve }) => onResolve({ filter: /^\.{1,2}\// }, importCompiled) }],
  });
  for (const room of ['holds', 'platform']) {
    cpSync(join(project, `src/${room}/scripts`), join(compiled, `dist/${room}/scripts`), { recursive: true });
  }
  for (const name of ['migrations', 'package.json']) {
    cpSync(join(project, name), join(compiled, name), { recursive: true });
  }
}

function sourcesIn(folder: string): string[] {
  const names = readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.ts')).map((name) => join(project, folder, name));
}

function importCompiled({ path }: OnResolveArgs): OnResolveResult {
  return { path: path.replace(/\.ts$/, '.js'), external: true };
}

type Counts = { passed: number; failed: number; skipped: number };

/** The totals that tap puts at the end of its report, in assertions: `# { total: 9, pass: 7, fail: 1, skip: 1 }`. */
function countResults(report: string): Counts {
  const totals = /^# \{ total: .*\}$/m.exec(report)?.[0] ?? '';
  const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(totals)?.[1] ?? 0);
  return { passed: count('pass'), failed: count('fail'), skipped: count('skip') };
}

/** As a line of TAP with comments: those that work across shops, and those that reach a tenant's table some other way. */
function describeTenancy(judged: readonly Judgement[]): string {
  const broken = judged.filter(({ complaints }) => complaints.length > 0);
  const across = judged.flatMap(({ across }) => across ?? []);
  const says = `${judged.length - broken.length - across.length} name the shop, ${across.length} say why not`;
  return [
    `${broken.length === 0 ? 'ok' : 'not ok'} - of all statements that reach a tenant’s table ${says}`,
    ...across.map((why) => `across shops: ${why}`),
    ...broken.flatMap(({ statement, complaints }) => ['', ...complaints, ...statement.split('\n')]),
    ...(broken.length > 0 ? ['', 'One that must work across shops says why: SELECT /* across shops: <why> */ …'] : []),
  ].join('\n# ');
}

/** A report with one more result. */
function withResult(report: string, result: string): string {
  const { passed, failed, skipped } = countResults(report);
  const isGood = result.startsWith('ok ');
  const totals = { pass: passed + (isGood ? 1 : 0), fail: failed + (isGood ? 0 : 1), skip: skipped };
  const counted = Object.entries(totals).filter(([, count]) => count > 0);
  const total = passed + failed + skipped + 1;
  return report
    .replace(/^1\.\.(\d+)$/m, (_, planned) => `1..${Number(planned) + 1}`)
    .replace(/^# \{ total: .*\}$/m, () =>
      [result, `# { total: ${total}, ${counted.map(([name, count]) => `${name}: ${count}`).join(', ')} }`].join('\n'),
    );
}

function describeCounts({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

function describeGaps(report: string): string {
  const gaps = [...report.matchAll(/^ *ok \d+ - (.*?) # SKIP ?(.*)$/gm)].map(
    ([, name = '', reason]) => `${reason || 'no reason given'} (${name})`,
  );
  if (postgres === null) gaps.unshift('whether each statement names its shop: only the embedded Postgres is asked');
  if (redis.kind === 'js-redis-server') {
    const reason = wantedRedis === undefined ? 'no redis-server or valkey-server is on the PATH' : 'it was asked for';
    gaps.unshift(`anything on a real Redis: js-redis-server stood in because ${reason}`);
  }
  if (gaps.length === 0) return patterns.length === 0 ? 'Everything was run.' : 'Everything asked for was run.';
  return ['Not run on this machine:', ...new Set(gaps)].join('\n  - ');
}

async function administer(statement: string): Promise<void> {
  await asAdministrator((client) => client.query(statement));
}

async function asAdministrator<T>(work: (client: pg.Client) => Promise<T>, url = postgresUrl): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
