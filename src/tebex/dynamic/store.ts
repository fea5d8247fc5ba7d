import type { Queryable } from '../../platform/postgres.ts';
import type { CategoryKey } from '../catalogue/model.ts';
import type { DynamicPackage } from './model.ts';

/** The dynamic packages of a basket, in the order in which they were given. */
export async function readDynamicPackages(db: Queryable, shopId: string, basketId: string): Promise<DynamicPackage[]> {
  const { rows } = await db.query<{
    slug: string;
    item_id: string;
    category: CategoryKey;
    custom: DynamicPackage['custom'];
  }>(
    `SELECT slug, item_id, category, custom FROM tebex_dynamic_packages
     WHERE shop_id = $1 AND basket_id = $2 ORDER BY position`,
    [shopId, basketId],
  );
  return rows.map(({ slug, item_id, category, custom }) => ({ slug, itemId: item_id, category, custom }));
}

/** Replaces the dynamic packages of a basket by these. */
export async function replaceDynamicPackages(
  tx: Queryable,
  shopId: string,
  basketId: string,
  packages: readonly DynamicPackage[],
): Promise<void> {
  await tx.query('DELETE FROM tebex_dynamic_packages WHERE shop_id = $1 AND basket_id = $2', [shopId, basketId]);
  await tx.query(
    `INSERT INTO tebex_dynamic_packages (shop_id, basket_id, slug, item_id, category, position, custom)
     SELECT $1, $2, p.slug, p."itemId", p.category, p.position, p.custom
     FROM json_to_recordset($3)
       AS p(slug text, "itemId" text, category text, position integer, custom json)`,
    [shopId, basketId, JSON.stringify(packages.map((each, position) => ({ ...each, position })))],
  );
}

/** Removes from the dynamic packages of baskets what their back end has said of them: it may be of the customer. */
export async function eraseDynamicPackages(tx: Queryable, shopId: string, basketIds: readonly string[]): Promise<void> {
  await tx.query(`UPDATE tebex_dynamic_packages SET custom = '{}' WHERE shop_id = $1 AND basket_id = ANY($2)`, [
    shopId,
    basketIds,
  ]);
}

/** Removes the dynamic packages of baskets that go. */
export async function removeDynamicPackages(
  tx: Queryable,
  shopId: string,
  basketIds: readonly string[],
): Promise<void> {
  await tx.query('DELETE FROM tebex_dynamic_packages WHERE shop_id = $1 AND basket_id = ANY($2)', [shopId, basketIds]);
}
