import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FaultResult, KeptOutcome } from './fault.ts';

/*
 * npm run docs:reliability
 *
 * Writes what the faults of the suite came to into the table of docs/reliability.md, from what `npm test` and
 * `npm run test:faults` left in .tap/faults. The rows of faults that were not run both ways stay as they are.
 */

const project = fileURLToPath(new URL('../..', import.meta.url));
const page = join(project, 'docs/reliability.md');
const results = join(project, '.tap/faults');
const [begin, end] = ['<!-- faults: begin -->', '<!-- faults: end -->'];

const [before, table, after] = readFileSync(page, 'utf8').split(new RegExp(`${begin}|${end}`));
if (before === undefined || table === undefined || after === undefined) {
  throw new Error(`${page} lacks ${begin} or ${end}`);
}
const rows = new Map([...table.matchAll(/^\| \[(F\d+[a-e]?)\].*\|$/gm)].map(([row, id = '']) => [id, row]));
for (const name of readdirSync(results)) {
  const result = JSON.parse(readFileSync(join(results, name), 'utf8')) as FaultResult;
  const row = rowOf(result);
  if (row !== null) rows.set(result.id, row);
}
const sorted = [...rows].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true })).map(([, row]) => row);
const columns = ['acknowledged baskets', 'lost', 'oversold', 'holds Redis forgot'];
const head = [
  `| fault | how | result | ${columns.join(' | ')} | without the protection |`,
  '| --- | --- | --- | ---: | ---: | ---: | ---: | --- |',
];
writeFileSync(page, `${before}${begin}\n${[...head, ...sorted].join('\n')}\n${end}${after}`);

function rowOf({ id, fault, how, without, test, on, off }: FaultResult): string | null {
  if (on === undefined || off === undefined) return null;
  const result =
    on.violations === 0 ? ['as promised', on.note].filter(Boolean).join('; ') : `${on.violations} violations`;
  const numbers = [on.acknowledged, on.lost, on.oversold, on.holdsForgotten ?? '–'];
  const cells = [`[${id}](../${test}) ${fault}`, how, result, ...numbers, `${without}: ${sumUp(off)}`];
  return `| ${cells.join(' | ')} |`;
}

function sumUp({ lost, oversold, violations, tries = 1 }: KeptOutcome): string {
  const counts = [lost > 0 ? `${lost} lost` : '', oversold > 0 ? `${oversold} oversold` : ''].filter(Boolean);
  const found = counts.length > 0 ? counts.join(', ') : `${violations} violation${violations === 1 ? '' : 's'}`;
  return tries === 1 ? found : `${found} in run ${tries}`;
}
