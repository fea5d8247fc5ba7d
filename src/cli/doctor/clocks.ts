import { broken, type Finding, ok, warning } from './finding.ts';

const looks = 3;
/** As far as the time of a JWT may be off. */
const leewayMs = 60_000;
const oursNoticedMs = 10_000;
/** As late as expired baskets give their stock back. */
const redisBehindMs = 2000;

/**
 * How many milliseconds another clock is ahead of ours, by the quickest of three looks; `read` gives its time in
 * milliseconds since 1970.
 */
export async function aheadOfOursMs(read: () => Promise<number>): Promise<number> {
  const seen: { tookMs: number; aheadMs: number }[] = [];
  for (let at = 0; at < looks; at += 1) {
    const before = Date.now();
    const theirs = await read();
    const after = Date.now();
    seen.push({ tookMs: after - before, aheadMs: theirs - (before + after) / 2 });
  }
  return Math.round(seen.toSorted((a, b) => a.tookMs - b.tookMs)[0]?.aheadMs ?? 0);
}

/** Judges our clock by Postgres', which decides all times of the service. */
export function checkOurClock(postgresAheadMs: number): Finding {
  const says = `the clock of Postgres is ${apart(postgresAheadMs)} this machine’s`;
  const mend = 'set both by NTP: from 60,000 ms on JWTs are refused that have just been made, or taken after their end';
  if (Math.abs(postgresAheadMs) >= leewayMs) return broken(says, mend);
  return Math.abs(postgresAheadMs) >= oursNoticedMs ? warning(says, mend) : ok(says);
}

/** Judges Redis' clock by Postgres': it says when to look whether baskets have expired. */
export function checkRedisClock(redisAheadMs: number): Finding {
  const says = `the clock of Redis is ${apart(redisAheadMs)} that of Postgres`;
  const mend =
    'set both by NTP: where it is 2,000 ms behind or more, expired baskets give their stock back up to ten seconds late';
  return redisAheadMs <= -redisBehindMs ? warning(says, mend) : ok(says);
}

function apart(ms: number): string {
  return `${Math.abs(ms)} ms ${ms < 0 ? 'behind' : 'ahead of'}`;
}
