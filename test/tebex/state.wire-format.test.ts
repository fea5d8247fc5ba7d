import t from 'tap';
import { deriveKeyring } from '../../src/platform/crypto.ts';
import { readState, statePurpose, writeState } from '../../src/tebex/authorization/state.ts';

/*
 * A sign-in may begin on one release and end on the next. The token was made by a program of its own (HKDF and HMAC of
 * Python's standard library), from the format that state.ts describes.
 */
const secrets = [{ kid: 'k1', secret: 'the secret behind the pinned tokens of the tests' }];
const keyring = deriveKeyring(secrets, statePurpose);
const state = {
  shopNumber: 7,
  basketId: 'bkt_01h455vb4pex5vsknk084sn02q',
  expiresAt: new Date('2026-11-22T18:00:00.123Z'),
  returnUrl: 'https://tickets.roxy.example/basket?from=sign-in',
};
const token =
  'AQJrMQAAAAcBiQpdrJZ3S7zOswIJmoBXAaIEajl7aHR0cHM6Ly90aWNrZXRzLnJveHkuZXhhbXBsZS9iYXNrZXQ_ZnJvbT1zaWduLWluezBF9w8xKSVlwxr7DrEPug';

t.test('a state that another release signed is read as it was meant, and written with the same bytes', async (t) => {
  t.same(readState(keyring, token), state);
  t.equal(writeState(keyring, state), token);
});

t.test('a state is read for as long as its key is listed, and the first key signs', async (t) => {
  const newer = { kid: 'k2', secret: 'the secret that has taken the place of the pinned one' };
  const rotated = deriveKeyring([newer, ...secrets], statePurpose);
  t.same(readState(rotated, token), state);
  t.same(readState(deriveKeyring([newer], statePurpose), writeState(rotated, state)), state);
  t.equal(readState(deriveKeyring([newer], statePurpose), token), null);
});

t.test('no byte of a state can be changed, left out or added', async (t) => {
  for (let at = 0; at < token.length; at += 1) {
    const other = token[at] === 'A' ? 'B' : 'A';
    t.equal(readState(keyring, token.slice(0, at) + other + token.slice(at + 1)), null, `another character at ${at}`);
    t.equal(readState(keyring, token.slice(0, at)), null, `cut at ${at}`);
  }
  for (const text of [`${token}A`, `${token}=`, ` ${token}`, `${token}.${token}`])
    t.equal(readState(keyring, text), null);
});
