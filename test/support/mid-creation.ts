import { audit } from './audit.ts';
import type { Fleet } from './fleet.ts';
import type { Created, ShownProblem } from './journey.ts';
import type { Alteration } from './replica.ts';
import { until } from './until.ts';

/** Beyond the 30 s of a provisional admission: the sweeper's tick, and what a busy machine adds. */
export const orphanGoneWithinMs = 35_000;

/** The steps of a creation, with the place in the source where each is done. `what` is put in there. */
export const steps = {
  'Redis has admitted it': (what: string): Alteration => ({
    file: 'src/baskets/create.ts',
    find: 'const committed = await deps.commit(creation);',
    replace: `${what}; const committed = await deps.commit(creation);`,
  }),
  'it is written, before COMMIT': (what: string): Alteration => ({
    file: 'src/platform/postgres.ts',
    find: `const committed = client.query('COMMIT');`,
    replace: `await Promise.all(sent); ${what}; const committed = client.query('COMMIT');`,
  }),
  'COMMIT, before Redis is told': (what: string): Alteration => ({
    file: 'src/holds/arbiter.ts',
    find: `if (!row) throw new Error('the commit gave no verdict');`,
    replace: `${what}; if (!row) throw new Error('the commit gave no verdict');`,
  }),
  'Redis is told, before the answer': (what: string): Alteration => ({
    file: 'src/baskets/create.ts',
    find: 'return { basket: toBasket(committed.row), answer, replayed: false };',
    replace: `await new Promise((resolve) => setTimeout(resolve, 500)); ${what};
      return { basket: toBasket(committed.row), answer, replayed: false };`,
  }),
};

/** Asks a replica for the last unit of an item; null when no answer came. */
export function ask(fleet: Fleet, url: string, itemId: string, key: string) {
  const body = { items: [{ itemId, quantity: 1 }], reference: key };
  return fleet
    .backEndAt(url)
    .request<Created & ShownProblem>('POST', '/v1/baskets', body, { 'idempotency-key': key })
    .catch(() => null);
}

/** Asks until the answer says what became of it. */
export function askAgain(fleet: Fleet, itemId: string, key: string) {
  const [sound] = fleet.replicas;
  return until(`an answer for ${key}`, 20_000, async () => {
    const answer = await ask(fleet, sound?.url ?? '', itemId, key);
    return answer !== null && answer.status !== 503 && answer;
  });
}

/** The baskets for which Redis holds something, settled or not. All of the shop's keys are in one partition. */
export async function holdsInRedis({ redis }: Fleet): Promise<string[]> {
  return (await redis.cli('HKEYS', '{bl:1}:holds')).split('\n').filter((field) => field.startsWith('roxy/'));
}

export async function auditOf({ pool }: Fleet): Promise<string[]> {
  return audit(pool).then(
    () => [],
    (error: Error) => [error.message],
  );
}
