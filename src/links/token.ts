import { type Keyring, signToken, splitToken, verifyToken } from '../platform/crypto.ts';
import { idFromBytes, idToBytes } from '../platform/ids.ts';

/**
 * What a start link says. Payload of the token: shop number (4 bytes), basket id (16), link generation (8), outer expiry
 * in Unix seconds (5), all big-endian; platform/crypto.ts adds version, key id and tag.
 */
export type StartLink = { shopNumber: number; basketId: string; generation: number; expiresAt: Date };

const payloadBytes = 33;

/** The purpose that start link keys are derived for. */
export const startLinkPurpose = 'start-link';

/** Writes a start link's token, signed with the key `kid` while it is listed, else with the first. */
export function writeStartToken(keyring: Keyring, link: StartLink, kid?: string): string {
  const payload = Buffer.alloc(payloadBytes);
  payload.writeUInt32BE(link.shopNumber, 0);
  idToBytes(link.basketId).copy(payload, 4);
  payload.writeBigUInt64BE(BigInt(link.generation), 20);
  payload.writeUIntBE(Math.floor(link.expiresAt.getTime() / 1000), 28, 5);
  return signToken(keyring, payload, kid);
}

/** What a token says, or null for anything that these keys did not sign as a start link. */
export function readStartToken(keyring: Keyring, token: string): StartLink | null {
  const payload = verifyToken(keyring, payloadBytes, token);
  return payload && readPayload(payload);
}

/** What a token says and the key that it names, with nothing proven; null for what has not the form of a start link. */
export function readUnproven(token: string): { kid: string; link: StartLink } | null {
  const split = splitToken(payloadBytes, token);
  return split && { kid: split.kid, link: readPayload(split.payload) };
}

function readPayload(payload: Buffer): StartLink {
  return {
    shopNumber: payload.readUInt32BE(0),
    basketId: idFromBytes('bkt', payload.subarray(4, 20)),
    generation: Number(payload.readBigUInt64BE(20)),
    expiresAt: new Date(payload.readUIntBE(28, 5) * 1000),
  };
}
