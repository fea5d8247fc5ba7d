import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { describeMetrics, metricsPage } from '../../src/dev/metrics-page.ts';

const page = readFileSync(fileURLToPath(new URL('../../docs/operate.md', import.meta.url)), 'utf8');

t.test('the table of metrics in docs/operate.md is what npm run docs:metrics writes', async (t) => {
  t.equal(page, metricsPage());
});

t.test('every metric has a row with a question, and a name with its unit, as Prometheus advises', async (t) => {
  const metrics = describeMetrics();
  t.not(metrics.length, 0);
  for (const { name, type, question } of metrics) {
    t.ok(page.includes(`| \`${name}\` | ${type} |`), name);
    t.match(question, /\?/, name);
    t.equal(name.endsWith('_total'), type === 'counter', name);
    t.notMatch(name, /_(ms|millis|milliseconds|minutes|percent)\b/, name);
  }
});
