import { currencyExponent } from './currencies.ts';

/**
 * An amount as a JSON number in major units, as Tebex writes it: 2,599 minor units of GBP are 25.99. Dividing by a power
 * of ten gives the double that is written as this decimal.
 *
 * @param currency a currency we sell in
 * @throws RangeError for another currency
 */
export function decimalOf(amountMinor: number, currency: string): number {
  return amountMinor / unitsOf(currency);
}

/**
 * The amount that a decimal in major units stands for, in minor units: the inverse of decimalOf. Null for what lies
 * between two minor units.
 *
 * @param currency a currency we sell in
 * @throws RangeError for another currency
 */
export function minorOf(decimal: number, currency: string): number | null {
  const amountMinor = Math.round(decimal * unitsOf(currency));
  // Quotients are compared: the product of 1.1 and 1,000 is 1,100.0000000000002.
  return Number.isSafeInteger(amountMinor) && decimalOf(amountMinor, currency) === decimal ? amountMinor : null;
}

/** How many minor units make a major one. */
function unitsOf(currency: string): number {
  const exponent = currencyExponent(currency);
  if (exponent === null) throw new RangeError(`not a currency we sell in: ${currency}`);
  return 10 ** exponent;
}
