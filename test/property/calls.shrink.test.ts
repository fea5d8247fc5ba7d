import fc from 'fast-check';
import t from 'tap';
import { callsAgreeWithModel } from './commands.ts';
import { items, type Model, take } from './model.ts';
import { openUnsweptShop } from './service.ts';
import type { Step } from './steps.ts';

const shop = await openUnsweptShop(t);

const maxCommands = 30;

/** Models that are wrong in one place each. To the test it is the service that is wrong. */
const wrongModels: Record<string, (model: Model, step: Step) => ReturnType<typeof take>> = {
  'a cancellation that does not give the stock back': (model, step) => {
    const before = structuredClone(model.stock);
    const answer = take(model, step);
    if (step.call === 'cancel' && answer === 'done') model.stock = before;
    return answer;
  },
  'a completion that does not look at the status': (model, step) => {
    const answer = take(model, step);
    return step.call === 'complete' && answer === 'basket_not_activated' ? 'done' : answer;
  },
  'a pool of which each item has all': (model, step) => {
    const answer = take(model, step);
    const pooled = step.call === 'create' && step.lines.some(({ item }) => items[item].stock === 'floor');
    return pooled && answer === 'insufficient_stock' ? 'done' : answer;
  },
};

for (const [what, takeInModel] of Object.entries(wrongModels)) {
  t.test(`${what} is found, shrunk to a handful of calls, and played again by seed and path`, async (t) => {
    const found = await fc.check(callsAgreeWithModel(shop, { takeInModel, maxCommands }), { numRuns: 200 });
    t.ok(found.failed, 'it is found');
    const calls = callsOf(found.counterexample);
    t.ok(calls.length <= 4, `few calls are left: ${calls.join(' ')}`);

    const { seed, counterexamplePath } = found;
    const replayPath = /replayPath="([^"]+)"/.exec(String(found.counterexample))?.[1] ?? 'none';
    const replay = callsAgreeWithModel(shop, { takeInModel, maxCommands, replayPath });
    const again = await fc.check(replay, { seed, path: counterexamplePath ?? '', endOnFailure: true });
    t.ok(again.failed, 'it is found again');
    t.same(callsOf(again.counterexample), calls, 'by the same calls');
    t.equal(again.numRuns, 1, 'at once');
  });
}

/** The calls of a counterexample, without the comment for replaying it. */
function callsOf(counterexample: [Iterable<unknown>] | null): string[] {
  return counterexample === null ? [] : [...counterexample[0]].map(String);
}
