import { type Amounts, priceLine, type TaxMode } from './pricing.ts';

/** What a discount code takes off. */
export type Discount = {
  /** `percent`: off each line by itself. `fixed`: off the lines together, shared between them. */
  type: 'percent' | 'fixed';
  /** Basis points (1,000 are 10 %) of a percentage, minor units of a fixed amount. */
  value: number;
  /** The items whose lines it takes something off; null: all. */
  itemIds: readonly string[] | null;
  /** What the lines of these items must come to before any discount, in minor units. */
  minimumSpend: number;
};

/** A line as it is priced: see priceLine. */
export type DiscountedLine = {
  itemId: string;
  unitPriceMinor: number;
  quantity: number;
  taxRateTenThousandths: number;
};

/** Whether a discount takes something off lines: it has a line of its items, and they come to its minimum spend. */
export function isDue(discount: Discount, lines: readonly DiscountedLine[]): boolean {
  const eligible = lines.filter((line) => isEligible(discount, line));
  return eligible.length > 0 && sumOf(eligible.map(subtotalOf)) >= BigInt(discount.minimumSpend);
}

/**
 * Prices the lines of a basket with its discounts, in their order: each takes from what the ones before have left, and
 * none more than that. One that is not due (see isDue) takes nothing. Tax comes after all of them, see priceLine.
 *
 * A percentage is taken off each line by itself, rounded half up. A fixed amount is shared between its lines in proportion
 * to what is left of them, by the method of the largest remainder (Hamilton's): each gets its share rounded down, and the
 * minor units that are left over go to those with the largest remainders, the earlier line first where they are equal.
 */
export function priceDiscounted(
  lines: readonly DiscountedLine[],
  discounts: readonly Discount[],
  taxMode: TaxMode,
): Amounts[] {
  const due = discounts.filter((discount) => isDue(discount, lines));
  if (due.length === 0) return lines.map((line) => priceLine({ ...line, taxMode, discountMinor: 0 }));
  const left = lines.map((line) => BigInt(subtotalOf(line)));
  for (const discount of due) {
    const eligible = lines.flatMap((line, at) => (isEligible(discount, line) ? [at] : []));
    const before = eligible.map((at) => left[at] ?? 0n);
    const off =
      discount.type === 'percent'
        ? before.map((amount) => (2n * amount * BigInt(discount.value) + 10_000n) / 20_000n)
        : shareByLargestRemainder(BigInt(discount.value), before);
    for (const [nth, at] of eligible.entries()) left[at] = (before[nth] ?? 0n) - (off[nth] ?? 0n);
  }
  return lines.map((line, at) =>
    priceLine({ ...line, taxMode, discountMinor: subtotalOf(line) - Number(left[at] ?? 0n) }),
  );
}

/**
 * Shares an amount in proportion to weights, so that the shares are whole and add up to it: see priceDiscounted. More than
 * all weights together is cut to that, so that no share is larger than its weight.
 */
export function shareByLargestRemainder(amount: bigint, weights: readonly bigint[]): bigint[] {
  const whole = weights.reduce((sum, weight) => sum + weight, 0n);
  const shared = amount < whole ? amount : whole;
  if (shared === 0n) return weights.map(() => 0n);
  const shares = weights.map((weight) => (shared * weight) / whole);
  const leftOver = Number(shared - shares.reduce((sum, share) => sum + share, 0n));
  const byRemainder = weights
    .map((weight, at) => ({ at, remainder: (shared * weight) % whole }))
    .sort((a, b) => (a.remainder === b.remainder ? a.at - b.at : a.remainder < b.remainder ? 1 : -1));
  for (const { at } of byRemainder.slice(0, leftOver)) shares[at] = (shares[at] ?? 0n) + 1n;
  return shares;
}

function isEligible({ itemIds }: Discount, { itemId }: DiscountedLine): boolean {
  return itemIds === null || itemIds.includes(itemId);
}

function subtotalOf({ unitPriceMinor, quantity }: DiscountedLine): number {
  return unitPriceMinor * quantity;
}

function sumOf(amounts: readonly number[]): bigint {
  return amounts.reduce((sum, amount) => sum + BigInt(amount), 0n);
}
