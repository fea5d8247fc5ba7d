import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parse } from 'yaml';
import { describeMetrics } from '../../src/dev/metrics-page.ts';
import { haveEverythingHappen } from '../support/busy-shop.ts';
import { dashboardPanels, withRateOver } from '../support/dashboard.ts';
import { readMetrics } from '../support/metrics.ts';
import { prometheusMissing, startPrometheus } from '../support/prometheus.ts';
import { startReceiver } from '../support/receiver.ts';
import { fromRunner } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const skip = prometheusMissing;

type Alert = { alert: string; expr: string; labels: object; annotations: { summary: string; runbook: string } };
const alerts = (
  parse(readFileSync(join(project, 'deploy/prometheus/alerts.yml'), 'utf8')) as { groups: { rules: Alert[] }[] }
).groups.flatMap(({ rules }) => rules);
const drawn = dashboardPanels().flatMap(({ queries }) => queries.map(({ expression }) => expression));

/** What promtool says of files in deploy/prometheus. */
function promtool(...given: string[]): { status: number | null; said: string } {
  const cwd = join(project, 'deploy/prometheus');
  const { status, stdout, stderr } = spawnSync('promtool', given, { cwd, encoding: 'utf8' });
  return { status, said: stdout + stderr };
}

t.test('Prometheus can use its configuration and the alerts', { skip }, async (t) => {
  for (const given of [
    ['check', 'config', 'prometheus.yml'],
    ['check', 'rules', '--lint=all', 'alerts.yml'],
  ]) {
    const { status, said } = promtool(...given);
    t.equal(status, 0, said);
  }
});

t.test('each alert calls somebody when it should, and nobody is called while all is well', { skip }, async (t) => {
  const { status, said } = promtool('test', 'rules', 'alerts.test.yml');
  t.equal(status, 0, said);
  // With everything broken once, each of them must have been seen.
  const tested = readFileSync(join(project, 'deploy/prometheus/alerts.test.yml'), 'utf8');
  for (const { alert } of alerts) t.match(tested, `alertname="${alert}"`, alert);
});

t.test('each alert names a section that says what to do', async (t) => {
  for (const { alert, annotations } of alerts) {
    const [file = '', anchor] = annotations.runbook.split('#');
    t.ok(existsSync(join(project, file)) && anchorsOf(file).includes(anchor ?? ''), `${alert}: ${annotations.runbook}`);
  }
});

t.test('the dashboard and the alerts show what the service measures, all of it', { skip }, async (t) => {
  const shop = await openShop(t, { config: { webhookAllowPrivate: true } });
  const receiver = await startReceiver(t);
  const hooks = await shop.withScope('webhooks:write');
  await hooks.request('PUT', '/v1/webhooks/mine', { url: receiver.url });
  const directory = join(fromRunner('TEST_DIRECTORY'), `prometheus-${process.pid}`);
  const prometheus = await startPrometheus(directory, [shop.service.url]);
  t.teardown(() => prometheus.stop());
  for (const round of [1, 2]) {
    const before = Date.now();
    await haveEverythingHappen(shop, round);
    await until('Prometheus has seen it', 20_000, async () => {
      const [found] = await prometheus.query('timestamp(basketlink_postgres_up)', 10);
      return (found?.values.at(-1)?.[1] ?? 0) * 1000 > Math.max(before, Date.now() - 2000);
    });
  }

  await t.test('every query of the dashboard gives figures', async (t) => {
    for (const query of drawn) {
      const figures = async () => {
        const found = await prometheus.query(withRateOver(query, '1m'), 60);
        return found.flatMap(({ values }) => values).some(([, value]) => Number.isFinite(value));
      };
      t.ok(await until(query, 10_000, figures).catch(() => false), query);
    }
  });

  await t.test('every alert is judged, without an error', async (t) => {
    type Rules = { groups: { rules: { name: string; health: string; lastError?: string }[] }[] };
    const judged = await until('all rules are judged', 10_000, async () => {
      const rules = (await prometheus.ask<Rules>('rules')).groups.flatMap(({ rules }) => rules);
      return rules.every(({ health }) => health !== 'unknown') && rules;
    });
    t.strictSame(
      judged.map(({ name, health }) => `${name} ${health}`).sort(),
      alerts.map(({ alert }) => `${alert} ok`).sort(),
    );
  });

  await t.test('every name and label in them is one that the service shows', async (t) => {
    const { samples } = await readMetrics(shop.service.url);
    const shown = new Map<string, Set<string>>();
    for (const { name, labels } of samples) {
      shown.set(name, new Set([...(shown.get(name) ?? []), ...Object.keys(labels), 'job', 'instance']));
    }
    shown.set('up', new Set(['job', 'instance']));
    for (const query of [...drawn, ...alerts.map(({ expr }) => expr)]) {
      const selectors = [...query.matchAll(/\b((?:basketlink|nodejs|process)_\w+|up\b)(?:\{(.*?)\})?/g)];
      t.not(selectors.length, 0, query);
      for (const [, name = '', matchers = ''] of selectors) {
        const named = [...matchers.matchAll(/(\w+)(?:=|!)/g)].map(([, label = '']) => label);
        const grouped = [...query.matchAll(/\bby \((.*?)\)/g)].flatMap(([, labels = '']) => labels.split(', '));
        const unknown = [...named, ...grouped].filter((label) => !shown.get(name)?.has(label));
        t.strictSame(unknown, [], `${name} in ${query}`);
      }
    }
  });
});

t.test('every metric that the service defines is drawn', async (t) => {
  for (const { name } of describeMetrics())
    t.ok(
      drawn.some((query) => new RegExp(`\\b${name}(_|\\b)`).test(query)),
      name,
    );
});

function anchorsOf(file: string): string[] {
  return [...readFileSync(join(project, file), 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
