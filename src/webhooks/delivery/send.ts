import type { Outbound } from '../../platform/outbound.ts';
import type { Message } from './message.ts';

/** One try to deliver. */
export type Attempt = {
  at: Date;
  /** Null: no answer came. */
  responseStatus: number | null;
  durationMs: number;
  /** Why there is no whole answer, in words; null also for a whole answer that is not 2xx. */
  error: string | null;
  /** When the receiver would like to be asked again; not bounded. */
  retryAfterSeconds: number | null;
  /** The receiver wants no more, ever. */
  gone: boolean;
  /** It was answered 2xx, and whole. */
  delivered: boolean;
};

/**
 * Sends a message once, in the trace that `traceparent` names, if any. Never rejects: whatever happens is told by the
 * attempt.
 */
export async function send(
  outbound: Outbound,
  url: string,
  message: Message,
  traceparent: string | null,
): Promise<Attempt> {
  const at = new Date();
  const startedMs = performance.now();
  const headers = { ...message.headers, ...(traceparent === null ? {} : { traceparent }) };
  const answer = await outbound.request(url, { method: 'POST', headers, body: message.body });
  const { status } = answer;
  const error = 'error' in answer ? answer.error : null;
  const wantedAfter = 'headers' in answer ? answer.headers['retry-after'] : undefined;
  return {
    at,
    responseStatus: status,
    durationMs: Math.round(performance.now() - startedMs),
    error,
    retryAfterSeconds: wantedAfter === undefined ? null : secondsOf(wantedAfter, at),
    gone: status === 410,
    delivered: error === null && status !== null && status >= 200 && status <= 299,
  };
}

/** The wait that a Retry-After header asks for (RFC 9110, section 10.2.3), as seconds or a date; null when it is neither. */
function secondsOf(retryAfter: string, now: Date): number | null {
  if (/^\d{1,10}$/.test(retryAfter)) return Number(retryAfter);
  const atMs = /^[A-Z][a-z]{2}, /.test(retryAfter) ? Date.parse(retryAfter) : Number.NaN;
  return Number.isNaN(atMs) ? null : Math.max(0, Math.ceil((atMs - now.getTime()) / 1000));
}
