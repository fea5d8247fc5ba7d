import rateLimit, { type FastifyRateLimitStore, normalizeIP } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import type { Config } from '../config.ts';
import { type Refusal, refuse } from '../errors.ts';
import { sha256 } from '../platform/crypto.ts';
import { RefusalError } from './problems.ts';

/** Counts so many calls under a key, in a window that begins with the first; null when nobody can say. */
export type CountCalls = (
  key: string,
  windowMs: number,
  calls: number,
) => Promise<{ count: number; msLeft: number } | null>;

/**
 * Counts an opening of an invalid link. When its address has made too many of them it gives for how many seconds more,
 * else null.
 */
export type LimitInvalidClicks = (request: FastifyRequest) => Promise<number | null>;

/** The tries of codes that have failed: all that came from one address, and those on one basket if there is one yet. */
export type CodeTries = {
  /** The refusal of a code that works, when too many have failed: what is right must not be told from what is wrong. */
  exceeded(): Refusal | null;
  /** Counts one that has failed, and gives the refusal when it is one too many. */
  failed(): Promise<Refusal | null>;
};

/** Asks how many tries of codes have failed until now. */
export type CountCodeTries = (request: FastifyRequest, basketId: string | null) => Promise<CodeTries>;

/**
 * Has a request that does the work of several calls counted as so many; it was counted as one already. Throws
 * `rate_limited` when these are more than its credential has left.
 */
export type CountAsCalls = (request: FastifyRequest, reply: FastifyReply, calls: number) => Promise<void>;

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const maxFailedOnBasket = 10;
/** What one replica has counted, and how much of it Redis has not been told. */
type OwnCount = { count: number; untold: number; endsAtMs: number };
/** Longer than a basket lives. */
const basketWindowMs = 48 * hourMs;
const maxFailedFromAddress = 100;
/** Whoever comes from more addresses at a time makes the service forget the oldest counts, where it counts alone. */
const maxKeys = 100_000;

/**
 * Limits what a credential may call in a minute on the routes registered after it, with `RateLimit-*` headers, but for
 * those whose config says `rateLimit: false`, and on a store front's an address without a credential; gives the limits of
 * clicks on invalid links and of codes that do not work, and what counts a request as several calls. All replicas count
 * together; one that cannot counts alone, and it always has: what was counted before Redis went away is not forgotten, and
 * what was counted meanwhile is told with the next call. What Redis has counted but could not say is told again, since a
 * limit may be a few calls too strict, not too lax.
 */
export async function limits(
  app: FastifyInstance,
  config: Pick<Config, 'rateLimitMax' | 'rateLimitClicks'>,
  countCalls: CountCalls,
): Promise<{ limitInvalidClicks: LimitInvalidClicks; countCodeTries: CountCodeTries; countAsCalls: CountAsCalls }> {
  const own = new LRUCache<string, OwnCount>({ max: maxKeys });

  function ownCount(key: string, windowMs: number): OwnCount {
    const nowMs = performance.now();
    const known = own.get(key);
    return known && known.endsAtMs > nowMs ? known : { count: 0, untold: 0, endsAtMs: nowMs + windowMs };
  }
  async function count(key: string, windowMs: number, calls = 1): Promise<{ current: number; ttl: number }> {
    const nowMs = performance.now();
    const here = ownCount(key, windowMs);
    here.count += calls;
    own.set(key, here);
    const told = here.untold + calls;
    here.untold = 0;
    const shared = await countCalls(key, windowMs, told);
    if (shared === null) here.untold += told;
    return shared !== null && shared.count >= here.count
      ? { current: shared.count, ttl: shared.msLeft }
      : { current: here.count, ttl: here.endsAtMs - nowMs };
  }
  class Store implements FastifyRateLimitStore {
    incr: FastifyRateLimitStore['incr'] = (key, callback) => {
      count(key, minuteMs).then((counted) => callback(null, counted), callback);
    };
    child = () => this;
  }

  const isLimited = ({ caller, routeOptions }: FastifyRequest) =>
    config.rateLimitMax > 0 && (caller !== null || routeOptions.config.storefront === true);
  await app.register(rateLimit, {
    store: Store,
    timeWindow: minuteMs,
    max: config.rateLimitMax,
    enableDraftSpec: true,
    // Asked for before the list of those that are not limited.
    keyGenerator: (request) => (isLimited(request) ? callKeyOf(request) : ''),
    allowList: (request) => !isLimited(request),
    errorResponseBuilder: () => new RefusalError(refuse('rate_limited')),
  });

  async function limitInvalidClicks(request: FastifyRequest): Promise<number | null> {
    if (config.rateLimitClicks === 0) return null;
    const { current, ttl } = await count(`rate:click:${normalizeIP(request.ip)}`, minuteMs);
    return current > config.rateLimitClicks ? Math.ceil(ttl / 1000) : null;
  }

  async function countCodeTries(request: FastifyRequest, basketId: string | null): Promise<CodeTries> {
    const ofAddress = { key: `rate:code:${normalizeIP(request.ip)}`, windowMs: hourMs, max: maxFailedFromAddress };
    const ofBasket = { key: `rate:code:${basketId}`, windowMs: basketWindowMs, max: maxFailedOnBasket };
    const limits = basketId === null ? [ofAddress] : [ofAddress, ofBasket];
    const counted = (calls: number) =>
      Promise.all(limits.map(async ({ key, windowMs, max }) => ({ max, ...(await count(key, windowMs, calls)) })));
    const refusal = (ttlMs: number) => refuse('code_attempts', { retryAfterSeconds: Math.ceil(ttlMs / 1000) });

    const before = await counted(0);
    return {
      exceeded() {
        // Also of those that have failed since, while this one was looked at: many at once must not get more tries.
        const here = limits.map(({ key, windowMs, max }) => ({ max, ...ownCount(key, windowMs) }));
        const over = before.find(({ current, max }) => current >= max);
        const overHere = here.find(({ count, max }) => count >= max);
        if (over) return refusal(over.ttl);
        return overHere ? refusal(overHere.endsAtMs - performance.now()) : null;
      },
      async failed() {
        const over = (await counted(1)).find(({ current, max }) => current > max);
        return over ? refusal(over.ttl) : null;
      },
    };
  }

  async function countAsCalls(request: FastifyRequest, reply: FastifyReply, calls: number): Promise<void> {
    if (config.rateLimitMax === 0 || calls === 1) return;
    const { current, ttl } = await count(callKeyOf(request), minuteMs, calls - 1);
    reply.header('ratelimit-remaining', Math.max(0, config.rateLimitMax - current));
    if (current <= config.rateLimitMax) return;
    throw new RefusalError(refuse('rate_limited', { retryAfterSeconds: Math.ceil(ttl / 1000) }));
  }
  return { limitInvalidClicks, countCodeTries, countAsCalls };
}

const callKeyOf = (request: FastifyRequest) => `rate:call:${credentialOf(request)}`;

/** What is limited: an API key, the subject of a JWT or else the token itself, a session, or who has none an address. */
function credentialOf({ caller, headers, ip }: FastifyRequest): string {
  const who =
    caller === null
      ? [normalizeIP(ip)]
      : caller.kind === 'api'
        ? [caller.shopId, caller.partner, caller.subject || headers.authorization]
        : [caller.basketId, caller.sessionId.toString('hex')];
  return sha256(JSON.stringify(who)).toString('base64url');
}
