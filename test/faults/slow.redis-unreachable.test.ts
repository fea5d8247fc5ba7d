import { setTimeout as delay } from 'node:timers/promises';
import { fault, judge } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import { differsForLong, miscounted } from '../support/redis-copy.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

/** Enough for every load here, so that no refusal is right. */
const plenty = { stalls: 100_000 };

type Load = Awaited<ReturnType<typeof startLoad>>;
const creationsOf = ({ history }: Load) => history.calls.filter(({ operation }) => operation === 'create');

/** How long half of the creations took, those before the fault and those since. */
function waits(creations: ReturnType<typeof creationsOf>, before: number) {
  const medianOf = (calls: typeof creations) =>
    calls.map(({ invokedMs, endedMs }) => endedMs - invokedMs).sort((a, b) => a - b)[Math.floor(calls.length / 2)];
  const usualMs = medianOf(creations.slice(0, before)) ?? 0;
  const medianMs = medianOf(creations.slice(before)) ?? Number.POSITIVE_INFINITY;
  // One wait of 250 ms for those that were under way, and none for the others.
  const violations =
    medianMs > usualMs + 250 ? [`half of the creations took ${medianMs} ms, where ${usualMs} ms were usual`] : [];
  return { violations, usualMs, medianMs };
}

fault({
  id: 'F7',
  fault: 'Redis hangs: it accepts and does not answer',
  how: 'SIGSTOP for 5 s under load',
  control: {
    what: 'calls to Redis may take 4 s, and no breaker opens',
    altered: [
      {
        file: 'src/platform/redis.ts',
        find: 'ofService: 250',
        replace: 'ofService: 4000',
      },
      { file: 'src/platform/redis.ts', find: 'if (probing === undefined) openBreaker(0);', replace: '' },
    ],
  },
  async run(t, { altered }) {
    const fleet = await startFleet(t, { altered, capacities: plenty });
    const load = await startLoad(t, { replicas: () => fleet.replicas, itemIds: fleet.itemIds, creations: 100_000 });
    await until('the load is at work', 20_000, async () => load.acknowledged() > 100);
    const before = creationsOf(load).length;
    fleet.redis.pause();
    await delay(5000);
    fleet.redis.resume();
    await load.stop();
    const { violations, usualMs, medianMs } = waits(creationsOf(load), before);
    const outcome = await judge(fleet.pool, load, fleet.stock);
    const differs = await differsForLong(t, fleet.pool, fleet.redis.url);
    return {
      ...outcome,
      violations: [...outcome.violations, ...violations, ...differs],
      note: `median of creations ${Math.round(usualMs)} ms before, ${Math.round(medianMs)} ms while it hung`,
    };
  },
});

fault({
  id: 'F8',
  fault: 'The connection to Redis breaks after a script has run and before its answer',
  how: 'a proxy closes it in place of the answer, for 200 ms at a time, five times under load',
  control: {
    what: 'commands are sent again, as ioredis does by default, and admit does not look whether it has run',
    altered: [
      {
        file: 'src/platform/redis.ts',
        find: 'autoResendUnfulfilledCommands: false',
        replace: 'autoResendUnfulfilledCommands: true',
      },
      { file: 'src/platform/redis.ts', find: 'maxRetriesPerRequest: 0', replace: 'maxRetriesPerRequest: 20' },
      // Long enough for the connection to be there again.
      {
        file: 'src/platform/redis.ts',
        find: 'ofService: 250',
        replace: 'ofService: 4000',
      },
      {
        file: 'src/holds/scripts/admit.lua',
        find: "if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then",
        replace: 'if false then',
      },
    ],
  },
  async run(t, { altered }) {
    let proxy: Awaited<ReturnType<typeof startTcpProxy>> | undefined;
    const fleet = await startFleet(t, {
      altered,
      capacities: plenty,
      redisUrl: async (url) => {
        proxy = await startTcpProxy(t, url);
        return proxy.url;
      },
    });
    const load = await startLoad(t, { replicas: () => fleet.replicas, itemIds: fleet.itemIds, creations: 100_000 });
    const violations: string[] = [];
    for (let cuts = 1; cuts <= 5; cuts += 1) {
      const before = load.acknowledged();
      await until('the load is at work', 20_000, async () => load.acknowledged() > before + 60);
      proxy?.setReplies('cut');
      await delay(200);
      proxy?.setReplies('pass');
      // The breaker closes.
      await delay(1500);
      violations.push(...(await miscounted(fleet.redis)));
    }
    await load.stop();
    const outcome = await judge(fleet.pool, load, fleet.stock);
    const differs = await differsForLong(t, fleet.pool, fleet.redis.url);
    return { ...outcome, violations: [...outcome.violations, ...violations, ...differs] };
  },
});

fault({
  id: 'F9',
  fault: 'Redis answers slowly and in pieces',
  how: 'a proxy passes answers on in pieces of 8 bytes, each 50 to 500 ms after the one before, for 10 s',
  control: {
    what: 'calls to Redis may take as long as they like',
    altered: [
      {
        file: 'src/platform/redis.ts',
        find: 'ofService: 250',
        replace: 'ofService: 60_000',
      },
    ],
  },
  async run(t, { altered }) {
    let proxy: Awaited<ReturnType<typeof startTcpProxy>> | undefined;
    const fleet = await startFleet(t, {
      altered,
      capacities: plenty,
      redisUrl: async (url) => {
        proxy = await startTcpProxy(t, url);
        return proxy.url;
      },
    });
    const load = await startLoad(t, { replicas: () => fleet.replicas, itemIds: fleet.itemIds, creations: 100_000 });
    await until('the load is at work', 20_000, async () => load.acknowledged() > 100);
    const before = creationsOf(load).length;
    proxy?.setReplies('slow');
    await delay(10_000);
    proxy?.setTarget(fleet.redis.url);
    proxy?.setReplies('pass');
    await load.stop();
    const outcome = await judge(fleet.pool, load, fleet.stock);
    const differs = await differsForLong(t, fleet.pool, fleet.redis.url);
    const { violations } = waits(creationsOf(load), before);
    return { ...outcome, violations: [...outcome.violations, ...violations, ...differs] };
  },
});
