import fc from 'fast-check';
import t from 'tap';
import {
  type BasketCall,
  findImpossible,
  isLinearizable,
  newHistory,
  type StockCall,
  whyNotCounter,
} from './history.ts';
import { seededRandom } from './random.ts';

const stock = (
  kind: StockCall['kind'],
  quantity: number,
  invokedMs: number,
  endedMs: number,
  optional = false,
): StockCall => ({ kind, stockId: 'item:a', quantity, invokedMs, endedMs, optional });

const basket = (kind: string, invokedMs: number, endedMs: number, more: Partial<BasketCall> = {}): BasketCall => ({
  kind,
  basketId: 'bkt_1',
  invokedMs,
  endedMs,
  optional: false,
  ...more,
});

const never = Number.POSITIVE_INFINITY;

const soundStock: Record<string, StockCall[]> = {
  'two holds of one unit with the release between them': [
    stock('hold', 1, 0, 1),
    stock('release', 1, 2, 5),
    stock('hold', 1, 3, 4),
  ],
  'a refusal while all is held': [stock('hold', 1, 0, 1), stock('refusal', 1, 2, 3)],
  'a refusal beside the hold that it lost against': [stock('refusal', 1, 0, 5), stock('hold', 1, 0, 9)],
  'a refusal for a hold whose caller was never told': [stock('hold', 1, 0, never, true), stock('refusal', 1, 2, 3)],
  'a hold in spite of one whose caller was never told': [stock('hold', 1, 0, never, true), stock('hold', 1, 2, 3)],
  'a hold after an expiry that may have been carried out': [
    stock('hold', 1, 0, 1),
    stock('release', 1, 5, never, true),
    stock('hold', 1, 6, 7),
  ],
  'a refusal between a release and the hold after it': [
    stock('hold', 1, 0, 1),
    stock('release', 1, 2, 9),
    stock('refusal', 1, 3, 4),
    stock('hold', 1, 5, 8),
  ],
};

const unsoundStock: Record<string, StockCall[]> = {
  'one unit held twice': [stock('hold', 1, 0, 1), stock('hold', 1, 2, 3)],
  'one unit held twice at once': [stock('hold', 1, 0, 5), stock('hold', 1, 0, 5)],
  'one unit held again before its release was asked for': [
    stock('hold', 1, 0, 1),
    stock('hold', 1, 2, 3),
    stock('release', 1, 4, 5),
  ],
  'a refusal while nothing is held': [stock('refusal', 1, 0, 1), stock('hold', 1, 2, 3)],
  'a refusal after the release was answered': [
    stock('hold', 1, 0, 1),
    stock('release', 1, 2, 3),
    stock('refusal', 1, 4, 5),
  ],
  'a hold before the expiry of the one before': [
    stock('hold', 1, 0, 1),
    stock('hold', 1, 2, 3),
    stock('release', 1, 5, never, true),
  ],
  // Each bound alone allows it: the refusal needs the second hold before it, the third hold needs it after.
  'a refusal and a hold that exclude each other': [
    stock('hold', 1, 0, 1),
    stock('release', 1, 2, 3),
    stock('hold', 1, 2, 10, false),
    stock('refusal', 1, 4, 5),
    stock('hold', 1, 6, 7),
    stock('release', 1, 8, 9),
  ],
};

for (const [name, calls] of Object.entries(soundStock)) {
  t.test(`a stock history is accepted: ${name}`, async (t) => {
    t.equal(whyNotCounter(calls, 1), null);
  });
}
for (const [name, calls] of Object.entries(unsoundStock)) {
  t.test(`a stock history is found impossible: ${name}`, async (t) => {
    t.match(whyNotCounter(calls, 1), /held|no order/);
  });
}

t.test('the fast search of a counter says the same as the plain one', async (t) => {
  const call = fc
    .record({
      kind: fc.constantFrom<StockCall['kind'][]>('hold', 'release', 'refusal'),
      quantity: fc.integer({ min: 1, max: 2 }),
      invokedMs: fc.integer({ min: 0, max: 12 }),
      lasts: fc.integer({ min: 0, max: 6 }),
      optional: fc.boolean(),
    })
    .map(({ lasts, optional, ...call }) => ({
      ...call,
      stockId: 'item:a',
      optional: optional && call.kind !== 'refusal',
      endedMs: optional && call.kind !== 'refusal' ? never : call.invokedMs + lasts,
    }));
  const capacity = 2;
  const model = {
    initial: '0',
    step(state: string, { kind, quantity }: StockCall) {
      const taken = Number(state);
      if (kind === 'refusal') return taken + quantity > capacity ? [state] : [];
      const next = kind === 'hold' ? taken + quantity : taken - quantity;
      return next >= 0 && next <= capacity ? [String(next)] : [];
    },
  };
  const verdicts = { sound: 0, unsound: 0 };
  fc.assert(
    fc.property(fc.array(call, { minLength: 1, maxLength: 9 }), (calls) => {
      const plain = isLinearizable(model, calls);
      verdicts[plain ? 'sound' : 'unsound'] += 1;
      return (whyNotCounter(calls, capacity) === null) === plain;
    }),
    { numRuns: 3000 },
  );
  t.ok(verdicts.sound > 100 && verdicts.unsound > 100, JSON.stringify(verdicts));
});

/** What a sound service would have told 64 clients: each call happens at some moment of its time. */
function playedHistory(seed: number, length: number, capacity: number): StockCall[] {
  const next = seededRandom(seed);
  const moments = Array.from({ length }, (_, at) => ({ atMs: at + next() }));
  let taken = 0;
  const held: number[] = [];
  return moments.map(({ atMs }) => {
    const [invokedMs, endedMs] = [atMs - next() * 32, atMs + next() * 32];
    const quantity = 1 + Math.floor(next() * 3);
    const [last] = held;
    if (next() < 0.4 && last !== undefined) {
      held.shift();
      taken -= last;
      return stock('release', last, invokedMs, endedMs);
    }
    if (taken + quantity > capacity) return stock('refusal', quantity, invokedMs, endedMs);
    taken += quantity;
    held.push(quantity);
    return next() < 0.02
      ? stock('hold', quantity, invokedMs, never, true)
      : stock('hold', quantity, invokedMs, endedMs);
  });
}

t.test('thousands of calls with up to 64 under way are judged in seconds, sound or not', async (t) => {
  for (const seed of [1, 2, 3]) {
    const calls = playedHistory(seed, 5000, 40);
    t.ok(calls.filter(({ kind }) => kind === 'refusal').length > 500, 'stock ran out on the way');
    const startedMs = performance.now();
    t.equal(whyNotCounter(calls, 40), null, `seed ${seed}`);
    t.match(whyNotCounter(calls, 20), /must have been held/, 'with less than was sold');
    t.match(
      whyNotCounter(
        [...calls, stock('refusal', 1, 6000, 6001)].filter(({ kind }) => kind !== 'hold'),
        40,
      ),
      /refused/,
    );
    t.ok(performance.now() - startedMs < 5000, `${performance.now() - startedMs} ms`);
  }
});

t.test('a basket is judged by its states, and a lost answer may have taken effect at any time or never', async (t) => {
  const problems = (...calls: BasketCall[]) => findImpossible({ ...newHistory(), baskets: calls }, new Map()).length;
  const created = basket('create', 0, 1);
  const activated = basket('activate', 2, 3);
  const refused = (kind: string, refusedWith: string, from: number, to: number) =>
    basket(kind, from, to, { refusedWith });
  t.equal(problems(created, activated, basket('complete', 4, 5)), 0);
  t.equal(problems(created, basket('complete', 4, 5)), 1, 'completed before it was activated');
  t.equal(problems(created, activated, basket('cancel', 4, 5), basket('complete', 6, 7)), 1, 'completed after its end');
  t.equal(problems(created, basket('cancel', 2, 5), refused('cancel', 'basket_not_live', 3, 4)), 0, 'together');
  t.equal(
    problems(created, basket('cancel', 6, 7), refused('cancel', 'basket_not_live', 3, 4)),
    1,
    'told so too early',
  );
  const unknown = { optional: true, endedMs: never };
  t.equal(problems(created, basket('cancel', 2, 0, unknown), refused('cancel', 'basket_not_live', 6, 7)), 0);
  t.equal(problems(created, basket('cancel', 2, 0, unknown), activated, basket('complete', 4, 5)), 0);
  t.equal(problems(created, basket('cancel', 8, 0, unknown), refused('cancel', 'basket_not_live', 6, 7)), 1);
});
