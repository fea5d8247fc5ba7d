import { audit } from '../support/audit.ts';
import { countOversold, fault } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { startGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';

const clients = 8;
const stopsWithinMs = 10_000;

fault({
  id: 'F15',
  fault: 'replicas are restarted one after the other under load',
  how: 'behind a load balancer that asks each every second whether it is ready and repeats nothing: a new one starts, an old one is asked to stop (SIGTERM)',
  control: {
    what: 'it stops listening at once',
    altered: [{ file: 'src/server.ts', find: `if (signal === 'SIGTERM') await service.drain();`, replace: '' }],
  },
  async run(t, { altered }) {
    const fleet = await startFleet(t, { altered, replicas: 2, capacities: { stalls: 100_000 } });
    const gateway = await startGateway(
      t,
      fleet.replicas.map(({ url }) => url),
    );
    const backEnd = fleet.backEndAt(gateway.url);
    const violations: string[] = [];
    const created: string[] = [];
    let going = true;
    const client = async () => {
      while (going) {
        // Sent once: whoever balances cannot know whether a basket was created.
        const answer = await backEnd
          .request<{ id: string }>('POST', '/v1/baskets', { items: [{ itemId: 'stalls', quantity: 1 }] })
          .catch((error: Error) => ({ status: 0, body: { id: '' }, text: String(error.cause ?? error) }));
        if (answer.status === 201) created.push(answer.body.id);
        else violations.push(`a creation came to ${answer.status}: ${answer.text}`);
      }
    };
    const load = Promise.all(Array.from({ length: clients }, client));
    for (const old of fleet.replicas) {
      const before = created.length;
      await until('the load is at work', 20_000, async () => created.length > before + 100);
      await gateway.add((await fleet.start()).url);
      const startedMs = performance.now();
      const { code, signal } = await old.stop();
      const tookMs = performance.now() - startedMs;
      gateway.remove(old.url);
      if (code !== 0) violations.push(`a replica ended with ${code ?? signal}`);
      if (tookMs > stopsWithinMs) violations.push(`a replica took ${tookMs} ms to stop`);
    }
    going = false;
    await load;
    const { rows } = await fleet.pool.query<{ found: number }>(
      'SELECT count(*)::int AS found FROM baskets WHERE basket_id = ANY($1)',
      [created],
    );
    await audit(fleet.pool);
    return {
      violations,
      acknowledged: created.length,
      lost: created.length - (rows[0]?.found ?? 0),
      oversold: await countOversold(fleet.pool),
    };
  },
});
