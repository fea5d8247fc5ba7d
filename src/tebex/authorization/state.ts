import { type Keyring, signToken, verifyToken } from '../../platform/crypto.ts';
import { idFromBytes, idToBytes } from '../../platform/ids.ts';

/**
 * What a sign-in page is called with and the back end gives back: which basket the sign-in was begun for, and where the
 * customer goes on. Payload of the token: shop number (4 bytes), basket id (16), expiry in Unix milliseconds (6), all
 * big-endian, then the URL in WHATWG form, which is ASCII.
 */
export type AuthState = { shopNumber: number; basketId: string; expiresAt: Date; returnUrl: string };

const urlAt = 26;

/** The purpose that the keys of states are derived for. */
export const statePurpose = 'tebex-auth-state';

/** Writes the token of a state. */
export function writeState(keyring: Keyring, { shopNumber, basketId, expiresAt, returnUrl }: AuthState): string {
  const head = Buffer.alloc(urlAt);
  head.writeUInt32BE(shopNumber, 0);
  idToBytes(basketId).copy(head, 4);
  head.writeUIntBE(expiresAt.getTime(), 20, 6);
  return signToken(keyring, Buffer.concat([head, Buffer.from(returnUrl, 'latin1')]));
}

/** What a token says, or null for anything that these keys did not sign as a state. */
export function readState(keyring: Keyring, token: string): AuthState | null {
  const payload = verifyToken(keyring, 'any', token);
  if (payload === null) return null;
  return {
    shopNumber: payload.readUInt32BE(0),
    basketId: idFromBytes('bkt', payload.subarray(4, 20)),
    expiresAt: new Date(payload.readUIntBE(20, 6)),
    returnUrl: payload.toString('latin1', urlAt),
  };
}
