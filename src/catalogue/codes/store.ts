import type { Queryable } from '../../platform/postgres.ts';
import { type CodeType, type CodeWithTerms, folded, type ShopCode } from './model.ts';

type CodeRow = {
  type: CodeType;
  written: string;
  terms: unknown;
  catalogue_version: number | null;
  created_at: Date;
  updated_at: Date;
};

function toShopCode(row: CodeRow): ShopCode {
  const { type, written: code, terms } = row;
  return {
    ...({ type, code, terms } as CodeWithTerms),
    catalogueVersion: row.catalogue_version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Creates or replaces a code. */
export async function putCodeRow(tx: Queryable, shopId: string, { type, code, terms }: CodeWithTerms): Promise<void> {
  await tx.query(
    `INSERT INTO codes (shop_id, type, code, written, terms) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (shop_id, type, code) DO UPDATE
       SET written = excluded.written, terms = excluded.terms, updated_at = now()`,
    [shopId, type, folded(code), code, JSON.stringify(terms)],
  );
}

/** Deletes a code; false when there is none. */
export async function deleteCodeRow(tx: Queryable, shopId: string, type: CodeType, code: string): Promise<boolean> {
  const { rowCount } = await tx.query('DELETE FROM codes WHERE shop_id = $1 AND type = $2 AND code = $3', [
    shopId,
    type,
    folded(code),
  ]);
  return rowCount === 1;
}

/** Reads codes, in the order in which they are asked for; null for one that the shop does not have. */
export async function readCodes(
  db: Queryable,
  shopId: string,
  wanted: readonly { type: CodeType; code: string }[],
): Promise<(ShopCode | null)[]> {
  const names = wanted.map(({ type, code }) => ({ type, code: folded(code) }));
  // One statement, one snapshot: the version belongs to exactly the terms that are read beside it.
  const { rows } = await db.query<CodeRow & { code: string }>(
    `SELECT c.type, c.code, c.written, c.terms, s.catalogue_version, c.created_at, c.updated_at
     FROM codes c LEFT JOIN stock s ON s.shop_id = c.shop_id AND s.stock_id = c.type || ':' || c.code
     WHERE c.shop_id = $1 AND (c.type, c.code) IN (SELECT * FROM unnest($2::text[], $3::text[]))`,
    [shopId, names.map(({ type }) => type), names.map(({ code }) => code)],
  );
  return names.map(({ type, code }) => {
    const row = rows.find((each) => each.type === type && each.code === code);
    return row ? toShopCode(row) : null;
  });
}
