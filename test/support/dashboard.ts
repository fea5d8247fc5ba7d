import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

type Panel = { type: string; title: string; description?: string; targets?: { expr: string; legendFormat: string }[] };
type Dashboard = { panels: Panel[] };

/** The panels of the Grafana dashboard, with their queries; Grafana's name for the length of a rate stands in them. */
export function dashboardPanels(): { title: string; queries: string[] }[] {
  const path = fileURLToPath(new URL('../../deploy/grafana/dashboards/basketlink.json', import.meta.url));
  const { panels }: Dashboard = JSON.parse(readFileSync(path, 'utf8'));
  return panels
    .filter(({ type }) => type !== 'row')
    .map(({ title, targets = [] }) => ({ title, queries: targets.map(({ expr }) => expr) }));
}

/** A query of the dashboard as Prometheus takes it. */
export function withRateOver(query: string, interval: string): string {
  return query.replaceAll('$__rate_interval', interval);
}
