import type { Print } from '../command.ts';

/** Where a bar may be drawn: standard error, say. */
export type ProgressStream = { isTTY?: boolean; write(text: string): unknown };

const barCharacters = 30;

/** Gives a function that shows how many of all are done: as a bar on a terminal, else by a line each time. */
export function showProgress(stream: ProgressStream, all: number, print: Print): (done: number) => void {
  if (!stream.isTTY) return (done) => print(`${done} of ${all}`);
  return (done) => {
    const full = Math.round((barCharacters * done) / all);
    const bar = '█'.repeat(full) + '░'.repeat(barCharacters - full);
    stream.write(`\r${bar} ${done} of ${all}${done === all ? '\n' : ''}`);
  };
}
