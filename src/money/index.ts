export { currencyExponent } from './currencies.ts';
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
