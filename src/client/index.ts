import createClient, { type Client } from 'openapi-fetch';
import type { components, operations, paths } from './api-types.ts';

/** A refusal; `code` says which one, and `requestId` is what to quote when asking for help. */
export type Problem = components['schemas']['Problem'];
/** A basket as the API shows it. Amounts are integers in minor units of `currency`. */
export type Basket = components['schemas']['Basket'];
/** What redeeming a confirmation token gives: the basket, who is signed in now, and the session of the basket. */
export type Confirmation = operations['redeemConfirmation']['responses'][200]['content']['application/json'];
export type BasketlinkClient = Client<paths, `${string}/${string}`>;

export type BasketlinkOptions = {
  /** Where the service is: its `PUBLIC_URL`. */
  baseUrl: string;
  /** The bearer of calls that name no other `Authorization`, or what gives it, asked once for each call. */
  token: string | (() => string | Promise<string>);
  /** How often a call is sent at most. */
  tries?: number;
  /** How long one try may take. The service itself answers within 5 s, and with 503 where it cannot. */
  timeoutMs?: number;
  /** A `Retry-After` that is longer is left to the caller. */
  longestWaitMs?: number;
  fetch?: (request: Request) => Promise<Response>;
};

const firstWaitMs = 250;

/**
 * The calls of the API, by method and path as `/docs` shows them. A call gives `{ data, response }` or `{ error, response }`,
 * `error` being a {@link Problem}; with code `unreachable` (no answer at all) or `unusable_answer` (not one of the service,
 * but of a proxy for example) it comes from here. Throws only what `token` throws, and when the call's own signal aborts it.
 *
 * Each POST has an `Idempotency-Key`, of its own where the caller gives none. Without an answer, or with one that says to
 * come back (429, 503, `Retry-After`), the call is sent again with the same key. A DELETE whose answer was lost may so be
 * answered 404.
 */
export function createBasketlinkClient(options: BasketlinkOptions): BasketlinkClient {
  const { tries = 3, timeoutMs = 6000, longestWaitMs = 10_000, fetch: send = globalThis.fetch } = options;

  async function trySend(request: Request): Promise<Response | null> {
    const signal = AbortSignal.any([request.signal, AbortSignal.timeout(timeoutMs)]);
    try {
      return await send(new Request(request.clone(), { signal }));
    } catch (error) {
      if (request.signal.aborted) throw error;
      return null;
    }
  }

  async function sendPatiently(request: Request): Promise<Response> {
    const { headers, method } = request;
    if (!headers.has('authorization')) {
      const token = typeof options.token === 'string' ? options.token : await options.token();
      headers.set('authorization', `Bearer ${token}`);
    }
    if (method === 'POST' && !headers.has('idempotency-key')) headers.set('idempotency-key', crypto.randomUUID());

    for (let tried = 1; ; tried += 1) {
      const answer = await trySend(request);
      const waitMs = waitBeforeNextTry(answer, tried);
      if (waitMs === null || tried >= tries || waitMs > longestWaitMs) return answerOfService(answer);
      await answer?.body?.cancel();
      await pause(waitMs, request.signal);
    }
  }

  return createClient<paths>({ baseUrl: options.baseUrl, redirect: 'error', fetch: sendPatiently });
}

/** How long to wait before the call is sent again; null when its answer is final. */
function waitBeforeNextTry(answer: Response | null, tried: number): number | null {
  const retryAfter = answer?.headers.get('retry-after') ?? '';
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter) * 1000;
  const isFinal = answer !== null && answer.status !== 429 && answer.status !== 503;
  return isFinal ? null : firstWaitMs * 2 ** (tried - 1);
}

/** The answer, or a problem in the place of one that the service has not given. */
function answerOfService(answer: Response | null): Response {
  if (answer === null) return problemAnswer(503, 'unreachable', 'The service gave no answer');
  const contentType = answer.headers.get('content-type') ?? '';
  if (answer.status < 300 || /^application\/(problem\+)?json\b/.test(contentType)) return answer;
  return problemAnswer(answer.status, 'unusable_answer', 'The answer is not one of the service');
}

function problemAnswer(status: number, code: string, title: string): Response {
  const detail = 'Try again later, with the same Idempotency-Key.';
  const problem: Problem = { type: 'about:blank', title, status, detail, code, requestId: '' };
  return Response.json(problem, { status, headers: { 'content-type': 'application/problem+json' } });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
