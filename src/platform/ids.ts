import { TypeID, typeidUnboxed } from 'typeid-js';

/** Makes a new TypeID: a prefix and a UUIDv7, so that ids made later sort later. */
export function newId<Prefix extends 'bkt' | 'crd' | 'dlv' | 'key' | 'lse' | 'rfd' | 'evt'>(prefix: Prefix): string {
  return typeidUnboxed(prefix);
}

/** The 16 bytes of a TypeID, for binary tokens. */
export function idToBytes(id: string): Buffer {
  return Buffer.from(TypeID.fromString(id).toUUIDBytes());
}

/** The TypeID of 16 bytes, the inverse of idToBytes. */
export function idFromBytes(prefix: 'bkt', bytes: Buffer): string {
  return TypeID.fromUUIDBytes(prefix, bytes).toString();
}
