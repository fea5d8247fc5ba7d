import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { fault, judge } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import { differsForLong, dropStockCheck, redisDecidesAlone, redisEpoch } from '../support/redis-copy.ts';
import { startRedisServer } from '../support/servers.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const holdsKey = '{bl:1}:holds';
type Cli = { cli(...command: string[]): Promise<string> };
/** How many holds a Redis has; one field of them is the epoch. */
const holdsIn = async (redis: Cli) => Math.max(0, Number(await redis.cli('HLEN', holdsKey)) - 1);

/** Starts a replica of a Redis and waits until it follows. */
async function startFollower(t: Test, masterUrl: string) {
  const follower = await startRedisServer(t, { replicaOf: Number(new URL(masterUrl).port) });
  await until('the replica follows', 10_000, async () =>
    (await follower.cli('INFO', 'replication')).includes('master_link_status:up'),
  );
  return follower;
}

fault({
  id: 'F4',
  fault: 'Redis fails over to a replica that was behind',
  how: 'the replica is stopped (SIGSTOP) for 1.5 s under load, the master killed (SIGKILL) with all that was on its way to the replica, the replica promoted',
  control: { what: 'Redis alone says whether stock is left', altered: redisDecidesAlone },
  async run(t, { protection, altered }) {
    let proxy: Awaited<ReturnType<typeof startTcpProxy>> | undefined;
    const fleet = await startFleet(t, {
      altered,
      replicas: 2,
      capacities: { stalls: 300, balcony: 150 },
      redisUrl: async (url) => {
        proxy ??= await startTcpProxy(t, url);
        return proxy.url;
      },
    });
    if (protection === 'off') await dropStockCheck(fleet.pool);
    const replication = await startTcpProxy(t, fleet.redis.url);
    const follower = await startFollower(t, replication.url);
    const load = await startLoad(t, { replicas: () => fleet.replicas, itemIds: fleet.itemIds, creations: 700 });
    await until('the load is at work', 20_000, async () => load.acknowledged() > 100);
    // Kept back, it does not wait for the replica in the buffers of this machine, as it would after a stop alone.
    replication.setReplies('hang');
    follower.pause();
    await delay(1500);
    const before = await holdsIn(fleet.redis);
    await fleet.redis.kill();
    follower.resume();
    await follower.cli('REPLICAOF', 'NO', 'ONE');
    const holdsForgotten = before - (await holdsIn(follower));
    if (holdsForgotten <= 0) throw new Error('the replica was not behind');
    proxy?.setTarget(follower.url);
    await load.done;
    await load.stop();
    const outcome = await judge(fleet.pool, load, fleet.stock);
    const differs = protection === 'on' ? await differsForLong(t, fleet.pool, follower.url) : [];
    return { ...outcome, violations: [...outcome.violations, ...differs], holdsForgotten };
  },
});

fault({
  id: 'F5',
  fault: 'The old Redis master goes on beside the new one (split brain)',
  how: 'a replica of Redis is promoted; one replica of the service sees it, the other goes on with the old master',
  control: {
    what: 'a server that was left for another is taken for a lost one',
    altered: [
      {
        file: 'src/holds/epoch.ts',
        find: "return left && recorded.inUse ? 'elsewhere' : 'lost';",
        replace: "return 'lost';",
      },
    ],
  },
  async run(t, { altered }) {
    const proxies: Awaited<ReturnType<typeof startTcpProxy>>[] = [];
    const fleet = await startFleet(t, {
      altered,
      replicas: 2,
      redisUrl: async (url) => {
        const proxy = await startTcpProxy(t, url);
        proxies.push(proxy);
        return proxy.url;
      },
    });
    const follower = await startFollower(t, fleet.redis.url);
    const load = await startLoad(t, { replicas: () => fleet.replicas, itemIds: fleet.itemIds, creations: 400 });
    await until('the load is at work', 20_000, async () => load.acknowledged() > 100);
    const epochBefore = await redisEpoch(fleet.pool);
    await follower.cli('REPLICAOF', 'NO', 'ONE');
    const [, movedAway] = proxies;
    movedAway?.setTarget(follower.url);
    await until('the epoch is raised', 10_000, async () => (await redisEpoch(fleet.pool)) > epochBefore);
    // Both sides check every five seconds.
    await delay(12_000);
    const written = await fleet.redis.cli('HGETALL', holdsKey);
    await load.stop();
    const violations: string[] = [];
    const raised = (await redisEpoch(fleet.pool)) - epochBefore;
    if (raised !== 1) violations.push(`the two sides fight: the epoch was raised ${raised} times`);
    if ((await fleet.redis.cli('HGETALL', holdsKey)) !== written) violations.push('the old master is written to');
    const differs = await differsForLong(t, fleet.pool, follower.url);
    const outcome = await judge(fleet.pool, load, fleet.stock);
    return { ...outcome, violations: [...outcome.violations, ...violations, ...differs] };
  },
});
