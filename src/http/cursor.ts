import { type Refusal, refuse } from '../errors.ts';
import { type Keyring, signToken, verifyToken } from '../platform/crypto.ts';

/**
 * Makes the opaque `nextCursor`: the sort key of the last row that was shown, bound to the list that it came from, so
 * that one of another tenant or with other filters does not verify.
 */
export function makeCursor(keyring: Keyring, list: string[], position: string[]): string {
  return signToken(keyring, Buffer.from(JSON.stringify([list, position])));
}

/** The position in a cursor of this list. Refusal: `invalid_cursor`. */
export function readCursor(keyring: Keyring, list: string[], cursor: string): string[] | Refusal {
  const payload = verifyToken(keyring, 'any', cursor);
  if (payload === null) return refuse('invalid_cursor');
  const [madeFor, position] = JSON.parse(payload.toString()) as [string[], string[]];
  return JSON.stringify(madeFor) === JSON.stringify(list) ? position : refuse('invalid_cursor');
}
