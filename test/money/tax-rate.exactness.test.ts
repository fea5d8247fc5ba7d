import fc from 'fast-check';
import t from 'tap';
import { taxRateToTenThousandths } from '../../src/money/index.ts';

t.test('every rate of up to four decimals is taken exactly', async (t) => {
  const off = Array.from({ length: 10_001 }, (_, n) => n).filter(
    (n) => taxRateToTenThousandths(Number(`${n}e-4`)) !== n || taxRateToTenThousandths(n / 10_000) !== n,
  );
  t.strictSame(off, []);
});

t.test('a rate with more decimals is refused, however close it is to one with fewer', async (t) => {
  for (const rate of [0.00001, 0.08255, 0.1 + 0.2, 0.20000000000000004, 0.99999, Number.MIN_VALUE]) {
    t.equal(taxRateToTenThousandths(rate), null, String(rate));
  }
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 99_999 }), fc.integer({ min: 1, max: 9 }), (start, last) => {
      const rate = Number(`${Math.floor(start / 10) * 10 + last}e-5`);
      return taxRateToTenThousandths(rate) === null;
    }),
  );
});

t.test('a rate out of 0 to 1, or no number at all, is refused', async (t) => {
  for (const rate of [-0.0001, -1, 1.0001, 20, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    t.equal(taxRateToTenThousandths(rate), null, String(rate));
  }
});
