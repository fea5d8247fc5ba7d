import { hashesUnder, type Keyring } from '../../platform/crypto.ts';
import type { Queryable } from '../../platform/postgres.ts';
import { type GiftCard, plainNumber } from './model.ts';

type CardRow = {
  card_id: string;
  number_hash: Buffer;
  last4: string;
  currency: string;
  created_at: Date;
  updated_at: Date;
};

const columns = 'card_id, number_hash, last4, currency, created_at, updated_at';

function toCard(row: CardRow): GiftCard {
  return {
    cardId: row.card_id,
    last4: row.last4,
    currency: row.currency,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

// With the shop: a number that two shops use must not look the same.
const hashesOf = (keys: Keyring, shopId: string, number: string) =>
  hashesUnder(keys, `${shopId}/${plainNumber(number)}`);

/**
 * Finds a card by its number, hashed under any of the keys, and writes the hash anew where it is not under the first: an
 * old key can go when its cards have been used or put again. With `lock` the card stays as it is until the transaction
 * ends. Null when the shop has no such card.
 */
export async function findCard(
  db: Queryable,
  keys: Keyring,
  shopId: string,
  number: string,
  lock: 'lock' | 'no lock' = 'no lock',
): Promise<GiftCard | null> {
  const hashes = hashesOf(keys, shopId, number);
  const { rows } = await db.query<CardRow>(
    `SELECT ${columns} FROM gift_cards WHERE shop_id = $1 AND number_hash = ANY($2)
     ${lock === 'lock' ? 'FOR UPDATE' : ''}`,
    [shopId, hashes],
  );
  const [row] = rows;
  if (row === undefined) return null;
  const [newest] = hashes;
  if (newest !== undefined && !row.number_hash.equals(newest)) {
    await db.query('UPDATE gift_cards SET number_hash = $3 WHERE shop_id = $1 AND card_id = $2', [
      shopId,
      row.card_id,
      newest,
    ]);
  }
  return toCard(row);
}

/** Creates a card; false when its number has one already. */
export async function insertCard(
  tx: Queryable,
  keys: Keyring,
  shopId: string,
  { cardId, number, currency }: { cardId: string; number: string; currency: string },
): Promise<boolean> {
  const [newest] = hashesOf(keys, shopId, number);
  const { rowCount } = await tx.query(
    `INSERT INTO gift_cards (shop_id, card_id, number_hash, last4, currency) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT DO NOTHING`,
    [shopId, cardId, newest, plainNumber(number).slice(-4), currency],
  );
  return rowCount === 1;
}

/** Notes that a card was changed. */
export async function touchCard(tx: Queryable, shopId: string, cardId: string): Promise<void> {
  await tx.query('UPDATE gift_cards SET updated_at = now() WHERE shop_id = $1 AND card_id = $2', [shopId, cardId]);
}

/** Forgets the number of a card, so that nobody finds it. What happened to its money stays. */
export async function forgetNumber(tx: Queryable, shopId: string, cardId: string): Promise<void> {
  await tx.query('UPDATE gift_cards SET number_hash = NULL, updated_at = now() WHERE shop_id = $1 AND card_id = $2', [
    shopId,
    cardId,
  ]);
}

/** What happened to the money of a card. `amountMinor` is negative for what was taken off. */
export type CardEntry = {
  cardId: string;
  kind: 'issued' | 'changed' | 'spent' | 'given_back';
  amountMinor: number;
  basketId: string | null;
};

/** Writes down what happens to the money of cards in the transaction in which it does. */
export async function addEntries(tx: Queryable, shopId: string, entries: readonly CardEntry[]): Promise<void> {
  if (entries.length === 0) return;
  await tx.query(
    `INSERT INTO gift_card_entries (shop_id, card_id, kind, amount, basket_id)
     SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[])`,
    [
      shopId,
      entries.map(({ cardId }) => cardId),
      entries.map(({ kind }) => kind),
      entries.map(({ amountMinor }) => amountMinor),
      entries.map(({ basketId }) => basketId),
    ],
  );
}

/** How much of what a basket spent was given back to its cards until now, by card, in minor units. */
export async function readGivenBack(tx: Queryable, shopId: string, basketId: string): Promise<Map<string, number>> {
  const { rows } = await tx.query<{ card_id: string; amount: number }>(
    `SELECT card_id, sum(amount)::bigint AS amount FROM gift_card_entries
     WHERE shop_id = $1 AND basket_id = $2 AND kind = 'given_back' GROUP BY card_id`,
    [shopId, basketId],
  );
  return new Map(rows.map(({ card_id, amount }) => [card_id, amount]));
}
