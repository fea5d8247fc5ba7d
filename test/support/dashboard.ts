import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

type Panel = { type: string; title: string; description?: string; targets?: { expr: string; legendFormat: string }[] };
type Dashboard = { panels: Panel[] };

/** A query of a panel, in which Grafana's name for the length of a rate stands, and what its lines are called. */
type Query = { expression: string; legend: string };

/** The panels of the Grafana dashboard, and the headings that they are under. */
export function dashboardPanels(): { heading: string; title: string; queries: Query[] }[] {
  const path = fileURLToPath(new URL('../../deploy/grafana/dashboards/basketlink.json', import.meta.url));
  const { panels }: Dashboard = JSON.parse(readFileSync(path, 'utf8'));
  let heading = '';
  return panels.flatMap(({ type, title, targets = [] }) => {
    if (type !== 'row') {
      const queries = targets.map(({ expr, legendFormat }) => ({ expression: expr, legend: legendFormat }));
      return [{ heading, title, queries }];
    }
    heading = title;
    return [];
  });
}

/** A query of the dashboard as Prometheus takes it. */
export function withRateOver(expression: string, interval: string): string {
  return expression.replaceAll('$__rate_interval', interval);
}
