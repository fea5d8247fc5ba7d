import type { ShopScope } from '../../http/access.ts';
import type { Queryable } from '../../platform/postgres.ts';

/** A credential of a shop, without the key itself, which nobody but its caller has. */
export type ApiKey = {
  shopId: string;
  apiKeyId: string;
  name: string;
  scopes: ShopScope[];
  partner: string | null;
  createdAt: Date;
};

const columns = `shop_id AS "shopId", api_key_id AS "apiKeyId", name, scopes, partner, created_at AS "createdAt"`;

/** Keeps a new key by its hash. */
export async function insertApiKey(
  db: Queryable,
  { shopId, apiKeyId, name, scopes, partner }: Omit<ApiKey, 'createdAt'>,
  keyHash: Buffer,
): Promise<ApiKey> {
  const { rows } = await db.query<ApiKey>(
    `INSERT INTO api_keys (shop_id, api_key_id, key_hash, name, scopes, partner) VALUES ($1, $2, $3, $4, $5, $6)
     RETURNING ${columns}`,
    [shopId, apiKeyId, keyHash, name, scopes, partner],
  );
  const [row] = rows;
  if (row === undefined) throw new Error('an insert gave no row');
  return row;
}

/** The key with this hash, or null. */
export async function findApiKey(db: Queryable, shopId: string, keyHash: Buffer): Promise<ApiKey | null> {
  const { rows } = await db.query<ApiKey>(`SELECT ${columns} FROM api_keys WHERE shop_id = $1 AND key_hash = $2`, [
    shopId,
    keyHash,
  ]);
  return rows[0] ?? null;
}

/** Whether a shop has a key with this id. */
export async function hasApiKey(db: Queryable, shopId: string, apiKeyId: string): Promise<boolean> {
  const { rowCount } = await db.query('SELECT FROM api_keys WHERE shop_id = $1 AND api_key_id = $2', [
    shopId,
    apiKeyId,
  ]);
  return rowCount === 1;
}

/** A page of a shop's keys, newest first: those made before the one with the id `before`, if it is given. */
export async function listApiKeys(
  db: Queryable,
  shopId: string,
  before: string | null,
  limit: number,
): Promise<ApiKey[]> {
  const { rows } = await db.query<ApiKey>(
    `SELECT ${columns} FROM api_keys WHERE shop_id = $1 AND ($2::text IS NULL OR api_key_id < $2)
     ORDER BY api_key_id DESC LIMIT $3`,
    [shopId, before, limit],
  );
  return rows;
}

/** Deletes a key, and says whether there was one. */
export async function deleteApiKey(db: Queryable, shopId: string, apiKeyId: string): Promise<boolean> {
  const { rowCount } = await db.query('DELETE FROM api_keys WHERE shop_id = $1 AND api_key_id = $2', [
    shopId,
    apiKeyId,
  ]);
  return rowCount === 1;
}
