import t from 'tap';
import { currencyExponent } from '../../src/money/index.ts';

t.test('the minor unit is the one of ISO 4217, also where Intl says otherwise', async (t) => {
  for (const code of ['GBP', 'EUR', 'USD', 'IDR', 'HUF', 'PKR', 'COP', 'RSD', 'MGA']) {
    t.equal(currencyExponent(code), 2, code);
  }
  for (const code of ['JPY', 'KRW', 'CLP', 'ISK', 'XOF', 'UGX']) t.equal(currencyExponent(code), 0, code);
  for (const code of ['KWD', 'BHD', 'IQD', 'TND']) t.equal(currencyExponent(code), 3, code);
});

t.test('what nobody can pay in is not a currency: metals, test codes, funds, indices', async (t) => {
  for (const code of ['XXX', 'XTS', 'XAU', 'XDR', 'CHE', 'USN', 'XAD', 'CLF', 'UYW']) {
    t.equal(currencyExponent(code), null, code);
  }
});

t.test('a currency that was withdrawn is refused and its successor accepted', async (t) => {
  for (const [withdrawn, successor] of [
    ['BGN', 'EUR'],
    ['ANG', 'XCG'],
    ['ZWL', 'ZWG'],
    ['HRK', 'EUR'],
    ['SLL', 'SLE'],
  ] as const) {
    t.equal(currencyExponent(withdrawn), null, withdrawn);
    t.equal(currencyExponent(successor), 2, successor);
  }
});

t.test('text that is no code is refused, whatever objects inherit', async (t) => {
  for (const text of ['', 'gbp', ' GBP', 'GBPEUR', 'constructor', '__proto__']) {
    t.equal(currencyExponent(text), null, JSON.stringify(text));
  }
});
