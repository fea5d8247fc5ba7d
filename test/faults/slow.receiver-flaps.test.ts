import { fault } from '../support/fault.ts';
import { letExpire } from '../support/journey.ts';
import { sequencesOf, startReceiver } from '../support/receiver.ts';
import { accountFor, openShopOnReplicas } from '../support/shop-on-replicas.ts';
import { until } from '../support/until.ts';

const baskets = 4000;
const patched = 2000;
const atOnce = 16;
const withinMs = 180_000;
/** The receiver takes messages for so long, and then refuses them until the next round. */
const takesMs = 1200;
const roundMs = 1500;

fault({
  id: 'F31',
  fault: 'a receiver of webhooks fails again and again under load',
  how: '10,000 changes through three replicas to a receiver that refuses all for a fifth of each 1.5 s; the waits pass by Postgres’ clock',
  control: {
    what: 'what was not taken is not tried again',
    altered: [
      {
        file: 'src/webhooks/relay/schedule.ts',
        find: 'if (seconds === undefined) return null;',
        replace: 'if (seconds === undefined || seconds > 0) return null;',
      },
    ],
  },
  async run(t, { protection, altered }) {
    const taken = new Set<string>();
    const { url, received } = await startReceiver(t, ({ id }) => {
      if (performance.now() % roundMs > takesMs) return { status: 503 };
      taken.add(id);
      return { status: 200 };
    });
    const env = { WEBHOOK_ALLOW_PRIVATE: 'true' };
    const shop = await openShopOnReplicas(t, { altered, replicas: 3, env });
    const { pool } = shop.service;
    await shop.owner.request('PATCH', '/v1/items/stalls', { capacity: 2 * baskets });
    const registered = await (await shop.withScope('webhooks:write')).request('PUT', '/v1/webhooks/w', { url });
    if (registered.status !== 200) throw new Error(registered.text);
    const startedMs = performance.now();

    const clients = await Promise.all(shop.replicas.map((replica) => shop.at(replica.url, 'baskets:write')));
    const clientOf = (at: number) => clients[at % clients.length] ?? shop.backEnd;
    const created: string[] = [];
    const body = { baskets: Array.from({ length: 500 }, () => ({ items: [{ itemId: 'stalls', quantity: 1 }] })) };
    for (let batch = 0; created.length < baskets; batch += 1) {
      const answer = await clientOf(batch).request<{ results: { basket?: { id: string } }[] }>(
        'POST',
        '/v1/baskets/batch',
        body,
      );
      // On a busy machine one may be told to come back later.
      created.push(...answer.body.results.flatMap(({ basket }) => basket?.id ?? []));
    }
    const toPatch = created.slice(0, patched);
    const patch = async (): Promise<void> => {
      for (let id = toPatch.pop(); id !== undefined; id = toPatch.pop()) {
        await clientOf(toPatch.length).request('PATCH', `/v1/baskets/${id}`, { custom: { n: 1 } });
      }
    };
    await Promise.all(Array.from({ length: atOnce }, patch));
    // Also those whose creation was answered too late.
    const { rows: all } = await pool.query<{ basket_id: string }>('SELECT basket_id FROM baskets');
    await letExpire(shop, ...all.map(({ basket_id }) => basket_id));

    const violations: string[] = [];
    await until('every change is taken', withinMs, async () => {
      // Those that a relay has taken meanwhile are left to it: waiting for them, the two could wait for each other.
      await pool.query(
        `UPDATE deliveries SET next_try_at = now() WHERE delivery_id IN (
           SELECT delivery_id FROM deliveries WHERE status = 'pending' AND next_try_at > now() FOR UPDATE SKIP LOCKED)`,
      );
      const { rows } = await pool.query<{ open: number }>(
        `SELECT (SELECT count(*) FROM baskets WHERE status = 'open')
           + (SELECT count(*) FROM deliveries WHERE status = 'pending') AS open`,
      );
      return rows[0]?.open === 0;
    }).catch((error: Error) => violations.push(error.message));
    const tookMs = performance.now() - startedMs;

    const { rows } = await pool.query<{ basket_id: string; sequence: number }>(
      'SELECT basket_id, sequence FROM baskets',
    );
    const sequences = sequencesOf(received.filter(({ id }) => taken.has(id)));
    for (const { basket_id, sequence } of rows) {
      const found = new Set(sequences.get(basket_id));
      if (found.size !== sequence) violations.push(`of basket ${basket_id}, ${found.size} of ${sequence} were taken`);
    }
    const changes = rows.reduce((sum, { sequence }) => sum + sequence, 0);
    if (changes < 2 * baskets + patched) violations.push(`there were ${changes} changes`);
    const outcome = await accountFor(pool, created, violations);
    const note = `${changes} changes taken in ${Math.round(tookMs / 1000)} s and ${received.length} tries`;
    return protection === 'on' ? { ...outcome, note } : outcome;
  },
});
