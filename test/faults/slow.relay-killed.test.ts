import { fault } from '../support/fault.ts';
import { createBasket } from '../support/journey.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Alteration } from '../support/replica.ts';
import { accountFor, openShopOnReplicas } from '../support/shop-on-replicas.ts';
import { until } from '../support/until.ts';

const die = `process.kill(process.pid, 'SIGKILL')`;

/** Where the relay dies, and how often the change has come until then. */
const moments: { moment: string; sentBefore: number; at: Alteration }[] = [
  {
    moment: 'before it sends',
    sentBefore: 0,
    at: {
      file: 'src/webhooks/relay/relay.ts',
      find: 'return outcomeOf(delivery, ',
      replace: `${die}; return outcomeOf(delivery, `,
    },
  },
  {
    moment: 'when it has sent',
    sentBefore: 1,
    at: {
      file: 'src/webhooks/relay/relay.ts',
      find: 'return outcomeOf(delivery, await send(deps.outbound, delivery.url, message, traceparent));',
      replace: `await send(deps.outbound, delivery.url, message, traceparent); ${die}; return null;`,
    },
  },
];

fault({
  id: 'F32',
  fault: 'the relay of webhooks is killed',
  how: 'SIGKILL of itself with a change in hand, before it sends it and when it has; then another replica goes on',
  control: {
    what: 'a change counts as delivered when somebody has taken it on',
    altered: [
      {
        file: 'src/webhooks/relay/store.ts',
        find: `UPDATE deliveries d SET leased_until = now() + $4 * interval '1 second'`,
        replace: `UPDATE deliveries d SET status = 'delivered', leased_until = now() + $4 * interval '1 second'`,
      },
    ],
  },
  async run(t, { altered }) {
    const violations: string[] = [];
    const outcomes = { acknowledged: 0, lost: 0, oversold: 0 };
    for (const { moment, sentBefore, at } of moments) {
      const { url, received } = await startReceiver(t);
      const env = { WEBHOOK_ALLOW_PRIVATE: 'true' };
      const shop = await openShopOnReplicas(t, { altered: [...altered, at], env });
      const { pool } = shop.service;
      const registered = await (await shop.withScope('webhooks:write')).request('PUT', '/v1/webhooks/w', { url });
      if (registered.status !== 200) throw new Error(registered.text);
      const { id } = await createBasket(shop);
      const { signal } = (await shop.replicas[0]?.ended) ?? { signal: null };
      if (signal !== 'SIGKILL') violations.push(`${moment}: it was not killed there`);
      if (received.length !== sentBefore) violations.push(`${moment}: ${received.length} messages had come`);
      await shop.start({ altered });
      // Its lease runs out by Postgres' clock.
      await pool.query('UPDATE deliveries SET leased_until = now() WHERE leased_until IS NOT NULL');
      await until('the change comes again', 10_000, async () => received.length > sentBefore).catch(() =>
        violations.push(`${moment}: it was not sent again`),
      );
      const ids = new Set(received.map((message) => message.id));
      if (ids.size > 1) violations.push(`${moment}: it came under ${ids.size} ids`);
      if (received.some(({ basketId }) => basketId !== id)) violations.push(`${moment}: something else came`);
      const outcome = await accountFor(pool, [id], violations);
      violations.splice(0, violations.length, ...outcome.violations);
      outcomes.acknowledged += outcome.acknowledged;
      outcomes.lost += outcome.lost;
      outcomes.oversold += outcome.oversold;
    }
    return { violations, ...outcomes };
  },
});
