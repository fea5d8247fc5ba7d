import type { CpuMs, Figures, Ratio, Result } from './run.ts';
import type { Limit } from './scenarios/scenario.ts';

/** What a whole run is described by, beside its results. */
export type Circumstances = { machine: readonly (readonly [name: string, value: string])[]; how: string };

/** Writes `results.md`. */
export function renderReport({ machine, how }: Circumstances, results: readonly Result[]): string {
  const figures = results.flatMap(({ scenario, ours, floor }) => [
    [`**${scenario.name}**`, ...figureCells(ours)],
    [`*${scenario.floor}*`, ...figureCells(floor)],
  ]);
  return [
    '# Results of the bench',
    `Written by \`npm run bench\`. [What is compared with what, and how to read it](README.md)`,
    table(['', ''], machine),
    how,
    '## Ratios',
    table(['scenario', 'what it does', 'floor', 'of', 'ratio', 'rounds', 'goal', ''], results.map(resultCells)),
    '## Figures',
    table(['', ...figureHeads], figures),
    '',
  ].join('\n\n');
}

/** Writes what came of one scenario as a line for a terminal. */
export function renderLine(result: Result): string {
  const { scenario, ratio } = result;
  const goal = scenario.goal === null ? '' : `, goal ${goalText(scenario.goal)}: ${judge(scenario.goal, ratio.median)}`;
  return `${scenario.name}: ${ratio.median.toFixed(2)} × ${scenario.floor}${goal}`;
}

/** Whether a value reaches a goal, and how far it is from it: `met`, or `missed by 12 %` of the goal. */
export function judge(goal: Limit, value: number): string {
  const missing = 'atLeast' in goal ? 1 - value / goal.atLeast : value / goal.atMost - 1;
  return missing <= 0 ? 'met' : `missed by ${Math.max(1, Math.round(missing * 100))} %`;
}

function resultCells({ scenario, ratio }: Result): string[] {
  const { goal } = scenario;
  return [
    scenario.name,
    scenario.does,
    scenario.floor,
    goal?.of ?? 'requests a second',
    ...ratioCells(ratio),
    goal === null ? '' : goalText(goal),
    goal === null ? '' : judge(goal, ratio.median),
  ];
}

/** The median over rounds, and the ends. */
export function ratioCells({ median, lowest, highest }: Ratio): string[] {
  return [median.toFixed(2), `${lowest.toFixed(2)}–${highest.toFixed(2)}`];
}

/** A goal in a few characters. */
export function goalText(goal: Limit): string {
  return 'atLeast' in goal ? `≥ ${goal.atLeast}` : `≤ ${goal.atMost}`;
}

export const figureHeads = ['requests/s', 'p50 ms', 'p99 ms', 'CPU ms: server', 'Postgres', 'Redis'];

/** What stands under `figureHeads`. */
export function figureCells({ requestsPerSecond, p50Ms, p99Ms, cpuMs }: Figures): string[] {
  const cpu = (name: keyof CpuMs) => cpuMs[name]?.toFixed(3) ?? 'unknown';
  return [
    ...[Math.round(requestsPerSecond).toLocaleString('en-GB'), p50Ms.toFixed(2), p99Ms.toFixed(2)],
    ...[cpu('server'), cpu('postgres'), cpu('redis')],
  ];
}

/** A table in Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
