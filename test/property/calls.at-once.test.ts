import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { audit } from '../support/audit.ts';
import { isLinearizable, nowMs } from '../support/history.ts';
import { trials } from './commands.ts';
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

type Told = { step: Step; answer: Answer; invokedMs: number; endedMs: number };

async function playLane(run: Run, steps: readonly Step[]): Promise<Told[]> {
  const told: Told[] = [];
  for (const step of steps) {
    const invokedMs = nowMs();
    const answer = await send(run, step);
    told.push({ step, answer, invokedMs, endedMs: nowMs() });
  }
  return told;
}

/** Whether some order of the calls leads from the model to what is shown in the end, with what each was told. */
function isExplained(model: Model, told: readonly Told[], shown: unknown): boolean {
  type Operation = { told: Told } | { shown: unknown };
  const step = (state: string, operation: Operation) => {
    const next: Model = JSON.parse(state);
    if ('shown' in operation) return isDeepStrictEqual(shownBy(next), operation.shown) ? [state] : [];
    const { told } = operation;
    return mayChangeNothing(told) || take(next, told.step) === told.answer ? [JSON.stringify(next)] : [];
  };
  const calls = told.map((told) => ({ told, invokedMs: told.invokedMs, endedMs: told.endedMs, optional: false }));
  const inTheEnd = { shown, invokedMs: Infinity, endedMs: Infinity, optional: false };
  return isLinearizable<Operation>({ initial: JSON.stringify(model), step }, [...calls, inTheEnd]);
}

/**
 * Answers that the model does not give: the sweeper leaves alone what somebody is working on, and of two clicks at once
 * the later one's session is the valid one, whichever is redeemed first.
 */
function mayChangeNothing({ step, answer }: Told): boolean {
  return (step.call === 'sweep' && answer === 'not_due') || answer === 'confirmation_used';
}

t.test(
  'what callers at once are told, and what comes of it, could have come of one caller after the other',
  async () => {
    const explained = fc.asyncProperty(beginning, beginning, lanes, async (first, second, lanes) => {
      const [run, model] = [await beginRun(shop), emptyModel()];
      for (const step of [...first, ...second]) await takeBoth(model, run, step);
      const told = (await Promise.all(lanes.map((steps) => playLane(run, steps)))).flat();
      const shown = await shownOf(run);
      if (!isExplained(model, told, shown)) throw new Error(`no order explains ${JSON.stringify({ told, shown })}`);
    });
    // What depends on timing cannot be shrunk.
    await fc.assert(explained, { ...trials, numRuns: 40, endOnFailure: true });
    await audit(shop.service.pool);
  },
);

t.test('a history that no order explains is told from one that some order does', async (t) => {
  const model = emptyModel();
  take(model, { call: 'create', lines: [{ item: 'tent', quantity: 1 }], customer: null });
  const cancelled = structuredClone(model);
  take(cancelled, { call: 'cancel', basket: 0 });
  const told = (call: 'cancel' | 'revoke', [invokedMs, endedMs]: [number, number], answer: Answer): Told => ({
    step: { call, basket: 0 },
    answer,
    invokedMs,
    endedMs,
  });
  const explained = (...all: Told[]) => isExplained(model, all, shownBy(cancelled));

  t.ok(explained(told('cancel', [0, 3], 'done'), told('cancel', [1, 2], 'basket_not_live')), 'one of two wins');
  t.notOk(explained(told('cancel', [0, 3], 'done'), told('cancel', [1, 2], 'done')), 'both win');
  t.notOk(
    explained(told('cancel', [2, 3], 'done'), told('cancel', [0, 1], 'basket_not_live')),
    'who was answered first is told of what came later',
  );
  t.notOk(explained(told('cancel', [0, 1], 'done'), told('revoke', [2, 3], 'done')), 'an ended basket is changed');
  t.notOk(isExplained(model, [told('cancel', [0, 1], 'done')], shownBy(model)), 'nothing comes of it');
});
