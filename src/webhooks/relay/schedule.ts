/** How long a change waits before each try. Source: the schedule that Standard Webhooks 1.0.0 recommends, and one try more. */
const waitsSeconds = [0, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600];
/** What fails together is not tried again together. */
const jitter = 0.1;
const longestRetryAfterSeconds = 24 * 3600;

/**
 * How long to wait, in milliseconds, when so many tries have failed: what the schedule says and up to a tenth more, or
 * what the receiver asked for if that is longer, up to 24 hours. Null: it was the last try. `random` is from 0 to 1.
 */
export function waitMs(triesMade: number, retryAfterSeconds: number | null, random: number): number | null {
  const seconds = waitsSeconds[triesMade];
  if (seconds === undefined) return null;
  const asked = Math.min(retryAfterSeconds ?? 0, longestRetryAfterSeconds);
  return Math.round(Math.max(seconds, asked) * 1000 * (1 + jitter * random));
}
