import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { chmod, chown, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import { fault, judge } from '../support/fault.ts';
import { type Fleet, startFleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import { holdsInRedis, orphanGoneWithinMs } from '../support/mid-creation.ts';
import { fromRunner } from '../support/service.ts';
import { until } from '../support/until.ts';

const capacities = { stalls: 500, balcony: 200 };

/**
 * Runs a load during which Postgres writes nothing for 3 s. Nothing may be acknowledged meanwhile, but replays; the
 * holds that Redis took for it must be gone in time, without anybody's doing.
 */
async function whileNothingIsWritten(
  t: Test,
  fleet: Fleet,
  { begin, end, protection }: { begin: () => Promise<void>; end: () => Promise<void>; protection: 'on' | 'off' },
) {
  const load = await startLoad(t, {
    replicas: () => fleet.replicas,
    itemIds: fleet.itemIds,
    clients: 8,
    creations: 2000,
  });
  await until('the load is at work', 20_000, async () => load.acknowledged() > 50);
  await begin();
  await delay(3000);
  await end();
  const before = load.acknowledged();
  await until('it goes on by itself', 20_000, async () => load.acknowledged() > before + 30);
  await load.stop();
  const outcome = await judge(fleet.pool, load, fleet.stock);
  if (protection === 'on') {
    await until('Redis holds what live baskets hold', orphanGoneWithinMs, async () => {
      const { rows } = await fleet.pool.query<{ live: number }>(
        `SELECT count(*) AS live FROM baskets WHERE status IN ('open', 'activated', 'checkout')`,
      );
      return (await holdsInRedis(fleet)).length === rows[0]?.live;
    }).catch((error: Error) => outcome.violations.push(error.message));
  }
  return outcome;
}

fault({
  id: 'F21a',
  fault: 'Postgres is read-only for 3 s under load',
  how: 'default_transaction_read_only is switched on and off again',
  control: {
    what: 'that Postgres is read-only is not told apart from a mistake in a program',
    altered: [{ file: 'src/platform/postgres.ts', find: '|25006|', replace: '|' }],
  },
  async run(t, { protection, altered }) {
    const fleet = await startFleet(t, { altered, capacities });
    const set = (value: 'on' | 'off') => async () => {
      await fleet.pool.query(`ALTER SYSTEM SET default_transaction_read_only = ${value}`);
      await fleet.pool.query('SELECT pg_reload_conf()');
    };
    return whileNothingIsWritten(t, fleet, { begin: set('on'), end: set('off'), protection });
  },
});

/** Why no small file system can be mounted here, or false. */
function whyNoMount(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'a small file system needs root';
  try {
    const directory = mkdtempSync(join(fromRunner('TEST_DIRECTORY'), 'mount-'));
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory], { stdio: 'ignore' });
    execFileSync('umount', [directory]);
    return false;
  } catch {
    return 'nothing can be mounted here';
  }
}

fault({
  id: 'F21b',
  fault: 'the disk of Postgres is full for 3 s under load',
  how: 'the table of baskets is on a file system of 4 MiB, which is filled and emptied again',
  skip: whyNoMount(),
  control: {
    what: 'that Postgres lacks resources is not told apart from a mistake in a program',
    altered: [{ file: 'src/platform/postgres.ts', find: '/^(08|53|57|58|', replace: '/^(08|57|58|' }],
  },
  async run(t, { protection, altered }) {
    const small = await mkdtemp(join(fromRunner('TEST_DIRECTORY'), 'small-'));
    const run = promisify(execFile);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', small]);
    t.teardown(() => run('umount', ['--lazy', small]));
    await chown(small, 65534, 65534);
    await chmod(small, 0o700);
    const fleet = await startFleet(t, { altered, capacities });
    await fleet.pool.query(`CREATE TABLESPACE small LOCATION '${small}'`);
    await fleet.pool.query('ALTER TABLE baskets SET TABLESPACE small');
    await fleet.pool.query('CREATE TABLE ballast (filling text) TABLESPACE small');
    return whileNothingIsWritten(t, fleet, {
      async begin() {
        const fill = `INSERT INTO ballast SELECT repeat('x', 1000) FROM generate_series(1, $1)`;
        // To the last page: many rows, then few.
        for (const rows of [1000, 100, 7]) {
          while (
            await fleet.pool.query(fill, [rows]).then(
              () => true,
              () => false,
            )
          );
        }
      },
      async end() {
        await fleet.pool.query('DROP TABLE ballast');
      },
      protection,
    });
  },
});
