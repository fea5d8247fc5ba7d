import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { openMetrics } from '../metrics.ts';

const page = fileURLToPath(new URL('../../docs/operate.md', import.meta.url));
const [begin, end] = ['<!-- metrics: begin -->', '<!-- metrics: end -->'];

/** A metric of ours, by what it says of itself. */
export type DescribedMetric = { name: string; type: string; labels: string[]; question: string };

/** All metrics that the service defines itself, in the order in which it shows them. */
export function describeMetrics(): DescribedMetric[] {
  // Connects when somebody asks for the metrics, which nobody does.
  const { registry } = openMetrics(new pg.Pool(), { isUsable: () => false }, { epoch: () => null });
  return registry
    .getMetricsAsArray()
    .filter(({ name }) => name.startsWith('basketlink_'))
    .map((metric) => ({
      name: metric.name,
      type: String(metric.type),
      labels: [...((Reflect.get(metric, 'labelNames') as string[] | undefined) ?? [])],
      question: metric.help,
    }));
}

/** The text of `docs/operate.md` with its table of metrics as the service defines them. */
export function metricsPage(): string {
  const [before, , after] = readFileSync(page, 'utf8').split(/<!-- metrics: (?:begin|end) -->/);
  if (before === undefined || after === undefined) throw new Error(`${page} lacks ${begin} or ${end}`);
  const rows = describeMetrics().map(({ name, type, labels, question }) => {
    const named = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${named} | ${question.replaceAll('|', '\\|')} |`;
  });
  const head = ['| metric | type | by | the question it answers |', '|---|---|---|---|'];
  return `${before}${begin}\n${[...head, ...rows].join('\n')}\n${end}${after}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(page, metricsPage());
