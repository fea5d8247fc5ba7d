import { setTimeout as delay } from 'node:timers/promises';

const shortestPauseMs = 20;
const longestPauseMs = 200;

/**
 * Asks `probe` again and again until it gives something other than null or false, and returns that. Throws, naming what
 * was waited for, when `withinMs` have passed.
 */
export async function until<T>(what: string, withinMs: number, probe: () => Promise<T | null | false>): Promise<T> {
  const startedMs = performance.now();
  for (;;) {
    const found = await probe();
    if (found !== null && found !== false) return found;
    const waitedMs = performance.now() - startedMs;
    if (waitedMs > withinMs) throw new Error(`Not within ${withinMs} ms: ${what}`);
    // Whatever takes long is asked after less often: a probe may be a process of its own.
    await delay(Math.min(longestPauseMs, Math.max(shortestPauseMs, waitedMs / 10)));
  }
}
