import fc from 'fast-check';
import t from 'tap';
import {
  type Amounts,
  MAX_PRICE_MINOR,
  priceLine,
  shareOfUnits,
  type TaxMode,
  totalsOf,
} from '../../src/money/pricing.ts';

const MAX_QUANTITY = 10_000;
const taxMode = fc.constantFrom<TaxMode>('exclusive', 'inclusive');
const rate = fc.integer({ min: 0, max: 10_000 });
const line = fc
  .record({
    unitPriceMinor: fc.integer({ min: 0, max: MAX_PRICE_MINOR }),
    quantity: fc.integer({ min: 1, max: MAX_QUANTITY }),
    taxRateTenThousandths: rate,
    taxMode,
  })
  .chain((priced) =>
    fc
      .integer({ min: 0, max: priced.unitPriceMinor * priced.quantity })
      .map((discountMinor) => ({ ...priced, discountMinor })),
  );

function taxOf(unitPriceMinor: number, taxRateTenThousandths: number, mode: TaxMode): number {
  return priceLine({ unitPriceMinor, quantity: 1, discountMinor: 0, taxRateTenThousandths, taxMode: mode }).tax;
}

t.test('two tickets of 25.00 at 20 %: tax on top, or found inside', async (t) => {
  const tickets = { unitPriceMinor: 2500, quantity: 2, discountMinor: 0, taxRateTenThousandths: 2000 };
  t.strictSame(priceLine({ ...tickets, taxMode: 'exclusive' }), {
    subtotal: 5000,
    discount: 0,
    tax: 1000,
    total: 6000,
  });
  t.strictSame(priceLine({ ...tickets, taxMode: 'inclusive' }), { subtotal: 5000, discount: 0, tax: 833, total: 5000 });
});

t.test('tax is taken on what is left after the discount', async (t) => {
  const tickets = { unitPriceMinor: 2500, quantity: 2, discountMinor: 2000, taxRateTenThousandths: 2000 };
  t.strictSame(priceLine({ ...tickets, taxMode: 'exclusive' }), {
    subtotal: 5000,
    discount: 2000,
    tax: 600,
    total: 3600,
  });
  t.strictSame(priceLine({ ...tickets, taxMode: 'inclusive' }), {
    subtotal: 5000,
    discount: 2000,
    tax: 500,
    total: 3000,
  });
});

t.test('tax is within half a minor unit of the exact amount, up to the dearest line', async () => {
  // The exact tax of this line ends in .4984; calculated in doubles it would be rounded up.
  const beyondDoubles = {
    unitPriceMinor: MAX_PRICE_MINOR,
    quantity: MAX_QUANTITY,
    discountMinor: 4984,
    taxRateTenThousandths: 9999,
    taxMode: 'exclusive' as const,
  };
  fc.assert(
    fc.property(line, (line) => {
      const { subtotal, discount, tax } = priceLine(line);
      const part = BigInt(line.taxRateTenThousandths);
      const whole = line.taxMode === 'inclusive' ? 10_000n + part : 10_000n;
      const twiceError = 2n * (BigInt(tax) * whole - BigInt(subtotal - discount) * part);
      // Half up: the upper bound may be reached, the lower one may not.
      return twiceError <= whole && twiceError > -whole;
    }),
    { examples: [[beyondDoubles]] },
  );
});

t.test('an exact half goes up, in both modes', async () => {
  const half = fc.integer({ min: 0, max: 100_000 });
  fc.assert(
    fc.property(half, fc.constantFrom(1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 625, 5000), (wholes, divisor) => {
      // A base of divisor * (2 * wholes + 1) at a rate of 1 / (2 * divisor) owes exactly wholes + 0.5.
      return taxOf(divisor * (2 * wholes + 1), 5000 / divisor, 'exclusive') === wholes + 1;
    }),
  );
  fc.assert(
    fc.property(half, fc.constantFrom(1, 5, 25, 125, 625), (wholes, divisor) => {
      // At a rate of 1 / divisor, 1 / (divisor + 1) of the price is tax.
      return taxOf(((divisor + 1) / 2) * (2 * wholes + 1), 10_000 / divisor, 'inclusive') === wholes + 1;
    }),
  );
});

t.test('what is owed adds up in both modes, and nothing is ever negative or broken', async () => {
  fc.assert(
    fc.property(line, (line) => {
      const { subtotal, discount, tax, total } = priceLine(line);
      const adds = total === subtotal - discount + (line.taxMode === 'exclusive' ? tax : 0);
      const contained = line.taxMode === 'exclusive' || tax <= total;
      return adds && contained && [subtotal, discount, tax, total].every((n) => Number.isSafeInteger(n) && n >= 0);
    }),
  );
});

t.test('a price that states the exclusive total contains the very tax that was added', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: MAX_PRICE_MINOR / 2 }), rate, (netMinor, rate) => {
      const tax = taxOf(netMinor, rate, 'exclusive');
      return taxOf(netMinor + tax, rate, 'inclusive') === tax;
    }),
  );
});

t.test('a line that cannot be priced is an error, not a wrong amount', async (t) => {
  const tickets = {
    unitPriceMinor: 100,
    quantity: 1,
    discountMinor: 0,
    taxRateTenThousandths: 0,
    taxMode: 'exclusive' as const,
  };
  t.throws(() => priceLine({ ...tickets, discountMinor: 101 }), RangeError);
  t.throws(() => priceLine({ ...tickets, discountMinor: -1 }), RangeError);
  t.throws(() => priceLine({ ...tickets, unitPriceMinor: 0.5 }), RangeError);
  t.throws(() => priceLine({ ...tickets, unitPriceMinor: Number.MAX_SAFE_INTEGER, quantity: 2 }), RangeError);
});

t.test('the totals are the sums of the lines', async () => {
  fc.assert(
    fc.property(fc.array(line, { maxLength: 50 }), (lines) => {
      const priced = lines.map(priceLine);
      const totals = totalsOf(priced);
      return (['subtotal', 'discount', 'tax', 'total'] as const).every(
        (field) => BigInt(totals[field]) === priced.reduce((sum, line) => sum + BigInt(line[field]), 0n),
      );
    }),
  );
});

t.test('totals too large to be exact are an error, not a rounded amount', async (t) => {
  const half: Amounts = { subtotal: 2 ** 52, discount: 0, tax: 0, total: 2 ** 52 };
  t.throws(() => totalsOf([half, half]), RangeError);
});

t.test('the shares of a line’s units add up to its total, and none is off by more than a minor unit', async () => {
  const divided = fc.integer({ min: 1, max: MAX_QUANTITY }).chain((quantity) =>
    fc.record({
      quantity: fc.constant(quantity),
      totalMinor: fc.nat({ max: MAX_PRICE_MINOR * quantity }),
      cuts: fc.array(fc.nat({ max: quantity }), { maxLength: 5 }),
    }),
  );
  const addUp = fc.property(divided, ({ quantity, totalMinor, cuts }) => {
    const ends = [0, ...cuts, quantity].sort((a, b) => a - b);
    const shares = ends.slice(1).map((to, at) => ({ to, from: ends[at] ?? 0 }));
    const amounts = shares.map(({ from, to }) => shareOfUnits(totalMinor, quantity, from, to));
    const isFair = shares.every(
      ({ from, to }, at) => Math.abs((amounts[at] ?? 0) - (totalMinor * (to - from)) / quantity) <= 1.01,
    );
    return isFair && amounts.reduce((sum, amount) => sum + amount, 0) === totalMinor;
  });
  fc.assert(addUp);
});
