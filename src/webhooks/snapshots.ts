/*
 * Snapshots of Postgres as text, `xmin:xmax:xip,…`: they see every transaction below `xmin`, and those below `xmax` that are
 * not in the list. Source: PostgreSQL manual, "Transaction ID and Snapshot Information Functions".
 */

type Snapshot = { min: number; max: number; running: number[] };

/** Sees no transaction. 3 is the first that a database ever has. */
export const seesNothing = '3:3:';

/** The snapshot without the transactions from `end` on. */
export function clip(snapshot: string, end: number): string {
  const { min, max, running } = parse(snapshot);
  return format({ min: Math.min(min, end), max: Math.min(max, end), running: running.filter((xact) => xact < end) });
}

/** The same in fewer characters: the numbers as distances from the first. Undone by `unpack`. */
export function pack(snapshot: string): string {
  const { min, max, running } = parse(snapshot);
  return [min, max - min, ...running.map((xact) => xact - min)].join(' ');
}

/** The inverse of `pack`. */
export function unpack(packed: string): string {
  const [min = 0, ...distances] = packed.split(' ').map(Number);
  const [max = min, ...running] = distances.map((distance) => min + distance);
  return format({ min, max, running });
}

/** Transaction numbers have 64 bits, and stay far below 2^53. */
function parse(snapshot: string): Snapshot {
  const [min, max, running = ''] = snapshot.split(':');
  return { min: Number(min), max: Number(max), running: running === '' ? [] : running.split(',').map(Number) };
}

function format({ min, max, running }: Snapshot): string {
  return `${min}:${max}:${running.join(',')}`;
}
