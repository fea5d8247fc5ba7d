import { setTimeout as delay } from 'node:timers/promises';
import { isRefusal, type Refusal, refuse } from '../errors.ts';
import type { ApiCaller } from '../http/access.ts';
import { findAnswers, type IdempotencyKey } from '../http/idempotency.ts';
import type { CodeTries } from '../http/limits.ts';
import { refusalOf } from '../http/problems.ts';
import { type CreateDeps, type Created, createBasket, replay } from './create.ts';
import type { CreateBasketRequest } from './model.ts';

/**
 * How many creations of one batch are under way at once. Enough for a few group commits to take all of a batch, and few
 * enough that somebody else's creation never waits behind hundreds, and that a partner's limit of live baskets, which
 * concurrent creations may pass, is passed by little.
 */
const atOnce = 50;

/** The answer must leave within 5 s, and a large one takes its time to be written. */
const withinMs = 3000;

/**
 * Creates baskets, each on its own, and says of each what createBasket said. An entry that is a refusal already stays
 * one. Entries of one customer are created one after the other, so that the customer's limit of live baskets holds.
 * Whatever is not done after three seconds is `unavailable`: it may be made all the same, which the same request with the
 * same keys finds out. `failed` hears what an entry broke on, which is refused alone.
 */
export async function createBaskets(
  deps: CreateDeps,
  caller: ApiCaller & { shopId: string },
  entries: readonly (CreateBasketRequest | Refusal)[],
  keys: readonly IdempotencyKey[] | null,
  countTries: () => Promise<CodeTries>,
  failed: (error: Error) => void,
): Promise<(Created | Refusal)[]> {
  const results: (Created | Refusal)[] = [];
  const turns = turnsOf(entries);
  // First, since what is made already would be admitted once more for a moment, and be in the way of what is not.
  const stored = keys && (await findAnswers(deps.pool, caller.shopId, keys));
  let timeIsUp = false;

  async function takeTurns(): Promise<void> {
    for (let turn = turns.next(); !turn.done; turn = turns.next()) {
      for (const entry of turn.value) {
        if (timeIsUp) return;
        results[entry.at] = await create(entry);
      }
    }
  }
  async function create({ at, body }: Entry): Promise<Created | Refusal> {
    const answer = stored?.[at] ?? null;
    if (isRefusal(body)) return body;
    if (isRefusal(answer)) return answer;
    try {
      if (answer !== null) return await replay(deps, caller.shopId, answer);
      return await createBasket(deps, caller, body, keys?.[at] ?? null, countTries);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      failed(error);
      return refusalOf(error);
    }
  }

  const timeOut = delay(withinMs, undefined, { ref: false });
  await Promise.race([timeOut, Promise.all(Array.from({ length: atOnce }, takeTurns))]);
  timeIsUp = true;
  return entries.map((_, at) => results[at] ?? refuse('unavailable'));
}

type Entry = { at: number; body: CreateBasketRequest | Refusal };

/** The entries, those of one customer together. */
function turnsOf(bodies: readonly (CreateBasketRequest | Refusal)[]): Iterator<Entry[]> {
  const turns = new Map<string, Entry[]>();
  for (const [at, body] of bodies.entries()) {
    const customerId = isRefusal(body) ? undefined : body.customer?.id;
    const turn = customerId === undefined ? `entry ${at}` : `customer ${customerId}`;
    turns.set(turn, [...(turns.get(turn) ?? []), { at, body }]);
  }
  return turns.values();
}
