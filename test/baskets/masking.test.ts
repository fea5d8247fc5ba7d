import t from 'tap';
import { maskAccount, maskEmail } from '../../src/baskets/index.ts';

t.test('a masked e-mail address shows its first character and its domain, and nothing else', async (t) => {
  for (const [email, masked] of [
    ['a@b.example', 'a…@b.example'],
    ['anna.long@b.example', 'a…@b.example'],
    ['"x@secret"@b.example', '"…@b.example'],
    ['😀smile@b.example', '😀…@b.example'],
    ['@b.example', '…@b.example'],
    ['no-address', 'n…'],
  ] as const) {
    t.equal(maskEmail(email), masked);
  }
});

t.test('an account is shown by its e-mail address, else its user name, both masked, else not at all', async (t) => {
  const customer = { id: 'cus-7', email: 'anna@b.example', name: 'Anna Long', username: 'Jo' };
  t.equal(maskAccount(customer), 'a…@b.example');
  t.equal(maskAccount({ ...customer, email: null }), 'J…');
  t.equal(maskAccount({ ...customer, email: null, username: '' }), null);
  t.equal(maskAccount({}), null);
});
