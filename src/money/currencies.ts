// ISO 4217 list one as published by the maintenance agency (SIX) on 2026-09-17, grouped by minor unit.
// Kept here because `Intl` follows what is customary in cash, not the standard (HUF, IDR, PKR and COP without decimals),
// and because its answer changes with the Node version: an amount stored today must mean the same after an upgrade.
//
// Left out on purpose: codes without a minor unit (metals, XDR, XTS, XXX, ...), the funds codes
// (BOV, CHE, CHW, CLF, COU, MXV, USN, UYI, XAD) and UYW. The last two kinds are indices and units of account:
// nobody can pay in them. CLF and UYW are the only codes with four decimals, so no price has more than three.
const codesByExponent: ReadonlyArray<readonly [exponent: number, codes: string]> = [
  [0, 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF'],
  [
    2,
    `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE
     CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR
     KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB
     PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY
     TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG`,
  ],
  [3, 'BHD IQD JOD KWD LYD OMR TND'],
];

const exponentByCode: ReadonlyMap<string, number> = new Map(
  codesByExponent.flatMap(([exponent, codes]) => codes.split(/\s+/).map((code) => [code, exponent] as const)),
);

/**
 * How many decimals the minor unit of a currency stands for: 2 for GBP (1 minor unit = 0.01), 0 for JPY, 3 for KWD.
 *
 * @param code ISO 4217 alphabetic code in capitals, as the standard writes it
 * @returns the exponent, or null for anything that is not a currency we sell in
 * @see https://www.six-group.com/en/products-services/financial-information/market-reference-data/data-standards.html
 */
export function currencyExponent(code: string): number | null {
  return exponentByCode.get(code) ?? null;
}
