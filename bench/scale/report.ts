import { type Circumstances, figureCells, figureHeads, goalText, judge, ratioCells, table } from '../report.ts';
import type { Limit } from '../scenarios/scenario.ts';
import type { ScaleResult } from './run.ts';

const goals = { ratio: { atLeast: 0.95 }, redisBytesPerBasket: { atMost: 500 }, rebuildSeconds: { atMost: 20 } };

/** Writes `results-of-scale.md`. */
export function renderScale({ machine, how }: Circumstances, result: ScaleResult): string {
  const { loads, redisBytesPerBasket, rebuildMs, sizes } = result;
  const few = result.few.toLocaleString('en-GB');
  const many = result.many.toLocaleString('en-GB');
  const judged = (goal: Limit, value: number) => [goalText(goal), judge(goal, value)];
  const rebuildSeconds = rebuildMs / 1000;
  return [
    `# What becomes of it with ${many} live baskets?`,
    'Written by `npm run bench -- scale`. [What is measured](README.md#a-million-baskets)',
    table(['', ''], machine),
    how,
    '## Speed',
    table(
      ['', `ratio to ${few}`, 'rounds', 'goal', ''],
      loads.map(({ name, ratio }) => [name, ...ratioCells(ratio), ...judged(goals.ratio, ratio.median)]),
    ),
    table(
      ['', 'live baskets', ...figureHeads],
      loads.flatMap((load) => [
        [load.name, few, ...figureCells(load.few)],
        [load.name, many, ...figureCells(load.many)],
      ]),
    ),
    '## Redis',
    table(
      ['', '', 'goal', ''],
      [
        ['bytes a basket', redisBytesPerBasket.toFixed(0), ...judged(goals.redisBytesPerBasket, redisBytesPerBasket)],
        ['seconds to build it anew', rebuildSeconds.toFixed(1), ...judged(goals.rebuildSeconds, rebuildSeconds)],
      ],
    ),
    '## Postgres',
    'Bytes of a basket of three lines that was created with an idempotency key and not changed since:',
    table(
      ['', 'table', 'index'],
      sizes.map(({ name, of, bytesPerBasket }) => {
        const bytes = bytesPerBasket.toFixed(0);
        return of === 'table' ? [`**${name}**`, bytes, ''] : [name, '', bytes];
      }),
    ),
    '',
  ].join('\n\n');
}
