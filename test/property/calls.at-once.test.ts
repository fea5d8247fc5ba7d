import fc from 'fast-check';
import t from 'tap';
import { audit } from '../support/audit.ts';
import { seed } from './commands.ts';
import { type Act, isExplained } from './history.ts';
import { type Answer, emptyModel, type Model, shownBy, take } from './model.ts';
import { beginRun, openUnsweptShop, type Run, send, shownOf } from './service.ts';
import { type Step, stepsBut } from './steps.ts';

const shop = await openUnsweptShop(t);

// What a step of one caller means may not depend on what another has been told: of new baskets, lines, links and leases.
const step = fc
  .oneof(...stepsBut('create', 'setQuantity', 'cancelEvent', 'mint', 'fail'))
  .map((step): Step => (step.call === 'complete' ? { ...step, amount: null, lease: null } : step));
const lanes = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 2, maxLength: 3 });

/** How far two baskets have come before everybody works on them at once. */
const beginning = fc
  .tuple(fc.constantFrom('open', 'activated', 'checkout'), fc.constantFrom(null, 'anna'))
  .map(([stage, customer]): Step[] => [
    { call: 'create', lines: [{ item: 'tent', quantity: 1 }], customer },
    ...(stage === 'open' ? [] : [{ call: 'activate' as const, basket: 0, link: 'newest' as const, signedInAs: null }]),
    ...(stage === 'checkout' ? [{ call: 'checkout' as const, basket: 0, customer }] : []),
  ]);

async function takeBoth(model: Model, run: Run, step: Step): Promise<void> {
  const [expected, answer] = [take(model, step), await send(run, step)];
  if (answer !== expected) throw new Error(`${JSON.stringify(step)}: ${answer}, not ${expected}`);
}

async function playLane(run: Run, steps: readonly Step[]): Promise<Act[]> {
  const acts: Act[] = [];
  for (const step of steps) {
    const sentMs = performance.now();
    const answer = await send(run, step);
    acts.push({ step, sentMs, answeredMs: performance.now(), answer });
  }
  return acts;
}

t.test(
  'what callers at once are told, and what comes of it, could have come of one caller after the other',
  async () => {
    const explained = fc.asyncProperty(beginning, beginning, lanes, async (first, second, lanes) => {
      const [run, model] = [await beginRun(shop), emptyModel()];
      for (const step of [...first, ...second]) await takeBoth(model, run, step);
      const acts = await Promise.all(lanes.map((steps) => playLane(run, steps)));
      const shown = await shownOf(run);
      if (!isExplained(model, acts, shown)) throw new Error(`no order explains ${JSON.stringify({ acts, shown })}`);
      await audit(shop.service.pool);
    });
    // What depends on timing cannot be shrunk.
    await fc.assert(explained, { ...seed, numRuns: 40, endOnFailure: true });
  },
);

t.test('a history that no order explains is told from one that some order does', async (t) => {
  const model = emptyModel();
  take(model, { call: 'create', lines: [{ item: 'tent', quantity: 1 }], customer: null });
  const cancelled = structuredClone(model);
  take(cancelled, { call: 'cancel', basket: 0 });
  const act = (call: 'cancel' | 'revoke', [sentMs, answeredMs]: [number, number], answer: Answer): Act => ({
    step: { call, basket: 0 },
    sentMs,
    answeredMs,
    answer,
  });
  const explained = (...lanes: Act[][]) => isExplained(model, lanes, shownBy(cancelled));

  t.ok(explained([act('cancel', [0, 3], 'done')], [act('cancel', [1, 2], 'basket_not_live')]), 'one of two wins');
  t.notOk(explained([act('cancel', [0, 3], 'done')], [act('cancel', [1, 2], 'done')]), 'both win');
  t.notOk(
    explained([act('cancel', [2, 3], 'done')], [act('cancel', [0, 1], 'basket_not_live')]),
    'who was answered first is told of what came later',
  );
  t.notOk(explained([act('cancel', [0, 1], 'done')], [act('revoke', [2, 3], 'done')]), 'an ended basket is changed');
  t.notOk(isExplained(model, [[act('cancel', [0, 1], 'done')]], shownBy(model)), 'nothing comes of it');
});
