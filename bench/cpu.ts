import { existsSync, readFileSync } from 'node:fs';

/** Linux shows times in `/proc` in hundredths of a second on every machine that Node runs on (man 5 proc, USER_HZ). */
const tickMs = 10;

/**
 * The CPU time in milliseconds that a process and its children have used since they were started, those that have ended
 * included. Null where the system does not say, which is everywhere but on Linux.
 */
export function cpuMsOf(pid: number): number | null {
  const own = ticksOf(pid);
  if (own === null) return null;
  const { self, ended } = own;
  const living = childrenOf(pid).map((child) => ticksOf(child)?.self ?? 0);
  return (self + ended + living.reduce((sum, ticks) => sum + ticks, 0)) * tickMs;
}

function ticksOf(pid: number): { self: number; ended: number } | null {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return null;
  const text = readFileSync(file, 'utf8');
  // Counted from behind the name, which may hold spaces: the 14th to 17th of all fields.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11, 15).map(Number);
  return { self: user + system, ended: endedUser + endedSystem };
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}
