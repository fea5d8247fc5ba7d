export { currencyExponent } from './currencies.ts';
export { decimalOf, minorOf } from './decimal.ts';
export { type Discount, isDue, priceDiscounted } from './discounts.ts';
export { formatMoney } from './format.ts';
export {
  type Amounts,
  MAX_PRICE_MINOR,
  priceLine,
  shareOfUnits,
  type TaxMode,
  taxRateToTenThousandths,
  totalsOf,
} from './pricing.ts';
