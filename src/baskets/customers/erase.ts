import type pg from 'pg';
import { isRefusal, type Refusal, refuse } from '../../errors.ts';
import { findAnswer, type IdempotencyKey, runOnce } from '../../http/idempotency.ts';
import { withTransaction } from '../../platform/postgres.ts';
import { type Ending, eraseBaskets, lockUnerased, readLiveIds } from './store.ts';

/** What erasing works with. */
export type EraseDeps = {
  pool: pg.Pool;
  /** Removes what higher rooms keep of baskets and may be personal, in the transaction that erases them. */
  eraseBeside: (tx: pg.PoolClient, shopId: string, basketIds: readonly string[]) => Promise<void>;
};

/** How many baskets were erased by this call, and which were left alone because they are still in use. */
export type Erased = { erasedBaskets: number; liveBasketIds: string[] };

/** Few, so that nobody waits long for one of them. */
const atOnce = 100;
/** An answer is waited for five seconds. */
const workForMs = 3000;

/**
 * Removes personal data from a customer's ended baskets, their snapshots and so from stored answers and changes: e-mail
 * address, name, user name and its id, IP address, and what nobody can tell of whether it is personal, `custom` and the
 * variables of lines, and what higher rooms keep beside them. Ids, amounts and times stay. Baskets that are live stay as they are and are named.
 *
 * Done in batches, each for good. Refusals: `unavailable` when some are left, for the caller to go on by the same call;
 * those of the key.
 */
export async function eraseCustomer(
  deps: EraseDeps,
  shopId: string,
  customerId: string,
  key: IdempotencyKey | null,
): Promise<{ erased: Erased; replayed: boolean } | Refusal> {
  const { pool } = deps;
  const known = key && (await findAnswer(pool, key));
  if (known !== null) return isRefusal(known) ? known : { erased: known.answer as Erased, replayed: true };
  const stopAtMs = performance.now() + workForMs;
  // Before the ended ones are looked for: one that ends in between is among them.
  const liveBasketIds = await readLiveIds(pool, shopId, customerId);
  let erasedBaskets = 0;
  // In this order: an overdue one that is swept meanwhile is found among the ended.
  for (const ending of ['overdue', 'ended'] as const) {
    for (let after: string | undefined = ''; after !== undefined; ) {
      if (performance.now() > stopAtMs) {
        const detail = `${erasedBaskets} baskets were erased, and more are left: call again.`;
        return refuse('unavailable', { detail });
      }
      const from: string = after;
      const ids = await withTransaction(pool, (tx) => eraseNext(deps, tx, shopId, customerId, ending, from));
      erasedBaskets += ids.length;
      after = ids.length < atOnce ? undefined : ids.at(-1);
    }
  }
  const answer: Erased = { erasedBaskets, liveBasketIds };
  const stored = await withTransaction(pool, (tx) =>
    runOnce(tx, key, async () => ({ status: 200, basketId: null, sequence: null, answer })),
  );
  return isRefusal(stored) ? stored : { erased: stored.answer as Erased, replayed: stored.replayed };
}

async function eraseNext(
  { eraseBeside }: EraseDeps,
  tx: pg.PoolClient,
  shopId: string,
  customerId: string,
  ending: Ending,
  after: string,
): Promise<string[]> {
  const ids = await lockUnerased(tx, shopId, customerId, ending, after, atOnce);
  // A statement of its own: it must see the snapshots that were written before the locks were had.
  if (ids.length > 0) {
    await eraseBaskets(tx, shopId, ids);
    await eraseBeside(tx, shopId, ids);
  }
  return ids;
}
