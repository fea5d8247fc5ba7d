import { createLocalJWKSet, type JSONWebKeySet, type JWK, type JWTVerifyGetKey, errors as joseErrors } from 'jose';
import type { Logger } from 'pino';
import { refuse } from '../errors.ts';
import type { Outbound } from '../platform/outbound.ts';
import { RefusalError } from './problems.ts';

/** Signatures that only a key pair makes: with no shared secret among them, no key is good for two kinds. */
export const jwksAlgorithms = ['RS256', 'ES256', 'EdDSA'];

const fetchWithinMs = 2000;
/** Whatever callers send, the issuer is asked no more often than every half minute. */
const schedule = { fetchEveryMs: 30_000, refreshAfterMs: 600_000 };
const maxBytes = 256 * 1024;
const maxKeys = 100;
const privateParts = ['d', 'k', 'p', 'q'];

/**
 * Gives the key for a token from the JWKS at a URL (RFC 7517), which is fetched when the first token comes, when a token
 * names a key that is not known, and every ten minutes. Keys go on serving when fetching fails. Throws what jose throws
 * for a token that no key fits, and RefusalError with `unavailable` as long as there are no keys at all.
 */
export function openJwks(
  url: string,
  outbound: Outbound,
  logger: Logger,
  { fetchEveryMs, refreshAfterMs } = schedule,
): JWTVerifyGetKey {
  let find: ReturnType<typeof createLocalJWKSet> | null = null;
  let fetchedAtMs = Number.NEGATIVE_INFINITY;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let loading: Promise<void> | null = null;

  async function load(): Promise<void> {
    triedAtMs = performance.now();
    try {
      find = createLocalJWKSet(await fetchKeys(url, outbound));
      fetchedAtMs = performance.now();
    } catch (error) {
      logger.warn({ err: error }, 'the JWKS could not be used, the keys before it go on serving');
    }
  }
  function loadUnlessJustTried(): Promise<void> {
    if (loading === null && performance.now() - triedAtMs >= fetchEveryMs) {
      loading = load().finally(() => {
        loading = null;
      });
    }
    return loading ?? Promise.resolve();
  }

  return async (header, token) => {
    const isOld = performance.now() - fetchedAtMs > refreshAfterMs;
    const loaded = isOld ? loadUnlessJustTried() : null;
    if (find === null) await loaded;
    if (find === null) {
      const detail = 'The keys that verify this token cannot be fetched from the issuer now.';
      throw new RefusalError(refuse('unavailable', { detail }));
    }
    try {
      return await find(header, token);
    } catch (error) {
      if (!(error instanceof joseErrors.JWKSNoMatchingKey)) throw error;
      await loadUnlessJustTried();
      return find(header, token);
    }
  };
}

/**
 * Fetches a key set and gives what is usable of it. Throws for one that has no public key, far too many, a key that should
 * have stayed secret, or two under one name: an issuer that publishes these cannot be believed the rest.
 */
async function fetchKeys(url: string, outbound: Outbound): Promise<JSONWebKeySet> {
  const answer = await outbound.request(url, {
    headers: { accept: 'application/json' },
    withinMs: fetchWithinMs,
    maxBytes,
  });
  if ('error' in answer) throw new Error(`the JWKS could not be fetched: ${answer.error}`);
  if (answer.status !== 200) throw new Error(`the JWKS was answered with ${answer.status}`);
  const set: unknown = JSON.parse(answer.body.toString());
  const keys: unknown = typeof set === 'object' && set !== null && 'keys' in set ? set.keys : null;
  if (!Array.isArray(keys) || keys.length > maxKeys) throw new Error('the JWKS has no list of keys, or too many');
  const usable = keys.filter(isKeyPair);
  if (usable.length === 0) throw new Error('the JWKS has no public key');
  if (keys.some(isSecret)) throw new Error('the JWKS has a private or symmetric key');
  const names = usable.flatMap(({ kid }) => kid ?? []);
  if (new Set(names).size < names.length) throw new Error('the JWKS has two keys of one name');
  return { keys: usable };
}

function isKeyPair(key: unknown): key is JWK {
  return typeof key === 'object' && key !== null && 'kty' in key && ['RSA', 'EC', 'OKP'].includes(String(key.kty));
}

function isSecret(key: unknown): boolean {
  return typeof key === 'object' && key !== null && privateParts.some((part) => part in key);
}
