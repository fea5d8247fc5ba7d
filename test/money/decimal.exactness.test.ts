import fc from 'fast-check';
import t from 'tap';
import { decimalOf, MAX_PRICE_MINOR, minorOf } from '../../src/money/index.ts';

t.test('a decimal has the places of the currency, and no more', async (t) => {
  t.equal(JSON.stringify([2599, 2590, 1, 0].map((minor) => decimalOf(minor, 'GBP'))), '[25.99,25.9,0.01,0]');
  t.equal(decimalOf(2599, 'JPY'), 2599);
  t.equal(decimalOf(2599, 'KWD'), 2.599);
});

t.test('every price reads back as what it was', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: MAX_PRICE_MINOR }),
      fc.constantFrom('JPY', 'GBP', 'KWD'),
      (minor, currency) => minorOf(JSON.parse(JSON.stringify(decimalOf(minor, currency))), currency) === minor,
    ),
  );
});

t.test('what lies between two minor units is not rounded, but refused', async (t) => {
  for (const [decimal, currency] of [
    [0.5, 'JPY'],
    [25.999, 'GBP'],
    [0.1 + 0.2, 'GBP'],
    [2.5999, 'KWD'],
    [Number.POSITIVE_INFINITY, 'GBP'],
    [Number.NaN, 'GBP'],
  ] as const) {
    t.equal(minorOf(decimal, currency), null, `${decimal} ${currency}`);
  }
});

t.test('what is not a currency is an error, not a guess', async (t) => {
  t.throws(() => decimalOf(100, 'XXX'), RangeError);
  t.throws(() => minorOf(1, 'XXX'), RangeError);
});
