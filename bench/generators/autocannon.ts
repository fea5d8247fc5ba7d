import { readFileSync } from 'node:fs';
import autocannon from 'autocannon';

/*
 * Does with autocannon, in a process of its own, what wrk.lua does with wrk: the arguments are the address, the number of
 * connections, the seconds, and those of wrk.lua. Latencies are kept here, since autocannon rounds its own to
 * milliseconds.
 */

const [url = '', connections, seconds, file = '', prefix = '-', limit] = process.argv.slice(2);
const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
const headEnd = lines.indexOf('');
const common = Object.fromEntries(lines.slice(0, headEnd).map((line) => line.split(/: (.*)/s).slice(0, 2)));
const requests = lines.slice(headEnd + 1).map((line): autocannon.Request => {
  const [method, path = '', body] = line.split('\t');
  return { method: method === 'GET' ? 'GET' : 'POST', path, ...(body ? { body } : {}) };
});
const answersToCount = Number(limit) || Number.POSITIVE_INFINITY;

let sent = 0;
let answered = 0;
let endedAtMs = 0;
let errors = 0;
const statuses: Record<string, number> = {};
const latencies = new Map<number, number>();

const startedAtMs = performance.now();
const instance = autocannon(
  {
    url,
    connections: Number(connections),
    duration: Number(seconds),
    sampleInt: 100,
    requests: [
      {
        setupRequest: () => {
          const next = requests[sent % requests.length];
          sent += 1;
          return { ...next, headers: prefix === '-' ? common : { ...common, 'idempotency-key': `${prefix}${sent}` } };
        },
      },
    ],
  },
  () => {
    const seen = { statuses, errors, elapsedMs: endedAtMs - startedAtMs, latencies: [...latencies] };
    process.stdout.write(`${JSON.stringify(seen)}\n`);
  },
);
instance.on('response', (_client, status, _bytes, latencyMs) => {
  if (answered === answersToCount) return;
  answered += 1;
  endedAtMs = performance.now();
  statuses[status] = (statuses[status] ?? 0) + 1;
  const microseconds = Math.round(latencyMs * 1000);
  latencies.set(microseconds, (latencies.get(microseconds) ?? 0) + 1);
  if (answered === answersToCount) instance.stop();
});
instance.on('reqError', () => {
  errors += 1;
});
