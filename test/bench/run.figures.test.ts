import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Load, openGenerator } from '../../bench/generators/generator.ts';
import { describeMachine } from '../../bench/machine.ts';
import { judge, renderReport } from '../../bench/report.ts';
import { type Figures, figuresOf, resultOf, runScenario } from '../../bench/run.ts';
import { scenarios } from '../../bench/scenarios/index.ts';
import type { Scenario } from '../../bench/scenarios/scenario.ts';
import { median, percentileMs } from '../../bench/statistics.ts';
import { startRedisServer } from '../support/servers.ts';
import { fromRunner } from '../support/service.ts';

const { signal } = new AbortController();
const directory = () => mkdtemp(join(fromRunner('TEST_DIRECTORY'), 'bench-'));
const scenarioCalled = (name: string): Scenario => {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`no scenario is called ${name}`);
  return found;
};

t.test('a median is the middle of the values, whatever their order', async (t) => {
  t.equal(median([9, 1, 5]), 5);
  t.equal(median([10, 2, 9, 3]), 6);
  t.throws(() => median([]));
});

t.test('a percentile is the latency that so many of all requests did not exceed', async (t) => {
  const hundred = Array.from({ length: 100 }, (_, at) => [(100 - at) * 1000, 1] as const);
  t.equal(percentileMs(hundred, 0.5), 50);
  t.equal(percentileMs(hundred, 0.99), 99);
  t.equal(percentileMs([...hundred, [500_000, 100]], 0.5), 100, 'each is counted as often as it was seen');
  t.equal(percentileMs([[1500, 3]], 0.99), 1.5);
  t.throws(() => percentileMs([], 0.5));
});

t.test('a ratio is the median of the ratios of rounds, of what the goal is about', async (t) => {
  const figures = (requestsPerSecond: number, p50Ms: number): Figures => {
    return { requestsPerSecond, p50Ms, p99Ms: 1, cpuMs: { server: null, postgres: null, redis: null } };
  };
  // The machine was twice as fast in the second round, and four times as fast in the third.
  const rounds = [
    { ours: figures(90, 6), floor: figures(100, 3) },
    { ours: figures(240, 4), floor: figures(200, 2) },
    { ours: figures(400, 1), floor: figures(400, 1) },
  ];
  const ofRate = resultOf(scenarioCalled('create-spread'), rounds);
  t.strictSame(ofRate.ratio, { median: 1, lowest: 0.9, highest: 1.2 });
  t.equal(ofRate.ours.requestsPerSecond, 240);
  t.strictSame(resultOf(scenarioCalled('create-alone'), rounds).ratio, { median: 2, lowest: 1, highest: 2 });
  t.equal(judge({ atLeast: 1.2 }, 1.2), 'met');
  t.equal(judge({ atLeast: 1.2 }, 0.9), 'missed by 25 %');
  t.equal(judge({ atMost: 1.25 }, 1.25), 'met');
  t.equal(judge({ atMost: 1.25 }, 2), 'missed by 60 %');
});

t.test('figures are those of right answers alone: a server that refuses is quick', async (t) => {
  const load = { expected: 201 };
  const seen = { statuses: { 201: 50 }, errors: 0, elapsedMs: 500, latencies: [[2000, 50]] as const };
  const before = { server: 1000, postgres: 30, redis: null };
  const after = { server: 1100, postgres: 80, redis: null };
  t.strictSame(figuresOf(load, seen, before, after), {
    ...{ requestsPerSecond: 100, p50Ms: 2, p99Ms: 2 },
    cpuMs: { server: 2, postgres: 1, redis: null },
  });
  t.throws(() => figuresOf(load, { ...seen, statuses: { 201: 50, 503: 1 } }, before, after), /503/);
  t.throws(() => figuresOf(load, { ...seen, errors: 1 }, before, after), /1 requests failed/);
  t.throws(() => figuresOf(load, { ...seen, statuses: {} }, before, after));
});

t.test('a Postgres that answers before a commit is on the disk is refused', async (t) => {
  const { url } = await startRedisServer(t);
  await t.rejects(describeMachine(fromRunner('TEST_POSTGRES_URL'), url, await directory()), /fsync = off/);
});

for (const only of ['wrk', 'autocannon'] as const) {
  const skip = only === 'wrk' && spawnSync('wrk').error !== undefined && 'wrk is not on the PATH';
  t.test(`${only} sends what a load says, and counts every answer`, { skip }, async (t) => {
    const generator = await openGenerator(await directory(), only);
    const received = await startRecorder(t);
    const count = 300;
    const connections = 8;
    const load: Load = {
      requests: Array.from({ length: count }, (_, at) => ({ method: 'POST', path: `/${at}`, body: { at } })),
      ...{ headers: { 'content-type': 'application/json', 'x-of': 'all' }, keyed: true, once: true, expected: 200 },
    };
    const once = await generator.send(received.url, load, connections, 1, signal);
    // The recorder refuses the tenth of all.
    t.strictSame(once.statuses, { 200: count - connections - 1, 409: 1 });
    t.equal(once.errors, 0);
    t.ok(once.elapsedMs > 0 && once.elapsedMs < 10_000);
    t.ok(percentileMs(once.latencies, 0.5) < once.elapsedMs);
    const first = received.requests.slice(0, count - connections);
    t.equal(new Set(first.map(({ path }) => path)).size, first.length, 'none is sent twice');
    t.equal(new Set(first.map(({ key }) => key)).size, first.length, 'each has a key of its own');
    t.ok(first.every(({ path, body, of }) => body === JSON.stringify({ at: Number(path.slice(1)) }) && of === 'all'));

    const before = received.requests.length;
    const clicks: Load = {
      requests: [{ method: 'GET', path: '/a' }],
      ...{ headers: {}, keyed: false, once: false },
      expected: 200,
    };
    const again = await generator.send(received.url, clicks, connections, 1, signal);
    const sent = received.requests.slice(before);
    t.ok(sent.every(({ path, key, body }) => path === '/a' && key === undefined && body === ''));
    const answered = again.statuses['200'] ?? 0;
    t.equal(
      again.latencies.reduce((sum, [, seen]) => sum + seen, 0),
      answered,
      'each has one latency',
    );
    t.ok(answered > connections && answered <= sent.length && answered >= sent.length - connections, 'all are counted');
    t.ok(again.elapsedMs > 800 && again.elapsedMs < 3000, 'for as long as it was told to');
  });
}

t.test('a scenario runs on the service and its floor, and gives figures of both', async (t) => {
  const { url: redisUrl } = await startRedisServer(t);
  const bench = {
    ...{ postgresUrl: fromRunner('TEST_POSTGRES_URL'), redisUrl, serviceDirectory: fromRunner('TEST_COMPILED') },
    ...{ generator: await openGenerator(await directory()), directory: await directory(), signal, print: () => {} },
    ...{ rounds: 1, seconds: 1, warmUpSeconds: 0, oncePerSecond: 100 },
  };
  const results = [];
  for (const name of ['create-spread', 'complete']) {
    // A busy machine has a service that is asked by many refuse some.
    results.push(await runScenario(bench, { ...scenarioCalled(name), connections: 8 }));
  }
  for (const { ours, floor, ratio } of results) {
    for (const { requestsPerSecond, p50Ms, p99Ms, cpuMs } of [ours, floor]) {
      t.ok(requestsPerSecond > 1 && p50Ms > 0 && p99Ms >= p50Ms);
      if (process.platform === 'linux') t.ok(Object.values(cpuMs).every((value) => value !== null && value >= 0));
    }
    t.equal(ratio.median, ours.requestsPerSecond / floor.requestsPerSecond);
  }
  const report = renderReport({ machine: [['processor', 'a fast one']], how: '' }, results);
  t.match(report, /^\| create-spread \| .* \| script-and-insert \| .* \| ≥ 1\.2 \| (met|missed by \d+ %) \|$/m);
  t.match(report, /^\| \*transaction\* \| [\d,]+ \| /m);
});

/** A server that keeps what it gets and answers 200, but to the tenth request 409, and to each hundredth much later. */
async function startRecorder(t: Test) {
  const requests: { path: string; key: unknown; of: unknown; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      requests.push({
        path: request.url ?? '',
        key: request.headers['idempotency-key'],
        of: request.headers['x-of'],
        body,
      });
      response.statusCode = requests.length === 10 ? 409 : 200;
      setTimeout(() => response.end('some text'), requests.length % 100 === 0 ? 100 : 0);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, requests };
}
