import { type Html, html } from './html.ts';

// Digits after the point where they are not two, from ISO 4217. Intl disagrees with it, for HUF and IDR among others.
const ISO_4217_DIGITS: Readonly<Record<string, number>> = Object.fromEntries([
  ...'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'.split(' ').map((code) => [code, 0]),
  ...'BHD IQD JOD KWD LYD OMR TND'.split(' ').map((code) => [code, 3]),
  ...'CLF UYW'.split(' ').map((code) => [code, 4]),
]);

// The shop speaks British English and is in London, wherever its server runs.
const LOCALE = 'en-GB';
const CLOCK = new Intl.DateTimeFormat(LOCALE, {
  hour: '2-digit',
  minute: '2-digit',
  timeZone: 'Europe/London',
  timeZoneName: 'short',
});

/** `2500, 'GBP'` as `£25.00`: an integer amount in minor units of an ISO 4217 currency. */
export function formatMoney(amountMinor: number, currency: string): string {
  const digits = ISO_4217_DIGITS[currency] ?? 2;
  const format = { style: 'currency', currency, minimumFractionDigits: digits, maximumFractionDigits: digits } as const;
  return new Intl.NumberFormat(LOCALE, format).format(amountMinor / 10 ** digits);
}

/** An ISO 8601 moment as the time of day in London, in a `time` element. */
export function formatTime(moment: string): Html {
  return html`<time datetime="${moment}">${CLOCK.format(new Date(moment))}</time>`;
}
