import t from 'tap';
import {
  confirmationPurpose,
  readConfirmation,
  readSession,
  sessionPurpose,
  writeConfirmation,
  writeSession,
} from '../../src/handoff/tokens.ts';
import { deriveKeyring } from '../../src/platform/crypto.ts';
import { openShopCache } from '../../src/shops/index.ts';
import { openShop } from '../support/shop.ts';

/*
 * During a deploy two releases read each other's tokens. Both were made by a program of its own (HKDF and HMAC of
 * Python's standard library), from the format that tokens.ts describes.
 */
const keys = [{ kid: 'k1', secret: 'the secret behind the pinned tokens of the tests' }];
const basketId = 'bkt_01h455vb4pex5vsknk084sn02q';
const id = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');
const confirmation = 'AQJrMQAAAAEBiQpdrJZ3S7zOswIJmoBXAAAAAQAAAAEBof4aRJUAAQIDBAUGBwgJCgsMDQ4PAWg5ZSbT02W-Wwi3WbE9rQ';
const session = 'ses_AQJrMQAAAAEBiQpdrJZ3S7zOswIJmoBXAAECAwQFBgcICQoLDA0ODxOpJqkDqfMC3f3roG8r6s0';

t.test('a confirmation token that another release made is read as it was meant', async (t) => {
  t.same(readConfirmation(deriveKeyring(keys, confirmationPurpose), confirmation), {
    shopNumber: 1,
    basketId,
    linkGeneration: 4_294_967_297,
    issuedAt: new Date('2026-11-21T12:34:56.789Z'),
    id,
  });
});

t.test(
  'a session token that another release made is read as it was meant, and written with the same bytes',
  async (t) => {
    const { service } = await openShop(t);
    const sessionKeys = deriveKeyring(keys, sessionPurpose);
    t.equal(writeSession(sessionKeys, 1, basketId, id), session);
    const shops = openShopCache(service.pool);
    const caller = { kind: 'session', shopId: 'roxy', basketId, sessionId: id };
    t.same(await readSession({ shops, sessionKeys }, session), caller);
    t.equal(await readSession({ shops, sessionKeys }, session.replace('ses_', '')), null, 'without its prefix');
  },
);

t.test('no two confirmation tokens are alike, and a token of one kind is none of the other', async (t) => {
  const { service } = await openShop(t);
  const confirmationKeys = deriveKeyring(keys, confirmationPurpose);
  const said = { shopNumber: 1, basketId, linkGeneration: 1, issuedAt: new Date() };
  const made = Array.from({ length: 100 }, () => writeConfirmation(confirmationKeys, said));
  t.equal(new Set(made).size, 100);
  const shops = openShopCache(service.pool);
  t.equal(readConfirmation(confirmationKeys, session.replace('ses_', '')), null);
  t.equal(await readSession({ shops, sessionKeys: confirmationKeys }, `ses_${made[0]}`), null);
});
