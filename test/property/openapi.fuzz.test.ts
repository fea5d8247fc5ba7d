import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { audit } from '../support/audit.ts';
import { type Call, type Credential, callsAs, movesOf, nobodies } from './fuzz.calls.ts';
import { readDocument } from './fuzz.document.ts';
import { beginRun, endRun, openWorld, play } from './fuzz.world.ts';

const { FUZZ_CALLS, FUZZ_SEED, FUZZ_PATH } = process.env;

/** How many calls are made, about: a run has fifty on an average, and a dozen to begin with. */
const wantedCalls = Number(FUZZ_CALLS ?? 1500);
const numRuns = Math.ceil(wantedCalls / 62);
/**
 * The seed and path of a failure, to play it again and to shrink it. None: another seed each time that so many calls are
 * asked for, and always the same where nobody has asked, so that whoever changes something else is not told of this.
 */
const seed = Number(FUZZ_SEED ?? (FUZZ_CALLS === undefined ? 1 : randomInt(2 ** 31)));
const path = FUZZ_PATH === undefined ? { endOnFailure: true } : { path: FUZZ_PATH };

const document = readDocument();
// Two hundred calls a second are made on a machine that does nothing else; the runner gives a file two minutes.
t.setTimeout(120_000 + 100 * wantedCalls);
const world = await openWorld(t, document.operations);

/** A call of an operation in which nothing is wrong but, perhaps, this credential. */
function aCallOf(id: string, credential: Credential, nth = 0): Call {
  const operation = world.operations.get(id);
  if (operation === undefined) throw new Error(`openapi.yaml has no operation ${id}`);
  // The first values of seeds that follow each other are much alike, those of one seed are not.
  const call = fc.sample(callsAs(document, operation, credential), { seed, numRuns: nth + 1 }).at(-1);
  if (call === undefined) throw new Error('no call was generated');
  return call;
}

const right: Credential = { as: 'right', scope: 0, partner: false };
const worthless: Credential[] = [
  ...nobodies.map((how) => ({ as: 'nobody' as const, how, nth: 0 })),
  { as: 'tooLittle' },
];

t.test('no operation that asks for a credential does anything without one that is worth it', async (t) => {
  const run = await beginRun(world, 'token');
  const secured = document.operations.filter(({ secured }) => secured);
  // A key that was known a moment ago.
  await play(run, { call: aCallOf('listItems', { as: 'apiKey', nth: 0 }) });
  await play(run, { call: aCallOf('deleteApiKey', right) });
  const before = world.calls;
  for (const { id } of secured) for (const one of worthless) await play(run, { call: aCallOf(id, one) });
  t.equal(world.calls - before, secured.length * worthless.length, 'each is judged');
  await endRun(run);
});

t.test('whatever is sent to any operation, it is answered as openapi.yaml says', async (t) => {
  const startedAt = performance.now();
  const run = fc.record({
    linkFormat: fc.constantFrom('token', 'laravel'),
    moves: fc.array(movesOf(document), { minLength: 1, maxLength: 100, size: 'max' }),
  });
  const answeredAsDocumented = fc.asyncProperty(fc.noBias(run), async ({ linkFormat, moves }) => {
    const run = await beginRun(world, linkFormat);
    for (const move of moves) await play(run, move);
    await endRun(run);
  });
  const result = await fc.check(answeredAsDocumented, { seed, ...path, numRuns });
  if (result.failed) {
    const replay = `FUZZ_SEED=${seed} FUZZ_PATH=${result.counterexamplePath} FUZZ_CALLS=${wantedCalls}`;
    t.fail(`${String(result.errorInstance)}\nplay it again, and shrink it: ${replay}`);
  }
  await audit(world.neighbour.service.pool);

  const seconds = Math.round((performance.now() - startedAt) / 1000);
  t.comment(`seed ${seed}: ${world.calls} calls in ${seconds} s, in ${world.runs} shops`);
  t.comment(`answers: ${JSON.stringify(world.byClass)}`);
});

/** The calls that make one of an operation possible, where it is not the start of a checkout. */
const leadingTo: Readonly<Record<string, readonly string[]>> = {
  refundBasket: ['startCheckout', 'completeBasket'],
  recreateBasket: ['cancelBasket'],
  removeCode: [],
};

t.test('every operation has been called and has done what it is for', async (t) => {
  // What has always been refused by chance is tried in new shops. Nothing is known to be impossible.
  for (const [id, count] of world.byOperation) {
    for (let nth = 0; count.successes === 0 && nth < 30; nth += 1) {
      const run = await beginRun(world, 'token');
      for (const step of leadingTo[id] ?? ['startCheckout']) await play(run, { call: aCallOf(step, right, nth) });
      await play(run, { call: aCallOf(id, right, nth) });
      await endRun(run);
    }
  }
  const counts = [...world.byOperation];
  t.comment(counts.map(([id, { calls, successes }]) => `${id} ${successes} of ${calls}`).join(', '));
  const never = counts.filter(([, { successes }]) => successes === 0).map(([id]) => id);
  t.same(never, [], 'none has always been refused');
});
