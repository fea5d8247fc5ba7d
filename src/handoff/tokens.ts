import type { Basket } from '../baskets/index.ts';
import type { SessionCaller } from '../http/access.ts';
import { type Keyring, randomId, signToken, verifyToken } from '../platform/crypto.ts';
import { idFromBytes, idToBytes } from '../platform/ids.ts';
import type { ShopCache } from '../shops/index.ts';

/** The purposes that the keys of these tokens are derived for: a token of one kind never verifies as another. */
export const confirmationPurpose = 'confirmation';
export const sessionPurpose = 'session';

/** What the click hands to the shop front end; `id` is random, `issuedAt` Postgres' time as the click knew it. */
export type Confirmation = {
  shopNumber: number;
  basketId: string;
  linkGeneration: number;
  issuedAt: Date;
  id: Buffer;
};

/** How long a confirmation token lives. */
export const confirmationTtlMs = 60_000;

/** Payload: shop number (4 bytes), basket id (16), link generation (8), issued at in Unix milliseconds (6), id (16). */
const confirmationBytes = 50;

/** Makes a new confirmation token. */
export function writeConfirmation(keyring: Keyring, said: Omit<Confirmation, 'id'>): string {
  const payload = Buffer.alloc(confirmationBytes);
  payload.writeUInt32BE(said.shopNumber, 0);
  idToBytes(said.basketId).copy(payload, 4);
  payload.writeBigUInt64BE(BigInt(said.linkGeneration), 20);
  payload.writeUIntBE(said.issuedAt.getTime(), 28, 6);
  randomId().copy(payload, 34);
  return signToken(keyring, payload);
}

/** What a confirmation token says, or null for anything that was not signed as one. */
export function readConfirmation(keyring: Keyring, token: string): Confirmation | null {
  const payload = verifyToken(keyring, confirmationBytes, token);
  if (payload === null) return null;
  return {
    shopNumber: payload.readUInt32BE(0),
    basketId: idFromBytes('bkt', payload.subarray(4, 20)),
    linkGeneration: Number(payload.readBigUInt64BE(20)),
    issuedAt: new Date(payload.readUIntBE(28, 6)),
    id: Buffer.from(payload.subarray(34)),
  };
}

/** Payload: shop number (4 bytes), basket id (16), session id (16): the id of the confirmation token behind it. */
const sessionBytes = 36;
const sessionPrefix = 'ses_';

/** Writes a session token. The same session always gives the same token, so that none needs to be stored. */
export function writeSession(keyring: Keyring, shopNumber: number, basketId: string, sessionId: Buffer): string {
  const payload = Buffer.alloc(sessionBytes);
  payload.writeUInt32BE(shopNumber, 0);
  idToBytes(basketId).copy(payload, 4);
  sessionId.copy(payload, 20);
  return sessionPrefix + signToken(keyring, payload);
}

/** The session of a basket that has one: its token, and until when it works on the basket. */
export async function sessionOf(
  { shops, sessionKeys }: { shops: ShopCache; sessionKeys: Keyring },
  { shopId, basketId, sessionId, lifetimeEndsAt, checkoutSeconds }: Basket,
): Promise<{ token: string; expiresAt: Date }> {
  const shop = await shops.get(shopId);
  if (shop === null || sessionId === null) throw new Error('a basket lost its shop, or its session');
  return {
    token: writeSession(sessionKeys, shop.shopNumber, basketId, sessionId),
    expiresAt: new Date(lifetimeEndsAt.getTime() + checkoutSeconds * 1000),
  };
}

/** Whose session token a text is, or null. Whether it is still the newest of its basket is for the basket to say. */
export async function readSession(
  { shops, sessionKeys }: { shops: ShopCache; sessionKeys: Keyring },
  token: string,
): Promise<SessionCaller | null> {
  if (!token.startsWith(sessionPrefix)) return null;
  const payload = verifyToken(sessionKeys, sessionBytes, token.slice(sessionPrefix.length));
  const shop = payload && (await shops.byNumber(payload.readUInt32BE(0)));
  if (!payload || !shop) return null;
  return {
    kind: 'session',
    shopId: shop.shopId,
    basketId: idFromBytes('bkt', payload.subarray(4, 20)),
    sessionId: Buffer.from(payload.subarray(20)),
  };
}
