import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { table } from './report.ts';

/*
 * npm run docs:sizing
 *
 * Writes what a call costs, by bench/results.md, into docs/scale.md, section Sizing.
 */

const results = fileURLToPath(new URL('results.md', import.meta.url));
const page = fileURLToPath(new URL('../docs/scale.md', import.meta.url));
const [begin, end] = ['<!-- sizing: begin -->', '<!-- sizing: end -->'];

/** The calls that matter, by their scenarios, and how many of each a bought basket is: its checkout counts as a completion. */
const calls = [
  { name: 'create a basket of three lines', scenario: 'create-spread', ofBought: 1 },
  { name: 'click its link, redirected', scenario: 'click', ofBought: 1 },
  { name: 'redeem the confirmation token', scenario: 'confirm', ofBought: 1 },
  { name: 'complete it', scenario: 'complete', ofBought: 2 },
  { name: 'be refused, sold out', scenario: 'sold-out', ofBought: 0 },
];

/** The text of `docs/scale.md` with its table of costs as `bench/results.md` has them. */
export function sizedPage(): string {
  const text = readFileSync(results, 'utf8');
  const [before, , after] = readFileSync(page, 'utf8').split(/<!-- sizing: (?:begin|end) -->/);
  if (before === undefined || after === undefined) throw new Error(`${page} lacks ${begin} or ${end}`);
  const measured = calls.map((call) => ({ ...call, cpuMs: cpuMsOf(text, call.scenario) }));
  const bought = [0, 1, 2].map((part) => sum(measured.map(({ cpuMs, ofBought }) => (cpuMs[part] ?? 0) * ofBought)));
  const rows = measured.map(({ name, cpuMs }) => [name, ...cpuMs.map(shown)]);
  const head = ['CPU ms of one', 'service', 'Postgres', 'Redis'];
  const all = table(head, [
    ...rows,
    ['**a basket that is bought**', ...bought.map(shown)],
    ['cores that are busy with 100 of these a second', ...bought.map((cpuMs) => shown((cpuMs * 100) / 1000))],
  ]);
  return `${before}${begin}\n${all}\n${end}${after}`;
}

/** What a request of a scenario costs in the service, in Postgres and in Redis, in milliseconds of CPU. */
function cpuMsOf(text: string, scenario: string): number[] {
  const row = new RegExp(`^\\| \\*\\*${scenario}\\*\\* \\|(.*)\\|$`, 'm').exec(text)?.[1];
  const cpuMs = row?.split('|').slice(-3).map(Number) ?? [];
  if (cpuMs.length !== 3 || !cpuMs.every(Number.isFinite)) throw new Error(`bench/results.md lacks ${scenario}`);
  return cpuMs;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function shown(cpuMs: number): string {
  return cpuMs.toFixed(2);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(page, sizedPage());
