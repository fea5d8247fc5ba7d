import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { audit } from '../support/audit.ts';
import { countOversold, fault } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import type { Created, ShownProblem } from '../support/journey.ts';
import type { Alteration } from '../support/replica.ts';
import { until } from '../support/until.ts';

type Fleet = Awaited<ReturnType<typeof startFleet>>;

/** Beyond the 30 s of a provisional admission: the sweeper's tick, and what a busy machine adds. */
const orphanGoneWithinMs = 35_000;

/** The steps of a creation, with the place in the source where each is done. `what` is put in there. */
const steps: Record<string, (what: string) => Alteration> = {
  'Redis has admitted it': (what) => ({
    file: 'src/baskets/create.ts',
    find: 'const committed = await deps.commit(creation);',
    replace: `${what}; const committed = await deps.commit(creation);`,
  }),
  'it is written, before COMMIT': (what) => ({
    file: 'src/platform/postgres.ts',
    find: `await client.query(keep(result) ? 'COMMIT' : 'ROLLBACK');`,
    replace: `${what}; await client.query(keep(result) ? 'COMMIT' : 'ROLLBACK');`,
  }),
  'COMMIT, before Redis is told': (what) => ({
    file: 'src/platform/postgres.ts',
    find: `await client.query(keep(result) ? 'COMMIT' : 'ROLLBACK');`,
    replace: `await client.query(keep(result) ? 'COMMIT' : 'ROLLBACK'); ${what};`,
  }),
  'Redis is told, before the answer': (what) => ({
    file: 'src/baskets/create.ts',
    find: 'return { basket: toBasket(committed.row), answer, replayed: false };',
    replace: `await new Promise((resolve) => setTimeout(resolve, 500)); ${what};
      return { basket: toBasket(committed.row), answer, replayed: false };`,
  }),
};
const die = `process.kill(process.pid, 'SIGKILL')`;
/** Only the first time: it goes on from here when it is woken up. */
const fallAsleep = `if (!globalThis.hasSlept) { globalThis.hasSlept = true; process.kill(process.pid, 'SIGSTOP'); }`;

/** Asks a replica for the last unit of an item; null when no answer came. */
function ask(fleet: Fleet, url: string, itemId: string, key: string) {
  const body = { items: [{ itemId, quantity: 1 }], reference: key };
  return fleet
    .backEndAt(url)
    .request<Created & ShownProblem>('POST', '/v1/baskets', body, { 'idempotency-key': key })
    .catch(() => null);
}

/** Asks until the answer says what became of it. */
function askAgain(fleet: Fleet, itemId: string, key: string) {
  const [sound] = fleet.replicas;
  return until(`an answer for ${key}`, 20_000, async () => {
    const answer = await ask(fleet, sound?.url ?? '', itemId, key);
    return answer !== null && answer.status !== 503 && answer;
  });
}

/** The holds that Redis has. */
async function holdsInRedis({ redis }: Fleet): Promise<string[]> {
  return (await redis.cli('--scan', '--pattern', '*:hold:*')).split('\n').filter(Boolean);
}

async function auditOf({ pool }: Fleet): Promise<string[]> {
  return audit(pool).then(
    () => [],
    (error: Error) => [error.message],
  );
}

fault({
  id: 'F13a',
  fault: 'the service is killed at a step of a creation, and the caller asks again with the same key',
  how: 'SIGKILL of itself at each of four steps, on the last unit of an item',
  control: {
    what: 'the idempotency key is not committed with the basket',
    altered: [
      { file: 'src/baskets/create.ts', find: 'idempotency: key && {', replace: 'idempotency: key && null && {' },
    ],
  },
  async run(t, { altered }) {
    const items = Object.entries(steps).map(([step, at], index) => ({ step, at, itemId: `item-${index}` }));
    const capacities = Object.fromEntries(items.map(({ itemId }) => [itemId, 1]));
    const fleet = await startFleet(t, { altered, capacities });
    const violations: string[] = [];
    let acknowledged = 0;
    let lost = 0;
    for (const { step, at, itemId } of items) {
      const replica = await fleet.start({ altered: [...altered, at(die)] });
      const first = await ask(fleet, replica.url, itemId, itemId);
      const { signal } = await replica.ended;
      if (first !== null || signal !== 'SIGKILL') violations.push(`${step}: it was not killed there`);
      const answers = [await askAgain(fleet, itemId, itemId), await askAgain(fleet, itemId, itemId)];
      for (const { status, text } of answers) if (status !== 201) violations.push(`${step}: ${status} ${text}`);
      const { rows } = await fleet.pool.query<{ basket_id: string }>(
        'SELECT basket_id FROM baskets WHERE reference = $1',
        [itemId],
      );
      acknowledged += 1;
      if (!rows.some(({ basket_id }) => basket_id === answers[0]?.body.id)) lost += 1;
      if (rows.length !== 1) violations.push(`${step}: ${rows.length} baskets for one key`);
    }
    violations.push(...(await auditOf(fleet)));
    return { violations, acknowledged, lost, oversold: await countOversold(fleet.pool) };
  },
});

fault({
  id: 'F13b',
  fault: 'the service is killed between admission and commit, and nobody asks again',
  how: 'SIGKILL of itself; then Redis is looked at for 35 s',
  control: {
    what: 'provisional admissions last an hour',
    altered: [
      {
        file: 'src/holds/admission.ts',
        find: 'const provisionalMs = 30_000;',
        replace: 'const provisionalMs = 3_600_000;',
      },
    ],
  },
  async run(t, { protection, altered }) {
    const fleet = await startFleet(t, { altered, capacities: { stalls: 1 } });
    const crash = steps['Redis has admitted it']?.(die);
    if (crash === undefined) throw new Error('there is no such step');
    const replica = await fleet.start({ altered: [...altered, crash] });
    await ask(fleet, replica.url, 'stalls', 'orphan');
    await replica.ended;
    const startedMs = performance.now();
    const violations = (await holdsInRedis(fleet)).length === 1 ? [] : ['there was no orphan to begin with'];
    await until('the orphan is gone', orphanGoneWithinMs, async () => (await holdsInRedis(fleet)).length === 0).catch(
      (error: Error) => violations.push(error.message),
    );
    const goneMs = performance.now() - startedMs;
    violations.push(...(await auditOf(fleet)));
    const outcome = { violations, acknowledged: 0, lost: 0, oversold: await countOversold(fleet.pool) };
    return protection === 'on' ? { ...outcome, note: `gone after ${Math.round(goneMs / 1000)} s` } : outcome;
  },
});

/** Lets a replica fall asleep in the middle of a creation of the last unit, and gives the answer that is to come. */
async function sleepAt(t: Test, fleet: Fleet, step: string, altered: readonly Alteration[]) {
  const sleep = steps[step]?.(fallAsleep);
  if (sleep === undefined) throw new Error('there is no such step');
  const replica = await fleet.start({ altered: [...altered, sleep] });
  t.teardown(() => replica.kill('SIGCONT'));
  const answer = ask(fleet, replica.url, 'stalls', 'sleeper');
  await until('the replica is asleep', 10_000, async () => replica.isStopped());
  return { answer, wake: () => replica.kill('SIGCONT') };
}

/** Whatever the sleeper is told: it and the one who came meanwhile cannot both have the last unit. */
async function judgeBoth(fleet: Fleet, statuses: { sleeper: number | undefined; other: number | undefined }) {
  const { sleeper, other } = statuses;
  const violations = await auditOf(fleet);
  if (other !== 201) violations.push(`the other was answered ${other}`);
  if (sleeper !== 409 && sleeper !== 503) violations.push(`the sleeper was answered ${sleeper}`);
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
