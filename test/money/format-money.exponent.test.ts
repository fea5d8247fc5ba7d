import fc from 'fast-check';
import t from 'tap';
import { currencyExponent, formatMoney } from '../../src/money/index.ts';

t.test('an amount is written in the manner of the locale', async (t) => {
  t.equal(formatMoney(123_456, 'GBP', 'en-GB'), '£1,234.56');
  t.match(formatMoney(123_456, 'EUR', 'de-DE'), /^1\.234,56\s€$/);
});

t.test('the decimals are those of ISO 4217, also where Intl would drop them', async (t) => {
  t.match(formatMoney(2500, 'JPY', 'en-GB'), /2,500$/);
  t.match(formatMoney(2500, 'KWD', 'en-GB'), /2\.500$/);
  t.match(formatMoney(2599, 'HUF', 'en-GB'), /25\.99$/);
  t.match(formatMoney(2599, 'IDR', 'en-GB'), /25\.99$/);
});

t.test('no digit of an amount is lost or rounded, however large', async () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.constantFrom('JPY', 'GBP', 'HUF', 'KWD'), (amountMinor, currency) => {
      const digits = formatMoney(amountMinor, currency, 'en-GB').replaceAll(/[^0-9]/g, '');
      return digits === String(amountMinor).padStart((currencyExponent(currency) ?? 0) + 1, '0');
    }),
  );
});

t.test('what is not a currency is an error, not a guess', async (t) => {
  t.throws(() => formatMoney(100, 'XXX', 'en-GB'), RangeError);
  t.throws(() => formatMoney(100, 'BGN', 'bg-BG'), RangeError);
});
