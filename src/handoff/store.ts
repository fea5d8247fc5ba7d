import type { Queryable } from '../platform/postgres.ts';

/** A confirmation token of a shop. */
type SpentToken = { shopId: string; confirmationId: Buffer };

const columnsOf = (tokens: readonly SpentToken[]) => [
  tokens.map(({ shopId }) => shopId),
  tokens.map(({ confirmationId }) => confirmationId),
];

/** Which of some confirmation tokens were spent: their ids, in hexadecimal. */
export async function readSpent(tx: Queryable, tokens: readonly SpentToken[]): Promise<Set<string>> {
  const { rows } = await tx.query<{ confirmation_id: Buffer }>(
    `SELECT confirmation_id FROM spent_confirmations
     WHERE (shop_id, confirmation_id) IN (SELECT * FROM unnest($1::text[], $2::bytea[]))`,
    columnsOf(tokens),
  );
  return new Set(rows.map(({ confirmation_id }) => confirmation_id.toString('hex')));
}

/** Spends confirmation tokens, in the transaction of what they were spent for. */
export async function spend(tx: Queryable, tokens: readonly SpentToken[]): Promise<void> {
  await tx.query(
    `INSERT INTO spent_confirmations (shop_id, confirmation_id)
     SELECT * FROM unnest($1::text[], $2::bytea[]) ORDER BY 1, 2`,
    columnsOf(tokens),
  );
}

/**
 * Forgets which of a shop's next confirmation tokens after the id `after` (at first empty) were spent, where that was so
 * many days ago that they have long expired. Gives how many were forgotten, or with `dryRun` would be, and where to go on.
 */
export async function pruneSpent(
  db: Queryable,
  shopId: string,
  after: Buffer,
  { olderThanDays, dryRun }: { olderThanDays: number; dryRun: boolean },
): Promise<{ removed: number; next: Buffer | null }> {
  const limit = 1000;
  const { rows } = await db.query<{ id: Buffer; isOld: boolean }>(
    `SELECT confirmation_id AS id, spent_at < now() - $3 * interval '1 day' AS "isOld" FROM spent_confirmations
     WHERE shop_id = $1 AND confirmation_id > $2 ORDER BY confirmation_id LIMIT $4`,
    [shopId, after, olderThanDays, limit],
  );
  const old = rows.filter(({ isOld }) => isOld).map(({ id }) => id);
  if (!dryRun && old.length > 0) {
    await db.query('DELETE FROM spent_confirmations WHERE shop_id = $1 AND confirmation_id = ANY($2)', [shopId, old]);
  }
  return { removed: old.length, next: rows.length === limit ? (rows.at(-1)?.id ?? null) : null };
}
