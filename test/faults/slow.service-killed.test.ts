import { countOversold, fault } from '../support/fault.ts';
import { startFleet } from '../support/fleet.ts';
import { ask, askAgain, auditOf, holdsInRedis, orphanGoneWithinMs, steps } from '../support/mid-creation.ts';
import { until } from '../support/until.ts';

const die = `process.kill(process.pid, 'SIGKILL')`;

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
    const replica = await fleet.start({ altered: [...altered, steps['Redis has admitted it'](die)] });
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
