import { fault, judge } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

/** Of the commits. */
const everyNth = 7;

fault({
  id: 'F17',
  fault: 'connections to Postgres break after COMMIT was sent and before it is answered',
  how: 'a proxy closes them in place of every seventh answer to a COMMIT, under load; callers ask again with the same key',
  control: {
    what: 'the idempotency key is not committed with the basket',
    altered: [
      { file: 'src/baskets/create.ts', find: 'idempotency: key && {', replace: 'idempotency: key && null && {' },
    ],
  },
  async run(t, { altered }) {
    let isLoaded = false;
    let commits = 0;
    const fleet = await startFleet(t, {
      altered,
      capacities: { stalls: 150, balcony: 60 },
      async databaseUrl(postgresUrl) {
        const proxy = await startTcpProxy(t, postgresUrl);
        proxy.cutRepliesTo((request) => {
          if (!isLoaded || !request.includes('COMMIT\0')) return false;
          commits += 1;
          return commits % everyNth === 0;
        });
        return proxy.url;
      },
    });
    // Nobody asks again for what the shop is made of.
    isLoaded = true;
    const load = await startLoad(t, { replicas: () => fleet.replicas, itemIds: fleet.itemIds, creations: 300 });
    await load.done;
    await load.stop();
    const outcome = await judge(fleet.pool, load, fleet.stock);
    const cuts = Math.floor(commits / everyNth);
    if (cuts < 10) outcome.violations.push(`only ${cuts} commits were cut`);
    return { ...outcome, note: `${cuts} of ${commits} commits cut` };
  },
});
