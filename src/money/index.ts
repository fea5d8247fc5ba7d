export { currencyExponent } from './currencies.ts';
export { type Discount, isDue, priceDiscounted } from './discounts.ts';
export { formatMoney } from './format.ts';
export {
  type Amounts,
  MAX_PRICE_MINOR,
  shareOfUnits,
  type TaxMode,
  taxRateToTenThousandths,
  totalsOf,
} from './pricing.ts';
