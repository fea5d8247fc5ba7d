import type { Registry } from 'prom-client';
import { countBy } from '../platform/metrics.ts';

/** Where openings of start links, and presses of their buttons, are counted. */
export type LinkMetrics = { opened(outcome: 'redirected' | 'redirected_cold' | 'page' | 'refused'): void };

/** Makes the metrics in a registry. */
export function linkMetrics(registry: Registry): LinkMetrics {
  return {
    opened: countBy(registry, {
      name: 'basketlink_link_openings_total',
      help: 'What did start links lead to? `redirected` to the shop on the word of Redis, `redirected_cold` after Postgres was asked, a `page`, or `refused`, for which basketlink_refusals_total has the reasons.',
      label: 'outcome',
      values: ['redirected', 'redirected_cold', 'page', 'refused'],
    }),
  };
}
