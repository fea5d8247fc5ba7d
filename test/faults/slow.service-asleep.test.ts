import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { countOversold, fault } from '../support/fault.ts';
import { type Fleet, startFleet } from '../support/fleet.ts';
import { ask, askAgain, auditOf, holdsInRedis, orphanGoneWithinMs, steps } from '../support/mid-creation.ts';
import type { Alteration } from '../support/replica.ts';
import { until } from '../support/until.ts';

/** Only the first time: it goes on from here when it is woken up. */
const fallAsleep = `if (!globalThis.hasSlept) { globalThis.hasSlept = true; process.kill(process.pid, 'SIGSTOP'); }`;

/** Lets a replica fall asleep in the middle of a creation of the last unit, and gives the answer that is to come. */
async function sleepAt(t: Test, fleet: Fleet, step: keyof typeof steps, altered: readonly Alteration[]) {
  const replica = await fleet.start({ altered: [...altered, steps[step](fallAsleep)] });
  t.teardown(() => replica.kill('SIGCONT'));
  const answer = ask(fleet, replica.url, 'stalls', 'sleeper');
  await until('the replica is asleep', 10_000, async () => replica.isStopped());
  return { answer, wake: () => replica.kill('SIGCONT') };
}

/**
 * It and the one who came meanwhile cannot both have the last unit. The sleeper may be told that it has not, or nothing:
 * its connection is closed when it wakes up after longer than a connection may be silent.
 */
async function judgeBoth(fleet: Fleet, statuses: { sleeper: number | undefined; other: number | undefined }) {
  const { sleeper, other } = statuses;
  const violations = await auditOf(fleet);
  if (other !== 201) violations.push(`the other was answered ${other}`);
  if (sleeper !== undefined && sleeper !== 409 && sleeper !== 503)
    violations.push(`the sleeper was answered ${sleeper}`);
  return { violations, acknowledged: 1, lost: 0, oversold: await countOversold(fleet.pool) };
}

fault({
  id: 'F14a',
  fault: 'the service sleeps between admission and commit while somebody else gets the last unit',
  how: 'SIGSTOP of itself until its admission has run out (30 s), then SIGCONT',
  control: {
    what: 'the commit does not ask whether everything fits, and the constraint is dropped',
    altered: [
      {
        file: 'src/holds/arbiter.ts',
        find: 'WHERE l.held + l.sold + t.quantity > l.capacity',
        replace: 'WHERE false',
      },
      { file: 'src/holds/admission.ts', find: 'const provisionalMs = 30_000;', replace: 'const provisionalMs = 1000;' },
    ],
  },
  async run(t, { protection, altered }) {
    const fleet = await startFleet(t, { altered, capacities: { stalls: 1 } });
    if (protection === 'off') await fleet.pool.query('ALTER TABLE stock DROP CONSTRAINT stock_not_oversold');
    const { answer, wake } = await sleepAt(t, fleet, 'Redis has admitted it', altered);
    await until('its admission has run out', orphanGoneWithinMs, async () => (await holdsInRedis(fleet)).length === 0);
    const other = await askAgain(fleet, 'stalls', 'other');
    wake();
    return judgeBoth(fleet, { sleeper: (await answer)?.status, other: other.status });
  },
});

fault({
  id: 'F14b',
  fault: 'the service sleeps in the middle of a transaction, with stock locked',
  how: 'SIGSTOP of itself before COMMIT, for 20 s, then SIGCONT',
  control: {
    what: 'Postgres does not end transactions that do nothing (no idle_in_transaction_session_timeout)',
    altered: [{ file: 'src/platform/postgres.ts', find: 'idle_in_transaction_session_timeout: 10_000,', replace: '' }],
  },
  async run(t, { protection, altered }) {
    const fleet = await startFleet(t, { altered, capacities: { stalls: 1 } });
    const { answer, wake } = await sleepAt(t, fleet, 'it is written, before COMMIT', altered);
    const sleptMs = performance.now();
    const other = await askAgain(fleet, 'stalls', 'other').catch(() => null);
    const waitedMs = performance.now() - sleptMs;
    await delay(Math.max(0, 20_000 - waitedMs));
    wake();
    const outcome = await judgeBoth(fleet, { sleeper: (await answer)?.status, other: other?.status });
    const note = `the stock was free again after ${Math.round(waitedMs / 1000)} s`;
    return protection === 'on' ? { ...outcome, note } : outcome;
  },
});
