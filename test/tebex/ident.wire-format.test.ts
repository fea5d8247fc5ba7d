import t from 'tap';
import { deriveKeyring } from '../../src/platform/crypto.ts';
import {
  identPurpose,
  paymentPurpose,
  readIdent,
  readPaymentSecret,
  writeIdent,
  writePaymentSecret,
} from '../../src/tebex/ident.ts';

const secret = (kid: string) => ({ kid, secret: `the secret ${kid} that idents of this test are made with` });
const idents = deriveKeyring([secret('k1')], identPurpose);
const payments = deriveKeyring([secret('k1')], paymentPurpose);
const basket = { shopNumber: 26, basketId: 'bkt_01jd9x1a2vf7k9m3t5w8y0z4ce' };
/** Made by a program of its own, from the form that ident.ts describes. */
const ident = '1a-019353d0a85b79e69a0f45e23c0f918e9f39b2b4d217bfa8f3d5ea1451ca546c';

t.test('idents that were told keep their form and go on opening their baskets', async (t) => {
  const written = writeIdent(idents, basket);
  t.equal(written, ident);
  t.same(readIdent(idents, ident), basket);
});

t.test('whoever changes one character of an ident opens nothing', async (t) => {
  for (let at = 0; at < ident.length; at += 1) {
    const other = ident[at] === '0' ? '1' : '0';
    t.equal(readIdent(idents, ident.slice(0, at) + other + ident.slice(at + 1)), null, `character ${at}`);
  }
  for (const text of ['', '-', ident.toUpperCase(), `${ident} `, ident.slice(0, -32), `0${ident}`]) {
    t.equal(readIdent(idents, text), null, text);
  }
});

t.test('the link of a payment opens no basket, and an ident shows no payment', async (t) => {
  const payment = writePaymentSecret(payments, basket);
  t.same(readPaymentSecret(payments, payment), basket);
  t.equal(readIdent(idents, payment.slice('tbx-'.length)), null);
  t.equal(readPaymentSecret(payments, `tbx-${ident}`), null);
});

t.test('an ident is opened by every key that is listed, and by none that is not any more', async (t) => {
  t.same(readIdent(deriveKeyring([secret('k2'), secret('k1')], identPurpose), ident), basket);
  t.equal(readIdent(deriveKeyring([secret('k2')], identPurpose), ident), null);
});
