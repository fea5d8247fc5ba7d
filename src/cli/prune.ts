import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { pruneBaskets } from '../baskets/index.ts';
import { variablesOf } from '../config.ts';
import { pruneSpent } from '../handoff/index.ts';
import { pruneKeys } from '../http/idempotency.ts';
import { assertMigrated } from '../platform/migrations.ts';
import { openPostgres } from '../platform/postgres.ts';
import { listShopIds } from '../shops/index.ts';
import { removeDynamicPackages } from '../tebex/index.ts';
import { changesKeptDays } from '../webhooks/index.ts';
import { type Command, type Print, readArguments, UsageError } from './command.ts';

const leastDays = changesKeptDays + 1;
const mostDays = 36_500;
const progressEveryMs = 5000;

export const prune: Command = {
  usage: `npx basketlink prune --older-than-days <${leastDays} or more> [--dry-run]

Removes what came to nothing so long ago: expired and cancelled baskets with all that is kept of them, idempotency keys
and spent confirmation tokens. With --dry-run it only says how much it is. May run beside the service.

Reads DATABASE_URL. Exit codes: 0 done, 1 it could not go on (what is removed is removed), 2 no such number of days.
`,
  async run(args, environment, print) {
    const { values } = readArguments(args, {
      'older-than-days': { type: 'string' },
      'dry-run': { type: 'boolean', default: false },
    });
    const { 'older-than-days': olderThanDays, 'dry-run': dryRun } = values;
    await runPrune(environment, { olderThanDays, dryRun }, print);
    return 0;
  },
};

/**
 * `npx basketlink prune`: removes what is old, shop by shop, and prints how far it is and what it came to. It may run beside
 * the service and beside others of its kind: every batch is a transaction of its own, what is locked is left alone, and it
 * pauses for as long as it has worked. Broken off, it has done what it has done. Throws UsageError when `olderThanDays` is no
 * number of days that may be.
 */
export async function runPrune(
  environment: NodeJS.ProcessEnv,
  { olderThanDays, dryRun }: { olderThanDays: string | undefined; dryRun: boolean },
  print: Print,
): Promise<void> {
  const wanted = { olderThanDays: daysOf(olderThanDays), dryRun };
  const { DATABASE_URL } = variablesOf(environment, ['DATABASE_URL']);
  const pool = openPostgres(DATABASE_URL, () => {});
  try {
    await assertMigrated(pool);
    await pruneAll(pool, wanted, print);
  } finally {
    await pool.end();
  }
}

function daysOf(text: string | undefined): number {
  const days = Number(text);
  if (text !== undefined && /^\d+$/.test(text) && days >= leastDays && days <= mostDays) return days;
  throw new UsageError(
    `--older-than-days is not a number from ${leastDays} to ${mostDays}: changes are shown for ${changesKeptDays} days.`,
  );
}

type Wanted = { olderThanDays: number; dryRun: boolean };

async function pruneAll(pool: pg.Pool, wanted: Wanted, print: Print): Promise<void> {
  const counts = { baskets: 0, keys: 0, tokens: 0 };
  const soFar = () =>
    `${counts.baskets} baskets, ${counts.keys} idempotency keys, ${counts.tokens} spent confirmation tokens`;
  let shownAtMs = performance.now();

  /** Goes through a table from one place to the next, until there is none. */
  async function walk<Place>(
    kind: keyof typeof counts,
    from: Place,
    step: (from: Place) => Promise<{ removed: number; next: Place | null }>,
  ): Promise<void> {
    for (let place: Place | null = from; place !== null; ) {
      const startedAtMs = performance.now();
      const { removed, next } = await step(place);
      const endedAtMs = performance.now();
      counts[kind] += removed;
      place = next;
      if (endedAtMs > shownAtMs + progressEveryMs) {
        print(`${soFar()} so far`);
        shownAtMs = endedAtMs;
      }
      await delay(endedAtMs - startedAtMs);
    }
  }

  const deps = { pool, removeBeside: removeDynamicPackages };
  for (const shopId of await listShopIds(pool)) {
    await walk('baskets', '', (after) => pruneBaskets(deps, shopId, after, wanted));
    await walk<Buffer>('tokens', Buffer.alloc(0), (after) => pruneSpent(pool, shopId, after, wanted));
  }
  await walk('keys', 'the oldest', async (place) => {
    const removed = await pruneKeys(pool, wanted);
    return { removed, next: removed > 0 && !wanted.dryRun ? place : null };
  });
  print(`${wanted.dryRun ? 'To be removed' : 'Removed'}: ${soFar()}.`);
}
