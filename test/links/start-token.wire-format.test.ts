import t from 'tap';
import { readStartToken, startLinkPurpose, writeStartToken } from '../../src/links/token.ts';
import { deriveKeyring } from '../../src/platform/crypto.ts';

/*
 * Links lie in mailboxes for weeks: what was signed by an earlier release must be read by a later one. The token was
 * made by a program of its own (HKDF and HMAC of Python's standard library), from the format that token.ts describes.
 */
const keyring = deriveKeyring(
  [{ kid: 'k1', secret: 'the secret behind the pinned tokens of the tests' }],
  startLinkPurpose,
);
const link = {
  shopNumber: 7,
  basketId: 'bkt_01h455vb4pex5vsknk084sn02q',
  generation: 4_294_967_297,
  expiresAt: new Date('2027-01-15T08:00:00Z'),
};
const token = 'AQJrMQAAAAcBiQpdrJZ3S7zOswIJmoBXAAAAAQAAAAEAa0nSANCjqa1C1uIITIIeLnPGcyw';

t.test('a start link that an earlier release signed is read as it was meant', async (t) => {
  t.same(readStartToken(keyring, token), link);
});

t.test('the same link is written with the same bytes by every release', async (t) => {
  t.equal(writeStartToken(keyring, link), token);
});
