import type pg from 'pg';
import type { Test } from 'tap';
import { expireListed } from '../../src/holds/arbiter.ts';
import { complete, letExpire, readBasket, type TestShop } from './journey.ts';

type RacedShop = Parameters<typeof letExpire>[0];

/** Plays rounds, so many at once, until all were played. */
export async function playRounds(
  { rounds, atOnce }: { rounds: number; atOnce: number },
  play: (round: number) => Promise<void>,
): Promise<void> {
  let round = 0;
  const lane = async () => {
    while (round < rounds) {
      round += 1;
      await play(round);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

/** Puts what happens at once into another order in each round. */
export function rotated<T>(all: readonly T[], by: number): T[] {
  return all.map((_, at) => all[(at + by) % all.length] as T);
}

/** Lets a basket's time run out and sweeps it. Gives whether it was swept. */
export async function expire(shop: RacedShop, basketId: string): Promise<boolean> {
  await letExpire(shop, basketId);
  return (await expireListed(shop.service.pool, [{ shopId: shop.shopId, basketId }])).length === 1;
}

export function cancel(shop: Pick<TestShop, 'backEnd'>, basketId: string) {
  return shop.backEnd.request('POST', `/v1/baskets/${basketId}/cancel`);
}

/** What completion, cancellation and expiry of an activated basket at once may come to, as `raceToEnd` tells it. */
export const possibleEnds = [
  'completed, basket_not_live, completed',
  // A late completion may follow an expiry, with the stock that is still there.
  'completed, basket_not_live, completed late',
  'basket_cancelled, cancelled, cancelled',
];

/**
 * Completes, cancels and expires an activated basket at once. Gives in words what the completion and the cancellation
 * were told, and what the basket is afterwards.
 */
export async function raceToEnd(shop: RacedShop, basketId: string, round: number): Promise<string> {
  let completion = '';
  let cancellation = '';
  const acts = [
    async () => {
      const { status, body } = await complete(shop, basketId, { orderId: `order-${basketId}` });
      completion = status === 200 ? 'completed' : body.code;
    },
    async () => {
      const { status, body } = await cancel(shop, basketId);
      cancellation = status === 200 ? 'cancelled' : String((body as { code?: string }).code);
    },
    async () => void (await expire(shop, basketId)),
  ];
  await Promise.all(rotated(acts, round).map((act) => act()));
  const { status, late } = await readBasket(shop, basketId);
  return `${completion}, ${cancellation}, ${status}${late ? ' late' : ''}`;
}

/** Locks the rows that a query selects FOR UPDATE, until the function that it gives is called or the test ends. */
export async function holdLocked(
  t: Test,
  pool: pg.Pool,
  query: string,
  values: unknown[],
): Promise<() => Promise<void>> {
  const holder = await pool.connect();
  await holder.query('BEGIN');
  const { rowCount } = await holder.query(query, values);
  if (rowCount === 0) throw new Error('there is nothing to lock');
  let letGo: Promise<void> | null = null;
  const once = () => {
    letGo ??= holder.query('ROLLBACK').then(() => holder.release());
    return letGo;
  };
  t.teardown(once);
  return once;
}
