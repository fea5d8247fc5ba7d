import { createHmac, hash, hkdfSync, randomFillSync, timingSafeEqual } from 'node:crypto';
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader, errors as joseErrors } from 'jose';
import type { NamedSecret } from '../config.ts';

/** The keys of one purpose: the first of the configured secrets signs, all verify. */
export type Keyring = {
  signing: { kid: string; key: Buffer };
  find(kid: string): Buffer | undefined;
  /** All of them, the one that signs first. */
  all: readonly Buffer[];
  decoy: Buffer;
};

/**
 * Derives one key per secret for a purpose (HKDF-SHA-256, RFC 5869), so that a tag made for one purpose never verifies
 * for another although operators configure a single list of secrets.
 */
export function deriveKeyring(secrets: readonly NamedSecret[], purpose: string): Keyring {
  const derive = (secret: string) => Buffer.from(hkdfSync('sha256', secret, '', `basketlink/${purpose}`, 32));
  const keys = new Map(secrets.map(({ kid, secret }) => [kid, derive(secret)]));
  const [first] = secrets;
  const key = first && keys.get(first.kid);
  if (!first || !key) throw new Error('a keyring needs at least one key');
  return {
    signing: { kid: first.kid, key },
    find: (kid) => keys.get(kid),
    all: [...keys.values()],
    decoy: derive(`decoy ${first.secret}`),
  };
}

const tagBytes = 16;
const formatVersion = 1;

/**
 * Signs a payload into a URL-safe token: base64url(version, kid length, kid, payload, tag), the tag being the first 128
 * bits of HMAC-SHA-256 over everything before it. Signed with the key `kid` where it is still listed (a replayed answer
 * repeats its bytes), else with the first.
 */
export function signToken(keyring: Keyring, payload: Buffer, kid: string = keyring.signing.kid): string {
  const named = keyring.find(kid);
  const [usedKid, key] = named ? [kid, named] : [keyring.signing.kid, keyring.signing.key];
  const head = Buffer.concat([Buffer.from([formatVersion, usedKid.length]), Buffer.from(usedKid, 'latin1'), payload]);
  return Buffer.concat([head, tag(key, head)]).toString('base64url');
}

/**
 * Gives the payload of a token that this keyring signed, or null for anything else: malformed, tampered, of another
 * payload length, another purpose and unknown keys all take the same path through one HMAC and one constant-time comparison.
 */
export function verifyToken(keyring: Keyring, payloadBytes: number | 'any', token: string): Buffer | null {
  const bytes = Buffer.from(token, 'base64url');
  const kidLength = bytes[1] ?? 0;
  const wellFormed =
    bytes[0] === formatVersion &&
    (payloadBytes === 'any' || bytes.length === 2 + kidLength + payloadBytes + tagBytes) &&
    // Node ignores stray characters and trailing bits: only the one spelling that we make is accepted.
    bytes.toString('base64url') === token;
  const key = wellFormed ? keyring.find(bytes.toString('latin1', 2, 2 + kidLength)) : undefined;
  const head = bytes.subarray(0, Math.max(0, bytes.length - tagBytes));
  const given = Buffer.alloc(tagBytes);
  bytes.copy(given, 0, head.length);
  const matches = timingSafeEqual(given, tag(key ?? keyring.decoy, head));
  return matches && key ? head.subarray(2 + kidLength) : null;
}

/**
 * The key that a token names and the payload of so many bytes that it carries, with nothing proven: for people who look
 * at one. Null for what is no such token.
 */
export function splitToken(payloadBytes: number, token: string): { kid: string; payload: Buffer } | null {
  const bytes = Buffer.from(token, 'base64url');
  const payloadAt = 2 + (bytes[1] ?? 0);
  if (bytes[0] !== formatVersion || bytes.length !== payloadAt + payloadBytes + tagBytes) return null;
  return { kid: bytes.toString('latin1', 2, payloadAt), payload: bytes.subarray(payloadAt, payloadAt + payloadBytes) };
}

/** The purpose of the keys that secrets are stored under. */
export const sealPurpose = 'sealed';

/** Encrypts a text for storage with the signing key of a keyring: a compact JWE (RFC 7516) that names the key. */
export async function seal(keyring: Keyring, text: string): Promise<string> {
  const { kid, key } = keyring.signing;
  return new CompactEncrypt(Buffer.from(text)).setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid }).encrypt(key);
}

/** The text that `seal` encrypted; null when its key is no longer listed, or it was not sealed for this purpose. */
export async function unseal(keyring: Keyring, sealed: string): Promise<string | null> {
  try {
    const { plaintext } = await compactDecrypt(sealed, ({ kid }) => keyring.find(kid ?? '') ?? keyring.decoy, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    });
    return Buffer.from(plaintext).toString();
  } catch (error) {
    if (error instanceof joseErrors.JOSEError) return null;
    throw error;
  }
}

/**
 * What an earlier key of a ring encrypted, encrypted anew with the first; null for what is already, and for what no key
 * opens, which is best left: it may be needed to know that it was there.
 */
export async function reseal(keyring: Keyring, sealed: string): Promise<string | null> {
  if (decodeProtectedHeader(sealed).kid === keyring.signing.kid) return null;
  const text = await unseal(keyring, sealed);
  return text === null ? null : seal(keyring, text);
}

/** SHA-256 of a text, for fingerprints that are only ever compared. */
export function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}

/**
 * HMAC-SHA-256 of a text that could be guessed, under each key of a ring: who has the hashes and not the keys cannot try
 * texts. The first is to be kept, any may have been kept.
 */
export function hashesUnder(keyring: Keyring, text: string): Buffer[] {
  return keyring.all.map((key) => createHmac('sha256', key).update(text).digest());
}

const randomIdBytes = 16;
const randomStore = Buffer.alloc(256 * randomIdBytes);
let randomUsed = randomStore.length;

/** 16 bytes that nobody can guess. The system is asked for many at a time: to ask costs more than to sign a token. */
export function randomId(): Buffer {
  if (randomUsed === randomStore.length) {
    randomFillSync(randomStore);
    randomUsed = 0;
  }
  randomUsed += randomIdBytes;
  return Buffer.from(randomStore.subarray(randomUsed - randomIdBytes, randomUsed));
}

function tag(key: Buffer, head: Buffer): Buffer {
  return createHmac('sha256', key).update(head).digest().subarray(0, tagBytes);
}
