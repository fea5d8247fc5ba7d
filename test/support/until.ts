import { setTimeout as delay } from 'node:timers/promises';

const pauseMs = 20;

/**
 * Asks `probe` again and again until it gives something other than null or false, and returns that. Throws, naming what
 * was waited for, when `withinMs` have passed.
 */
export async function until<T>(what: string, withinMs: number, probe: () => Promise<T | null | false>): Promise<T> {
  const startedMs = performance.now();
  for (;;) {
    const found = await probe();
    if (found !== null && found !== false) return found;
    if (performance.now() - startedMs > withinMs) throw new Error(`Not within ${withinMs} ms: ${what}`);
    await delay(pauseMs);
  }
}
