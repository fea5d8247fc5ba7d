import { currencyExponent } from './currencies.ts';

/**
 * An amount as people of a locale write it, such as "£25.00". For pages, never for a machine to read back.
 *
 * @param amountMinor minor units of `currency`
 * @param currency a currency we sell in
 * @param locale BCP 47 language tag; an unknown one falls back to the default of the runtime
 * @throws RangeError for another currency or a malformed tag
 */
export function formatMoney(amountMinor: number, currency: string, locale: string): string {
  const exponent = currencyExponent(currency);
  if (exponent === null) throw new RangeError(`not a currency we sell in: ${currency}`);
  const format = new Intl.NumberFormat(locale, {
    style: 'currency',
    currency,
    minimumFractionDigits: exponent,
    maximumFractionDigits: exponent,
  });
  // As decimal text, which Intl reads exactly: divided as a double, the largest amounts come out a minor unit off.
  const decimal = `${amountMinor}E-${exponent}` as `${number}`;
  return format.format(decimal);
}
