import { Gauge, type Registry } from 'prom-client';
import { countBy } from '../platform/metrics.ts';
import type { DisabledReason } from './model.ts';

const outcomes = ['delivered', 'retried', 'failed'] as const;

/** What is counted about changes on their way to webhooks. */
export type WebhookMetrics = {
  tried(outcome: (typeof outcomes)[number]): void;
  disabled(reason: DisabledReason): void;
};

/** Makes the metrics in a registry. `readLagSeconds` is asked whenever somebody asks for them. */
export function webhookMetrics(registry: Registry, readLagSeconds: () => Promise<number>): WebhookMetrics {
  new Gauge({
    name: 'basketlink_outbox_lag_seconds',
    help: 'For how long has the oldest change waited that should be on its way to a webhook, where the webhook is not itself failing? NaN while Postgres cannot say.',
    registers: [registry],
    async collect() {
      this.set(await readLagSeconds().catch(() => Number.NaN));
    },
  });
  return {
    tried: countBy(registry, {
      name: 'basketlink_deliveries_total',
      help: 'Do webhooks take what they are sent? `retried` will be tried again, `failed` will not.',
      label: 'outcome',
      values: outcomes,
    }),
    disabled: countBy(registry, {
      name: 'basketlink_webhooks_disabled_total',
      help: 'How many webhooks were disabled, because they said that they are `gone`, or after five days of `failing`?',
      label: 'reason',
      values: ['gone', 'failing'],
    }),
  };
}
