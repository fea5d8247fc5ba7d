/** How often each latency was seen: pairs of microseconds and how often, in any order. */
export type Histogram = readonly (readonly [microseconds: number, count: number])[];

/** The middle value, or the mean of the two in the middle. Throws when there is none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (upper === undefined || lower === undefined) throw new Error('nothing has no median');
  return (lower + upper) / 2;
}

/**
 * The latency in milliseconds that a share of all requests, such as 0.99, did not exceed: the nearest-rank percentile, a
 * value that was really seen. Throws when the histogram is empty.
 */
export function percentileMs(histogram: Histogram, share: number): number {
  const sorted = histogram.toSorted(([a], [b]) => a - b);
  const rank = Math.ceil(share * sorted.reduce((sum, [, count]) => sum + count, 0));
  let seen = 0;
  for (const [microseconds, count] of sorted) {
    seen += count;
    if (seen >= rank && count > 0) return microseconds / 1000;
  }
  throw new Error('no request, no percentile');
}
