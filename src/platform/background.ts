import type { Logger } from 'pino';

/** Work in the background. `stop` waits for what is under way, and lets nothing begin after it. */
export type Background = { stop(): Promise<void> };

/**
 * Runs `work` again and again, each time so long after the last time has ended, so that nothing piles up where it takes
 * long. What it throws is logged as a warning with `failure`, and it is tried again. `work` may ask whether to stop.
 */
export function runEvery(
  pauseMs: number,
  logger: Logger,
  failure: string,
  work: (isStopping: () => boolean) => Promise<void>,
): Background {
  let stopping = false;
  let timer: NodeJS.Timeout | undefined;
  let working = Promise.resolve();

  async function turn(): Promise<void> {
    try {
      await work(() => stopping);
    } catch (error) {
      logger.warn({ err: error }, failure);
    }
    if (!stopping) schedule();
  }
  function schedule(): void {
    timer = setTimeout(() => {
      working = turn();
    }, pauseMs);
  }
  schedule();
  return {
    async stop() {
      stopping = true;
      clearTimeout(timer);
      await working;
    },
  };
}
