import { setTimeout as delay } from 'node:timers/promises';
import { fault, judge } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import { differsForLong } from '../support/redis-copy.ts';
import { until } from '../support/until.ts';

/** Enough for every load here, so that no refusal is right. */
const plenty = { stalls: 100_000 };

type Fleet = Awaited<ReturnType<typeof startFleet>>;

/** An answer that Redis does not give is taken for a refusal. */
const silenceIsRefusal = [
  {
    file: 'src/holds/admission.ts',
    find: "if (outcome === 'rebuilding') return { outcome: 'unreachable' };",
    replace: `if (outcome === 'rebuilding') {
        return { outcome: 'sold_out', available: new Map(hold.takes.map(({ stockId }) => [stockId, 0])) };
      }`,
  },
];

/** Scripts are called by their hash alone. */
const onlyByHash = [
  {
    file: 'src/platform/redis.ts',
    find: 'return { known: true, reply: await command.call(client, keys.length, ...keys, ...args) };',
    replace: `const { createHash } = await import('node:crypto');
        const hash = createHash('sha1').update(script.source).digest('hex');
        return { known: true, reply: await Reflect.get(client, 'evalsha').call(client, hash, keys.length, ...keys, ...args) };`,
  },
];

const lastingMs = 2500;

for (const { id, fault: words, how, altered, without, happen } of [
  {
    id: 'F10a',
    fault: 'Redis has no memory left (OOM)',
    how: 'maxmemory is set to a byte for a while',
    altered: silenceIsRefusal,
    without: 'no answer counts as a refusal',
    async happen({ redis }: Fleet) {
      await redis.cli('CONFIG', 'SET', 'maxmemory', '1');
      await delay(lastingMs);
      await redis.cli('CONFIG', 'SET', 'maxmemory', '0');
    },
  },
  {
    id: 'F10b',
    fault: 'Redis has become a replica (READONLY)',
    how: 'REPLICAOF a master that is not there, and back',
    altered: silenceIsRefusal,
    without: 'no answer counts as a refusal',
    async happen({ redis }: Fleet) {
      await redis.cli('REPLICAOF', '127.0.0.1', '1');
      await delay(lastingMs);
      await redis.cli('REPLICAOF', 'NO', 'ONE');
    },
  },
  {
    id: 'F10c',
    fault: 'Redis is still loading what it had (LOADING)',
    how: 'SIGKILL and a start with a million other keys to read',
    altered: silenceIsRefusal,
    without: 'no answer counts as a refusal',
    async happen({ redis }: Fleet) {
      const fill = `for i = 1, 100000 do redis.call('SET', 'other:' .. ARGV[1] .. ':' .. i, i) end`;
      for (let part = 1; part <= 10; part += 1) await redis.cli('EVAL', fill, '0', String(part));
      // It may be at one of its own snapshots.
      await until('a snapshot is written', 10_000, () => redis.cli('SAVE').then(Boolean, () => false));
      await redis.kill();
      await redis.restart();
    },
  },
  {
    id: 'F10d',
    fault: 'Redis is busy with a script that does not end (BUSY)',
    how: 'an endless script of somebody else, killed after a while',
    altered: silenceIsRefusal,
    without: 'no answer counts as a refusal',
    async happen({ redis }: Fleet) {
      await redis.cli('CONFIG', 'SET', 'busy-reply-threshold', '50');
      const endless = redis.cli('EVAL', 'while true do end', '0').catch(() => {});
      await delay(lastingMs);
      await redis.cli('SCRIPT', 'KILL');
      await endless;
    },
  },
  {
    id: 'F10e',
    fault: 'Redis has forgotten the scripts (NOSCRIPT)',
    how: 'SCRIPT FLUSH, five times',
    altered: onlyByHash,
    without: 'scripts are called by their hash alone',
    async happen({ redis }: Fleet) {
      for (let flushes = 1; flushes <= 5; flushes += 1) {
        await redis.cli('SCRIPT', 'FLUSH');
        await delay(lastingMs / 5);
      }
    },
  },
] as const) {
  fault({
    id,
    fault: words,
    how,
    control: { what: without, altered },
    async run(t, { altered }) {
      const fleet = await startFleet(t, {
        altered,
        capacities: plenty,
        redis: { persistence: id === 'F10c' ? 'rdb' : 'none' },
      });
      const load = await startLoad(t, { replicas: () => fleet.replicas, itemIds: fleet.itemIds, creations: 100_000 });
      await until('the load is at work', 20_000, async () => load.acknowledged() > 60);
      await happen(fleet);
      const after = load.acknowledged();
      await until('the load goes on', 20_000, async () => load.acknowledged() > after + 60);
      await load.stop();
      const outcome = await judge(fleet.pool, load, fleet.stock);
      const differs = await differsForLong(t, fleet.pool, fleet.redis.url);
      return { ...outcome, violations: [...outcome.violations, ...differs] };
    },
  });
}
