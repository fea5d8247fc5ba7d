import { randomBytes } from 'node:crypto';
import type { Static } from '@sinclair/typebox';
import { isRefusal, type Refusal } from '../errors.ts';
import type { Queryable } from '../platform/postgres.ts';
import type { Shop, ShopSettings } from './model.ts';
import { completeSettings } from './rules.ts';
import { putShop } from './store.ts';

/** Creates a shop or replaces its settings. Refusals: those of completeSettings. */
export async function writeShop(
  db: Queryable,
  shopId: string,
  written: Static<typeof ShopSettings>,
): Promise<Shop | Refusal> {
  const settings = completeSettings(written);
  return isRefusal(settings) ? settings : putShop(db, shopId, settings, randomBytes(20).toString('hex'));
}
