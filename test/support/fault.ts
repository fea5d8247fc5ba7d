import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import t, { type Test } from 'tap';
import { audit } from './audit.ts';
import { findDoubled, findImpossible, findLost } from './history.ts';
import type { startLoad } from './load.ts';
import type { Alteration } from './replica.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The service believes that something is sold out for a second, and for five at most where the fault cuts off whoever has
 * gone to ask; and the answer that says so takes its time.
 */
const believedSoldOutMs = 6000;
/** Runs without the protection, until one goes wrong. */
const maxTries = 3;
/** FAULT_CONTROLS=1/3 runs of the controls those of the faults whose number leaves 1 when divided by 3. */
const [turn, turns] = (process.env.FAULT_CONTROLS ?? '0/1').split('/').map(Number);

/** What became of a run with a fault in it. `violations` is everything that must not be, in words. */
type Outcome = {
  violations: string[];
  /** Baskets that clients were told they have. */
  acknowledged: number;
  /** Of these, those that are not in Postgres. */
  lost: number;
  /** Units held and sold beyond the capacity, by the baskets' rows. */
  oversold: number;
  /** Holds that Redis did not have any more after the fault. */
  holdsForgotten?: number;
  /** What else the run showed, for the table. */
  note?: string;
};

type Fault = {
  id: `F${number}` | `F${number}${'a' | 'b' | 'c' | 'd' | 'e'}`;
  /** What breaks. */
  fault: string;
  /** How the test breaks it. */
  how: string;
  /** What is taken out for the run that must fail, so that the run that passes proves something. */
  control: { what: string; altered?: readonly Alteration[] };
  /** Why this machine cannot run it, if it cannot. */
  skip?: string | false;
  run(t: Test, options: { protection: 'on' | 'off'; altered: readonly Alteration[] }): Promise<Outcome>;
};

/** What a fault came to, as it is kept for the table. `test` is the file, from the project's directory. */
export type FaultResult = Pick<Fault, 'id' | 'fault' | 'how'> & {
  without: string;
  test: string;
  on?: KeptOutcome;
  off?: KeptOutcome;
};
/** An outcome with no more than the number of its violations, and of the run without the protection that showed them. */
export type KeptOutcome = Omit<Outcome, 'violations'> & { violations: number; tries?: number };

/**
 * Tries a fault as two tests: with the protection nothing may be violated, without it something must be in one of three
 * runs. `altered` is empty in the first run and the control's in the second. What came of both is written to
 * `.tap/faults/<id>.json`, from which `npm run docs:reliability` makes the table.
 */
export function fault({ id, fault, how, control, skip = false, run }: Fault): void {
  const outcomes: Pick<FaultResult, 'on' | 'off'> = {};
  const record = (which: 'on' | 'off', outcome: Outcome & { tries?: number }) => {
    outcomes[which] = { ...outcome, violations: outcome.violations.length };
    const directory = join(project, '.tap/faults');
    mkdirSync(directory, { recursive: true });
    const test = relative(project, process.argv[1] ?? '');
    const row: FaultResult = { id, fault, how, without: control.what, test, ...outcomes };
    writeFileSync(join(directory, `${id}.json`), `${JSON.stringify(row, null, 2)}\n`);
  };

  t.test(
    `${id} ${fault}: nothing acknowledged is lost, nothing oversold, nobody is told wrong`,
    { skip },
    async (t) => {
      const on = await run(t, { protection: 'on', altered: [] });
      record('on', on);
      // Its name says what, since not every report shows more of an assertion.
      t.strictSame(on.violations, [], on.violations[0] ?? 'no violation');
      t.equal(on.lost, 0, 'acknowledged baskets lost');
      t.equal(on.oversold, 0, 'units oversold');
    },
  );
  if (Number.parseInt(id.slice(1), 10) % (turns ?? 1) !== turn) {
    t.comment(`${id}: its control has its turn another time (FAULT_CONTROLS=${process.env.FAULT_CONTROLS})`);
    return;
  }
  t.test(
    `${id} ${fault}: the same run finds what is wrong without the protection: ${control.what}`,
    { skip },
    async (t) => {
      // What goes wrong without it does so at some moments only, and it is enough that it can.
      let violations: string[] = [];
      for (let tries = 1; violations.length === 0 && tries <= maxTries; tries += 1) {
        await t.test(`run ${tries}`, async (t) => {
          const off = await run(t, { protection: 'off', altered: control.altered ?? [] });
          violations = off.violations;
          record('off', { ...off, tries });
        });
      }
      t.not(violations.length, 0, `something is wrong in one of ${maxTries} runs`);
      t.comment(violations.slice(0, 3).join('\n'));
    },
  );
}

/**
 * What a stopped load leaves behind, judged by its history, the auditor and the baskets' rows. `capacities` are those of
 * the stock rows that the load had for itself.
 */
export async function judge(
  pool: pg.Pool,
  load: Awaited<ReturnType<typeof startLoad>>,
  capacities: ReadonlyMap<string, number>,
  { staleRefusalMs = believedSoldOutMs } = {},
): Promise<Outcome> {
  const lost = await findLost(pool, load.history);
  const books = await audit(pool).then(
    () => [],
    (error: Error) => [error.message],
  );
  return {
    violations: [
      ...load.problems,
      ...lost,
      ...(await findDoubled(pool, load.history)),
      ...books,
      ...findImpossible(load.history, capacities, { staleRefusalMs }),
    ],
    acknowledged: load.history.calls.filter(({ operation, outcome }) => operation === 'create' && outcome === 'ok')
      .length,
    lost: lost.length,
    oversold: await countOversold(pool),
  };
}

/** By how many units the baskets that hold or have bought go beyond the capacities, whatever the counters say. */
export async function countOversold(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ oversold: number }>(
    `SELECT coalesce(sum(greatest(0, taken.quantity - s.capacity)), 0)::int AS oversold
     FROM (
       SELECT b.shop_id, t.stock_id, sum(t.quantity) AS quantity
       FROM baskets b, unnest(b.hold_stock_ids, b.hold_quantities) AS t(stock_id, quantity)
       WHERE b.status IN ('open', 'activated', 'checkout', 'completed') GROUP BY 1, 2
     ) taken JOIN stock s ON s.shop_id = taken.shop_id AND s.stock_id = taken.stock_id`,
  );
  return rows[0]?.oversold ?? 0;
}
