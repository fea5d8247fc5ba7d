import { fault } from '../support/fault.ts';
import { createBasket, readBasket } from '../support/journey.ts';
import type { Alteration } from '../support/replica.ts';
import { accountFor, openShopOnReplicas } from '../support/shop-on-replicas.ts';
import { until } from '../support/until.ts';

const blockedMs = 2000;
/** For how long an orchestrator waits for an answer. */
const probeMs = 1000;
const items = [{ itemId: 'stalls', quantity: 1 }];

/** Blocks the process between the commit of such a creation and what Redis is told of it, whose reminder is due by then. */
const block: Alteration[] = [
  {
    file: 'src/baskets/create.ts',
    find: '  void tellRedis(deps, creation, admitted.outcome, committed);',
    replace: `  if (body.reference === 'block') {
    const endMs = performance.now() + ${blockedMs};
    while (performance.now() < endMs);
  }
  void tellRedis(deps, creation, admitted.outcome, committed);`,
  },
  { file: 'src/holds/admission.ts', find: 'const provisionalMs = 30_000;', replace: 'const provisionalMs = 500;' },
];

fault({
  id: 'F37',
  fault: 'the event loop of a replica is blocked for two seconds',
  how: 'a busy loop between the commit of a creation and the message to Redis; ten times, while another replica sweeps',
  control: {
    what: 'the sweeper believes Redis what is due and does not ask Postgres',
    altered: [
      {
        file: 'src/holds/arbiter.ts',
        find: `'b.expires_at <= now()',`,
        replace: `'true',`,
      },
    ],
  },
  async run(t, { altered, protection }) {
    const shop = await openShopOnReplicas(t, { altered: [...block, ...altered], replicas: 2 });
    const [first, other] = shop.replicas;
    if (first === undefined || other === undefined) throw new Error('there are two replicas');
    const client = await shop.at(other.url, 'baskets:write');
    const created: string[] = [];
    const violations: string[] = [];
    for (let round = 0; round < (protection === 'on' ? 10 : 2); round += 1) {
      const blocking = createBasket(shop, { reference: 'block' });
      await until('it is blocked', 10_000, async () => {
        const { rows } = await shop.service.pool.query<{ committed: number }>(
          `SELECT count(*)::int AS committed FROM baskets WHERE reference = 'block'`,
        );
        return rows[0]?.committed === round + 1;
      });
      const isReady = fetch(`${first.url}/health/ready`, { signal: AbortSignal.timeout(probeMs) }).then(
        ({ ok }) => ok,
        () => false,
      );
      const served = await client.request('POST', '/v1/baskets', { items });
      if (served.status !== 201) violations.push(`the other replica answered ${served.status} ${served.text}`);
      if (await isReady) violations.push('it says that it is ready while it is blocked');
      created.push((await blocking).id);
      const ready = await until('the replica is ready again', 5000, async () => {
        const { status } = await fetch(`${first.url}/health/ready`);
        return status === 200 && 'ready';
      }).catch((error: Error) => error.message);
      if (ready !== 'ready') violations.push(ready);
    }
    for (const id of created) {
      const { status } = await readBasket(shop, id);
      if (status !== 'open') violations.push(`${id} is ${status} before its time`);
    }
    return accountFor(shop.service.pool, created, violations);
  },
});
