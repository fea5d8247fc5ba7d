/** The highest unit price that is accepted, in minor units. */
export const MAX_PRICE_MINOR = 1_000_000_000;

/** `exclusive`: tax comes on top of the price. `inclusive`: the price already contains it. */
export type TaxMode = 'exclusive' | 'inclusive';

/**
 * What a line, or a basket, costs. Whole minor units, none negative.
 * `subtotal` is as priced (with tax inside when prices are inclusive), `total` is what is owed.
 */
export interface Amounts {
  subtotal: number;
  discount: number;
  tax: number;
  total: number;
}

/**
 * A tax rate as an integer, so that no rule calculates with binary fractions.
 *
 * @param rate fraction from 0 to 1 with at most 4 decimals, such as 0.0825
 * @returns the rate times 10,000 (825), or null when it is out of range or has more decimals
 */
export function taxRateToTenThousandths(rate: number): number | null {
  const tenThousandths = Math.round(rate * 10_000);
  // Both the quotient and a rate written with 4 decimals are the double nearest to the same decimal, so equality is exact;
  // comparing the product instead would refuse 0.0003, whose product is 2.9999999999999996.
  const hasAtMostFourDecimals = tenThousandths / 10_000 === rate;
  return hasAtMostFourDecimals && rate >= 0 && rate <= 1 ? tenThousandths : null;
}

/**
 * Prices one line: discount first, then tax on what is left, rounded half up once for the whole line.
 * Rounding per unit instead would let the tax of a large line drift by as much as half a minor unit a ticket.
 *
 * @param line.unitPriceMinor 0 to `MAX_PRICE_MINOR`
 * @param line.discountMinor off the whole line, at most its subtotal
 * @param line.taxRateTenThousandths 0 to 10,000, see `taxRateToTenThousandths`
 * @throws RangeError when the line is not made of whole amounts that fit, or the discount exceeds the subtotal
 */
export function priceLine(line: {
  unitPriceMinor: number;
  quantity: number;
  discountMinor: number;
  taxRateTenThousandths: number;
  taxMode: TaxMode;
}): Amounts {
  const subtotal = assertMinor(line.unitPriceMinor * line.quantity);
  const discount = assertMinor(line.discountMinor);
  const base = assertMinor(subtotal - discount);
  const inclusive = line.taxMode === 'inclusive';
  const tax = shareHalfUp(base, line.taxRateTenThousandths, inclusive ? 10_000 + line.taxRateTenThousandths : 10_000);
  return { subtotal, discount, tax, total: assertMinor(inclusive ? base : base + tax) };
}

/**
 * The totals of a basket: the sums of its lines, so that what is shown always adds up.
 *
 * @throws RangeError when a sum is too large to be exact
 */
export function totalsOf(lines: readonly Amounts[]): Amounts {
  // Checking the end result is enough: nothing is negative, so a sum that has left the safe integers never comes back.
  const sumOf = (field: keyof Amounts) => assertMinor(lines.reduce((sum, line) => sum + line[field], 0));
  return { subtotal: sumOf('subtotal'), discount: sumOf('discount'), tax: sumOf('tax'), total: sumOf('total') };
}

/**
 * What of a line's total falls on its units after the first `from`, up to and with `to`. Each share is the difference of
 * two rounded sums, so that the shares of all units add up to the total exactly, however they are taken.
 *
 * @param totalMinor what the line came to
 * @param quantity how many units it has, at least 1
 */
export function shareOfUnits(totalMinor: number, quantity: number, from: number, to: number): number {
  return assertMinor(shareHalfUp(totalMinor, to, quantity) - shareHalfUp(totalMinor, from, quantity));
}

// amountMinor * part / whole, rounded half up. The product passes 2^53 for large lines, where doubles skip integers.
function shareHalfUp(amountMinor: number, part: number, whole: number): number {
  const divisor = BigInt(whole);
  return Number((2n * BigInt(amountMinor) * BigInt(part) + divisor) / (2n * divisor));
}

function assertMinor(amountMinor: number): number {
  if (!Number.isSafeInteger(amountMinor) || amountMinor < 0) {
    throw new RangeError(`not an amount in minor units: ${amountMinor}`);
  }
  return amountMinor;
}
