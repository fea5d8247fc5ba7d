import { isRefusal, type Refusal, refuse } from '../../errors.ts';
import { withTransaction } from '../../platform/postgres.ts';
import { readShop } from '../../shops/index.ts';
import type { CatalogueDeps } from '../changes.ts';
import { type CodeType, type CodeWithTerms, stockIdOfCode } from './model.ts';
import { deleteCodeRow, putCodeRow } from './store.ts';

type CodeDeps = Pick<CatalogueDeps, 'pool' | 'stock'>;

const wholeInBasisPoints = 10_000;

/**
 * Creates or replaces a code. Baskets that have it keep the terms that it had. Uses count on from those of an earlier code
 * of that name. Refusals: `not_found` (no such shop), `invalid_request`, `capacity_below_committed`.
 */
export async function putCode(deps: CodeDeps, shopId: string, code: CodeWithTerms): Promise<null | Refusal> {
  if ((await readShop(deps.pool, shopId)) === null) return refuse('not_found');
  const contradiction = contradictionIn(code);
  if (contradiction) return contradiction;
  return changeCounted(deps, shopId, stockIdOfCode(code), async (tx, stockId) => {
    const maxUses = 'maxUses' in code.terms ? code.terms.maxUses : null;
    const refusal = stockId === null ? null : await deps.stock.setCapacities(tx, shopId, new Map([[stockId, maxUses]]));
    if (refusal) return refusal;
    await putCodeRow(tx, shopId, code);
    return null;
  });
}

/** Deletes a code. Baskets that have it keep it, and their uses stay counted. Refusal: `not_found`. */
export function deleteCode(deps: CodeDeps, shopId: string, type: CodeType, code: string): Promise<null | Refusal> {
  return changeCounted(deps, shopId, stockIdOfCode({ type, code }), async (tx) => {
    return (await deleteCodeRow(tx, shopId, type, code)) ? null : refuse('not_found');
  });
}

/** Changes a code whose stock row is locked: nobody who read it before commits on what it was. */
async function changeCounted(
  { pool, stock }: CodeDeps,
  shopId: string,
  stockId: string | null,
  change: (tx: Parameters<typeof stock.lock>[0], stockId: string | null) => Promise<null | Refusal>,
): Promise<null | Refusal> {
  const result = await withTransaction<null | Refusal>(pool, async (tx) => {
    if (stockId !== null) await stock.lock(tx, shopId, [stockId]);
    return change(tx, stockId);
  });
  if (!isRefusal(result) && stockId !== null) await stock.tellRedis(shopId, [stockId]);
  return result;
}

function contradictionIn({ type, terms }: CodeWithTerms): Refusal | null {
  if (type === 'creator') return null;
  if (type === 'discount' && terms.type === 'percent' && terms.value > wholeInBasisPoints) {
    return invalid('/value', 'must be <= 10000, which is 100 %');
  }
  const { validFrom, validTo } = terms;
  const never = validFrom !== null && validTo !== null && new Date(validTo) <= new Date(validFrom);
  return never ? invalid('/validTo', 'must be later than validFrom') : null;
}

function invalid(pointer: string, detail: string): Refusal {
  return refuse('invalid_request', { detail: `${pointer} ${detail}.`, extensions: { errors: [{ pointer, detail }] } });
}
