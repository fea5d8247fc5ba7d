import rateLimit, { type FastifyRateLimitStore, normalizeIP } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import type { Config } from '../config.ts';
import { refuse } from '../errors.ts';
import { sha256 } from '../platform/crypto.ts';
import { RefusalError } from './problems.ts';

/** Counts a call under a key, in a window that begins with its first; null when nobody can say. */
export type CountCall = (key: string, windowMs: number) => Promise<{ count: number; msLeft: number } | null>;

/**
 * Counts an opening of an invalid link. When its address has made too many of them it gives for how many seconds more,
 * else null.
 */
export type LimitInvalidClicks = (request: FastifyRequest) => Promise<number | null>;

const windowMs = 60_000;
/** Whoever comes from more addresses at a time makes the service forget the oldest counts, where it counts alone. */
const maxKeys = 100_000;

/**
 * Limits what a credential may call in a minute on the routes registered after it, with `RateLimit-*` headers, but for
 * those whose config says `rateLimit: false`; gives the limit of clicks on invalid links. All replicas count together;
 * one that cannot counts alone, and it always has: what was counted before Redis went away is not forgotten.
 */
export async function limits(
  app: FastifyInstance,
  config: Pick<Config, 'rateLimitMax' | 'rateLimitClicks'>,
  countCall: CountCall,
): Promise<LimitInvalidClicks> {
  const own = new LRUCache<string, { count: number; endsAtMs: number }>({ max: maxKeys });

  async function count(key: string): Promise<{ current: number; ttl: number }> {
    const nowMs = performance.now();
    const known = own.get(key);
    const here = known && known.endsAtMs > nowMs ? known : { count: 0, endsAtMs: nowMs + windowMs };
    here.count += 1;
    own.set(key, here);
    const shared = await countCall(key, windowMs);
    return shared !== null && shared.count >= here.count
      ? { current: shared.count, ttl: shared.msLeft }
      : { current: here.count, ttl: here.endsAtMs - nowMs };
  }
  class Store implements FastifyRateLimitStore {
    incr: FastifyRateLimitStore['incr'] = (key, callback) => {
      count(key).then((counted) => callback(null, counted), callback);
    };
    child = () => this;
  }

  await app.register(rateLimit, {
    store: Store,
    timeWindow: windowMs,
    max: config.rateLimitMax,
    enableDraftSpec: true,
    keyGenerator: (request) => `rate:call:${credentialOf(request)}`,
    allowList: (request) => config.rateLimitMax === 0 || request.caller === null,
    errorResponseBuilder: () => new RefusalError(refuse('rate_limited')),
  });

  return async (request) => {
    if (config.rateLimitClicks === 0) return null;
    const { current, ttl } = await count(`rate:click:${normalizeIP(request.ip)}`);
    return current > config.rateLimitClicks ? Math.ceil(ttl / 1000) : null;
  };
}

/** What is limited: an API key, the subject of a JWT or else the token itself, a session. */
function credentialOf({ caller, headers }: FastifyRequest): string {
  const who =
    caller?.kind === 'api'
      ? [caller.shopId, caller.partner, caller.subject || headers.authorization]
      : [caller?.basketId, caller?.sessionId.toString('hex')];
  return sha256(JSON.stringify(who)).toString('base64url');
}
