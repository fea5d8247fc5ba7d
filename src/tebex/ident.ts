import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Keyring } from '../platform/crypto.ts';
import { idFromBytes, idToBytes } from '../platform/ids.ts';

/** The purposes that the keys of these secrets are derived for: neither opens what the other does. */
export const identPurpose = 'tebex-ident';
export const paymentPurpose = 'tebex-payment';

/** Which basket a secret is of, and in which shop to look for it. */
export type NamedBasket = { shopNumber: number; basketId: string };

const tagBytes = 16;
const format = /^([0-9a-f]{1,8})-([0-9a-f]{32})([0-9a-f]{32})$/;

/**
 * The secret that opens a basket to whoever has it, in the form of Tebex' idents: the shop's number, a hyphen, then basket
 * id and tag, all in lower-case hexadecimal. The tag is 128 bits of HMAC-SHA-256 over what stands before it, so that
 * nothing has to be stored, and only baskets whose maker was told one have one.
 */
export function writeIdent(keyring: Keyring, basket: NamedBasket): string {
  const said = `${basket.shopNumber.toString(16)}-${idToBytes(basket.basketId).toString('hex')}`;
  return said + tagOf(keyring.signing.key, said).toString('hex');
}

/** What an ident says, or null for anything that none of these keys has made. */
export function readIdent(keyring: Keyring, ident: string): NamedBasket | null {
  const [, shopNumber = '', basketId = '', tag = ''] = format.exec(ident) ?? [];
  const said = `${shopNumber}-${basketId}`;
  const given = Buffer.alloc(tagBytes);
  given.write(tag, 'hex');
  const made = keyring.all.map((key) => timingSafeEqual(tagOf(key, said), given)).includes(true);
  if (!made || tag === '') return null;
  return { shopNumber: Number.parseInt(shopNumber, 16), basketId: idFromBytes('bkt', Buffer.from(basketId, 'hex')) };
}

const paymentPrefix = 'tbx-';

/** The secret in `links.payment`, which shows the payment of a basket and opens nothing. */
export function writePaymentSecret(keyring: Keyring, basket: NamedBasket): string {
  return paymentPrefix + writeIdent(keyring, basket);
}

/** What such a secret says, or null for anything that none of these keys has made. */
export function readPaymentSecret(keyring: Keyring, secret: string): NamedBasket | null {
  return secret.startsWith(paymentPrefix) ? readIdent(keyring, secret.slice(paymentPrefix.length)) : null;
}

function tagOf(key: Buffer, said: string): Buffer {
  return createHmac('sha256', key).update(said).digest().subarray(0, tagBytes);
}
