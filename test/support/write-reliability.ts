import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FaultResult, KeptOutcome } from './fault.ts';

/*
 * npm run docs:reliability
 *
 * Writes what the faults of the suite came to into the table of docs/reliability.md, from what `npm test` and
 * `npm run test:faults` left in .tap/faults.
 */

const project = fileURLToPath(new URL('../..', import.meta.url));
const page = join(project, 'docs/reliability.md');
const results = join(project, '.tap/faults');
const [begin, end] = ['<!-- faults: begin -->', '<!-- faults: end -->'];

const rows = readdirSync(results)
  .map((name) => JSON.parse(readFileSync(join(results, name), 'utf8')) as FaultResult)
  .sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true }));
const [before, , after] = readFileSync(page, 'utf8').split(new RegExp(`${begin}|${end}`));
// Between the markers stands the old table, so the page has three parts.
if (before === undefined || after === undefined) throw new Error(`${page} lacks ${begin} or ${end}`);
writeFileSync(page, `${before}${begin}\n${tableOf(rows)}${end}${after}`);

function tableOf(all: readonly FaultResult[]): string {
  const head = [
    'fault',
    'how',
    'result',
    'acknowledged baskets',
    'lost',
    'oversold',
    'holds Redis forgot',
    'without the protection',
  ];
  const lines = all.map(({ id, fault, how, without, test, on, off }) => {
    if (on === undefined || off === undefined) throw new Error(`${id} was not run both ways`);
    const result =
      on.violations === 0 ? ['as promised', on.note].filter(Boolean).join('; ') : `${on.violations} violations`;
    const numbers = [on.acknowledged, on.lost, on.oversold, on.holdsForgotten ?? '–'];
    return [`[${id}](../${test}) ${fault}`, how, result, ...numbers, `${without}: ${sumUp(off)}`];
  });
  const dashes = head.map((_, at) => (at > 2 && at < 7 ? '---:' : '---'));
  return [head, dashes, ...lines].map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

function sumUp({ lost, oversold, violations }: KeptOutcome): string {
  const counts = [lost > 0 ? `${lost} lost` : '', oversold > 0 ? `${oversold} oversold` : ''].filter(Boolean);
  return counts.length > 0 ? counts.join(', ') : `${violations} violation${violations === 1 ? '' : 's'}`;
}
