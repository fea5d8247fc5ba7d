import fc from 'fast-check';
import t from 'tap';
import {
  type Discount,
  type DiscountedLine,
  isDue,
  priceDiscounted,
  shareByLargestRemainder,
} from '../../src/money/discounts.ts';
import { MAX_PRICE_MINOR, type TaxMode, totalsOf } from '../../src/money/pricing.ts';

const itemId = fc.constantFrom('stalls', 'circle', 'mug');
const line: fc.Arbitrary<DiscountedLine> = fc.record({
  itemId,
  // Small prices leave remainders, large ones pass what doubles can count.
  unitPriceMinor: fc.oneof(fc.nat({ max: 20 }), fc.integer({ min: 0, max: MAX_PRICE_MINOR })),
  quantity: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 10_000 })),
  taxRateTenThousandths: fc.integer({ min: 0, max: 10_000 }),
});
const itemIds = fc.option(fc.uniqueArray(itemId, { minLength: 1, maxLength: 2 }));
const minimumSpend = fc.oneof(fc.constant(0), fc.nat({ max: 10_000 }));
const percent = fc.record({
  type: fc.constant('percent' as const),
  value: fc.integer({ min: 1, max: 10_000 }),
  itemIds,
  minimumSpend,
});
const fixed = fc.record({
  type: fc.constant('fixed' as const),
  value: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: MAX_PRICE_MINOR })),
  itemIds,
  minimumSpend,
});
const discount: fc.Arbitrary<Discount> = fc.oneof(percent, fixed);
const lines = fc.array(line, { maxLength: 8 });
const discounts = fc.array(discount, { maxLength: 4 });
const taxMode = fc.constantFrom<TaxMode>('exclusive', 'inclusive');

const ticket = (unitPriceMinor: number, quantity = 1, more: Partial<DiscountedLine> = {}): DiscountedLine => ({
  itemId: 'stalls',
  unitPriceMinor,
  quantity,
  taxRateTenThousandths: 0,
  ...more,
});
const off = (type: 'percent' | 'fixed', value: number, more: Partial<Discount> = {}): Discount => ({
  ...{ type, value, itemIds: null, minimumSpend: 0 },
  ...more,
});
const discountsOf = (priced: readonly DiscountedLine[], given: readonly Discount[]) =>
  priceDiscounted(priced, given, 'exclusive').map((amounts) => amounts.discount);

t.test('10 % of two tickets at 25.00 and 20 % tax: tax is on what is left, added or inside', async (t) => {
  const tickets = [ticket(2500, 2, { taxRateTenThousandths: 2000 })];
  const [exclusive] = priceDiscounted(tickets, [off('percent', 1000)], 'exclusive');
  t.strictSame(exclusive, { subtotal: 5000, discount: 500, tax: 900, total: 5400 });
  const [inclusive] = priceDiscounted(tickets, [off('percent', 1000)], 'inclusive');
  t.strictSame(inclusive, { subtotal: 5000, discount: 500, tax: 750, total: 4500 });
});

t.test('10.00 off three equal lines: the first gets the minor unit that is left over', async (t) => {
  t.strictSame(discountsOf([ticket(2500), ticket(2500), ticket(2500)], [off('fixed', 1000)]), [334, 333, 333]);
});

t.test('the minor unit that is left over goes to the largest remainder, not to the first line', async (t) => {
  // A tenth of 3, 5 and 2: 0.3, 0.5 and 0.2.
  t.strictSame(discountsOf([ticket(3), ticket(5), ticket(2)], [off('fixed', 1)]), [0, 1, 0]);
});

t.test('discounts count in the order in which they were given, each on what the one before left', async (t) => {
  const [half, tenner] = [off('percent', 5000), off('fixed', 1000)];
  t.strictSame(discountsOf([ticket(3000)], [half, tenner]), [2500]);
  t.strictSame(discountsOf([ticket(3000)], [tenner, half]), [2000]);
});

t.test('an exact half of a percentage goes up', async (t) => {
  t.strictSame(discountsOf([ticket(5)], [off('percent', 1000)]), [1]);
  t.strictSame(discountsOf([ticket(4)], [off('percent', 1000)]), [0]);
});

t.test('a discount of some items leaves the others alone, and asks them alone for its minimum', async (t) => {
  const both = [ticket(3000), ticket(1000, 1, { itemId: 'mug' })];
  const ofMugs = off('percent', 5000, { itemIds: ['mug'], minimumSpend: 1000 });
  t.strictSame(discountsOf(both, [ofMugs]), [0, 500]);
  t.strictSame(discountsOf(both, [{ ...ofMugs, minimumSpend: 1001 }]), [0, 0]);
  t.equal(isDue(off('fixed', 1, { itemIds: ['circle'] }), both), false, 'there is none of its items');
});

t.test('the minimum is of what lines cost before any discount', async (t) => {
  const given = [off('fixed', 2000), off('fixed', 500, { minimumSpend: 3000 })];
  t.strictSame(discountsOf([ticket(3000)], given), [2500]);
});

t.test('shares are whole, add up exactly, and differ from their proportion by less than one', async () => {
  const weight = fc.oneof(fc.bigInt({ min: 0n, max: 20n }), fc.bigInt({ min: 0n, max: 10n ** 13n }));
  fc.assert(
    fc.property(fc.array(weight, { maxLength: 12 }), fc.bigInt({ min: 0n, max: 10n ** 13n }), (weights, amount) => {
      const whole = weights.reduce((sum, each) => sum + each, 0n);
      const shares = shareByLargestRemainder(amount, weights);
      const shared = shares.reduce((sum, each) => sum + each, 0n);
      return (
        (amount < whole ? shared === amount : shared === whole) &&
        shares.every((share, at) => {
          const weight = weights[at] ?? 0n;
          const error = share * whole - shared * weight;
          return share >= 0n && share <= weight && (whole === 0n || (error < whole && error > -whole));
        })
      );
    }),
  );
});

t.test('whatever the discounts: no line goes below zero, and all that is shown adds up', async () => {
  fc.assert(
    fc.property(lines, discounts, taxMode, (lines, discounts, taxMode) => {
      const priced = priceDiscounted(lines, discounts, taxMode);
      const totals = totalsOf(priced);
      const fields = ['subtotal', 'discount', 'tax', 'total'] as const;
      return (
        priced.length === lines.length &&
        priced.every(({ subtotal, discount, tax, total }, at) => {
          const line = lines[at];
          const part = BigInt(line?.taxRateTenThousandths ?? 0);
          const whole = taxMode === 'inclusive' ? 10_000n + part : 10_000n;
          const twiceError = 2n * (BigInt(tax) * whole - BigInt(subtotal - discount) * part);
          return (
            subtotal === (line?.unitPriceMinor ?? 0) * (line?.quantity ?? 0) &&
            discount >= 0 &&
            discount <= subtotal &&
            twiceError <= whole &&
            twiceError > -whole &&
            total === subtotal - discount + (taxMode === 'exclusive' ? tax : 0)
          );
        }) &&
        fields.every((field) => BigInt(totals[field]) === priced.reduce((sum, each) => sum + BigInt(each[field]), 0n))
      );
    }),
  );
});

t.test(
  'a discount more never makes anything dearer, and a fixed one takes all of its amount while there is enough',
  async () => {
    fc.assert(
      fc.property(lines, discounts, discount, taxMode, (lines, before, next, taxMode) => {
        const [without, with_] = [before, [...before, next]].map((given) => priceDiscounted(lines, given, taxMode));
        const eligible = ({ itemId }: DiscountedLine) => next.itemIds?.includes(itemId) ?? true;
        let [taken, left] = [0, 0];
        for (const [at, line] of lines.entries()) {
          const { subtotal = 0, discount = 0 } = without?.[at] ?? {};
          const more = (with_?.[at]?.discount ?? 0) - discount;
          if (more < 0 || (more > 0 && !eligible(line))) return false;
          taken += more;
          if (eligible(line)) left += subtotal - discount;
        }
        if (!isDue(next, lines)) return taken === 0;
        return next.type === 'percent' || taken === Math.min(next.value, left);
      }),
    );
  },
);

t.test('without discounts a line costs what it costs alone', async () => {
  fc.assert(
    fc.property(lines, taxMode, (lines, taxMode) => {
      const together = priceDiscounted(lines, [], taxMode);
      const alone = lines.flatMap((line) => priceDiscounted([line], [], taxMode));
      return JSON.stringify(together) === JSON.stringify(alone);
    }),
  );
});
