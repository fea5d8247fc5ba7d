import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import t from 'tap';
import { deriveKeyring, signToken, verifyToken } from '../../src/platform/crypto.ts';

const secrets = [
  { kid: 'new', secret: 'the newer secret of a rotation, long enough' },
  { kid: 'old', secret: 'the older secret of a rotation, long enough' },
];
const keyring = deriveKeyring(secrets, 'start-link');
const payload = Buffer.from('thirty-three bytes of a payload..');
const token = signToken(keyring, payload);
const bytes = Buffer.from(token, 'base64url');
const verify = (text: string, keys = keyring) => verifyToken(keys, payload.length, text);

t.test('a token gives back the payload that was signed', async (t) => {
  t.same(verify(token), payload);
  t.match(token, /^[A-Za-z0-9_-]{20,99}$/);
});

t.test('a token in which any one bit was changed is refused', async (t) => {
  const accepted: string[] = [];
  for (let at = 0; at < bytes.length; at += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ (1 << bit);
      if (verify(changed.toString('base64url')) !== null) accepted.push(`bit ${bit} of byte ${at}`);
    }
  }
  t.same(accepted, []);
});

t.test('a token that was cut or lengthened is refused', async (t) => {
  const cut = Array.from({ length: token.length }, (_, length) => token.slice(0, length));
  const lengthened = [`${token}A`, `${token}AA`, `${token}AAAA`, `A${token}`, token + token];
  t.same(
    [...cut, ...lengthened].filter((text) => verify(text) !== null),
    [],
  );
});

t.test('only the one spelling of a token that the service makes is accepted', async (t) => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  // 54 bytes fill 72 characters; one byte less leaves bits of the last character that no byte needs.
  const shorter = payload.subarray(1);
  const spelt = signToken(keyring, shorter);
  const others = [...alphabet].map((last) => spelt.slice(0, -1) + last).filter((text) => text !== spelt);
  const alike = others.filter((text) => Buffer.from(text, 'base64url').equals(Buffer.from(spelt, 'base64url')));
  t.ok(alike.length > 0, 'Node reads the same bytes from other last characters');
  t.same(verifyToken(keyring, shorter.length, spelt), shorter);
  t.same(
    alike.filter((text) => verifyToken(keyring, shorter.length, text) !== null),
    [],
  );
  const standard = bytes.toString('base64');
  const decorated = [
    `${token}=`,
    `${token}==`,
    ` ${token}`,
    `${token}\n`,
    `${token}.`,
    `${token}%`,
    token.toLowerCase(),
  ];
  if (standard !== token) decorated.push(standard);
  t.same(
    decorated.filter((text) => verify(text) !== null),
    [],
  );
});

t.test('a token of one purpose is refused for every other', async (t) => {
  for (const purpose of ['confirmation', 'session', 'start-link ', 'cursor']) {
    t.equal(verify(token, deriveKeyring(secrets, purpose)), null, purpose);
  }
});

t.test('a token is refused where another payload length is expected', async (t) => {
  t.equal(verifyToken(keyring, payload.length - 1, token), null);
  t.equal(verifyToken(keyring, payload.length + 1, token), null);
});

t.test('the first key signs, all that are listed verify, and a removed one does not', async (t) => {
  const [newer, older] = secrets;
  if (!newer || !older) throw new Error('two secrets are needed');
  const signedWithOlder = signToken(deriveKeyring([older], 'start-link'), payload);
  t.equal(bytes.toString('latin1', 2, 5), 'new');
  t.same(verify(signedWithOlder), payload, 'the older one is still listed');
  t.equal(verify(signedWithOlder, deriveKeyring([newer], 'start-link')), null, 'the older one was removed');
  t.equal(verify(token, deriveKeyring([older], 'start-link')), null, 'the newer one is not listed there yet');
});

t.test('a token that names another listed key than the one which signed it is refused', async (t) => {
  const renamed = Buffer.from(bytes);
  renamed.write('old', 2, 'latin1');
  t.equal(verify(renamed.toString('base64url')), null);
});

t.test(
  'a replaced answer repeats its token while the key is listed, and gets one of the first key after',
  async (t) => {
    const [newer, older] = secrets;
    if (!newer || !older) throw new Error('two secrets are needed');
    const before = signToken(deriveKeyring([older], 'start-link'), payload);
    t.equal(signToken(keyring, payload, 'old'), before);
    t.equal(signToken(deriveKeyring([newer], 'start-link'), payload, 'old'), token);
  },
);

t.test('whatever is wrong with a token, one HMAC is made of it and one comparison in constant time', async (t) => {
  const compare = t.capture(crypto, 'timingSafeEqual', crypto.timingSafeEqual);
  const hmac = t.capture(crypto, 'createHmac', crypto.createHmac);
  syncBuiltinESMExports();
  t.teardown(() => {
    compare.restore();
    hmac.restore();
    syncBuiltinESMExports();
  });
  const unknownKid = deriveKeyring([{ kid: 'gone', secret: secrets[0]?.secret ?? '' }], 'start-link');
  const tampered = Buffer.from(bytes);
  tampered[10] = (tampered[10] ?? 0) ^ 1;
  const wrong = {
    'the right one': token,
    'a byte changed': tampered.toString('base64url'),
    'the tag changed': `${token.slice(0, -8)}AAAAAAAA`,
    'of an unknown key': signToken(unknownKid, payload),
    'of another purpose': signToken(deriveKeyring(secrets, 'session'), payload),
    'of another version': `B${token.slice(1)}`,
    cut: token.slice(0, -1),
    padded: `${token}=`,
    'one character': 'A',
    nothing: '',
    'no base64': '%%%%',
  };
  compare.args();
  hmac.args();
  for (const [what, text] of Object.entries(wrong)) {
    verify(text);
    t.match(compare.args(), [[{ length: 16 }, { length: 16 }]], what);
    t.equal(hmac.args().length, 1, what);
  }
});
