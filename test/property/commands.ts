import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { TestShop } from '../support/journey.ts';
import { emptyModel, type Model, shownBy, take } from './model.ts';
import { beginRun, type Run, send, shownOf } from './service.ts';
import { type Step, stepsBut } from './steps.ts';

/**
 * How properties are tried: from the seed that FAULT_SEED names, to play again what a failed run printed, or none, another
 * one each time. A search for the smallest failure stops in time to tell what it has found, before tap stops the test.
 */
export const trials = {
  ...(process.env.FAULT_SEED === undefined ? {} : { seed: Number(process.env.FAULT_SEED) }),
  interruptAfterTimeLimit: 90_000,
  markInterruptAsFailure: true,
};

/** `insists` lets the call be made also when it will be refused; most do not, or runs would not get far. */
function asCommand(step: Step, insists: boolean, takeInModel: typeof take): fc.AsyncCommand<Model, Run> {
  return {
    check: (model) =>
      (!('basket' in step) || model.baskets.length > 0) &&
      (insists || takeInModel(structuredClone(model), step) === 'done'),
    async run(model, run) {
      const expected = takeInModel(model, step);
      const answer = await send(run, step);
      assertSame('the answer', answer, expected);
      assertSame('the shop after it', await shownOf(run), shownBy(model));
    },
    toString: () => JSON.stringify(step),
  };
}

function assertSame(what: string, actual: unknown, expected: unknown): void {
  if (isDeepStrictEqual(actual, expected)) return;
  throw new Error(`${what} is ${JSON.stringify(actual)}\nand should be ${JSON.stringify(expected)}`);
}

const insists = fc.constantFrom(false, false, false, true);

/**
 * The property that every call, one after the other, is answered as the model says and leaves behind what the model
 * says. `takeInModel` is another model for the test of this test.
 */
export function callsAgreeWithModel(shop: TestShop, { takeInModel = take, replayPath = '', maxCommands = 80 } = {}) {
  const commands = fc.commands(
    stepsBut().map((steps) => fc.tuple(steps, insists).map(([step, insists]) => asCommand(step, insists, takeInModel))),
    { size: 'max', maxCommands, ...(replayPath === '' ? {} : { replayPath }) },
  );
  return fc.asyncProperty(commands, async (commands) => {
    await fc.asyncModelRun(async () => ({ model: emptyModel(), real: await beginRun(shop) }), commands);
  });
}
