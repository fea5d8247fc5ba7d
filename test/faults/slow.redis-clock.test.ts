import { existsSync } from 'node:fs';
import t from 'tap';
import { fault, judge } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { latenessOfExpiry } from '../support/lateness.ts';
import { startLoad } from '../support/load.ts';
import { differsForLong } from '../support/redis-copy.ts';

/** Debian's package faketime. */
const clockShim = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';
/** Before jemalloc, which Redis allocates with and which asks for the time before the shim is ready. */
const preloaded = `${clockShim}:/lib/x86_64-linux-gnu/libc.so.6`;

if (!existsSync(clockShim)) t.test('a Redis with a wrong clock', { skip: 'faketime is not installed' }, async () => {});
else {
  for (const { id, fault: words, offset, what, altered } of [
    {
      id: 'F11a',
      fault: 'the clock of Redis is 30 seconds ahead',
      offset: '+30s',
      what: 'what Redis says is due is ended, whatever Postgres’ clock says',
      altered: [
        {
          file: 'src/holds/arbiter.ts',
          find: "'b.expires_at <= now()',",
          replace: "'true',",
        },
      ],
    },
    {
      id: 'F11b',
      fault: 'the clock of Redis is an hour behind',
      offset: '-1h',
      what: 'nobody asks Postgres alone which baskets are due',
      altered: [
        {
          file: 'src/holds/sweeper.ts',
          find: 'const postgresOnlyEveryMs = 10_000;',
          replace: 'const postgresOnlyEveryMs = 1e9;',
        },
      ],
    },
  ] as const) {
    fault({
      id,
      fault: words,
      how: 'libfaketime; baskets live for 10 s',
      control: { what, altered },
      async run(t, { altered }) {
        const fleet = await startFleet(t, {
          altered,
          capacities: { stalls: 100_000 },
          redis: { env: { LD_PRELOAD: preloaded, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: '1' } },
        });
        const load = await startLoad(t, {
          replicas: () => fleet.replicas,
          itemIds: fleet.itemIds,
          creations: 150,
          ttlSeconds: 10,
        });
        await load.done;
        await load.stop();
        const { violations, earliestMs, latestMs } = await latenessOfExpiry(fleet.pool);
        const outcome = await judge(fleet.pool, load, fleet.stock);
        const differs = await differsForLong(t, fleet.pool, fleet.redis.url);
        return {
          ...outcome,
          violations: [...outcome.violations, ...violations, ...differs],
          note: `expired ${Math.round(earliestMs)} to ${Math.round(latestMs)} ms after their time`,
        };
      },
    });
  }
}
