import { subtle } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type JWTHeaderParameters, type JWTPayload, type JWTVerifyGetKey, errors as joseErrors, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import type { Config } from '../config.ts';
import { refuse } from '../errors.ts';
import type { DatabaseClock } from '../platform/clock.ts';
import { sha256 } from '../platform/crypto.ts';
import { isStorable } from './json.ts';
import { jwksAlgorithms } from './jwks.ts';
import { RefusalError } from './problems.ts';

/** What a credential of one shop may be allowed to do. */
export const shopScopes = [
  'shop:write',
  'catalogue:read',
  'webhooks:write',
  'baskets:read',
  'baskets:write',
  'customers:login',
  'confirmations:redeem',
  'orders:write',
] as const;
export type ShopScope = (typeof shopScopes)[number];
type Scope = 'platform' | ShopScope;

/**
 * A back end that calls with a JWT or an API key. It acts for one shop, and where `partner` is set only for that
 * partner's things.
 */
export type ApiCaller = {
  kind: 'api';
  shopId: string | null;
  partner: string | null;
  scopes: ReadonlySet<string>;
  subject: string;
};

/** A shop front end that calls with the session token of one basket. */
export type SessionCaller = { kind: 'session'; shopId: string; basketId: string; sessionId: Buffer };

export type Caller = ApiCaller | SessionCaller;

/**
 * Who may call a route: any one of the scopes suffices; `session` admits the session token of the basket in the path,
 * `noPartner` nobody who is limited to a partner.
 */
type Access = { scopes: readonly Scope[]; session?: true; noPartner?: true };

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
    /** May be called without a credential; one that is sent is Basic, with a shop's public token and an API key of it. */
    storefront?: true;
  }
  interface FastifyRequest {
    caller: Caller | null;
  }
}

const leewaySeconds = 60;
/** For how long a signature is not checked again. */
const verifiedForMs = 60_000;

/** A JWT whose signature is good, and the key that says so. */
type VerifiedJwt = {
  payload: JWTPayload;
  header: JWTHeaderParameters;
  keyOf: JWTVerifyGetKey;
  key: unknown;
  /** What it says, so far as that does not depend on the time; null when it is not for us. */
  caller: ApiCaller | null;
};

/**
 * Checks the bearer credential of every route that names an `access`, before its body is read: 401 for no or a bad
 * credential, 403 for one without the scope. JWTs verify with one of the secrets or with a key of `jwks`, each at most once a
 * minute while that is the key. The times in a
 * JWT are judged by Postgres' clock, as all times are: a replica whose own is wrong accepts and refuses what the others
 * do. `verifyOther` says whose session token or API key a text is, or null. On the routes of a store front, which anybody
 * may call, only `verifyBasic` says who somebody is that sends a credential all the same.
 */
export function bearerAccess(
  app: FastifyInstance,
  config: Pick<Config, 'jwtSecrets' | 'jwtIssuer' | 'jwtAudience'>,
  jwks: JWTVerifyGetKey | null,
  clock: DatabaseClock,
  verifyOther: (token: string) => Promise<Caller | null>,
  verifyBasic: (publicToken: string, apiKey: string) => Promise<Caller | null>,
): void {
  // Imported once: jose would do so for every token that it verifies.
  const secrets = config.jwtSecrets.map((secret) =>
    subtle.importKey('raw', Buffer.from(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']),
  );
  // A secret verifies HS256 alone and a published key never does: nobody can sign with what everybody may read.
  const sources: { keyOf: JWTVerifyGetKey; algorithms: string[] }[] = [
    ...secrets.map((secret) => ({ keyOf: () => secret, algorithms: ['HS256'] })),
    ...(jwks === null ? [] : [{ keyOf: jwks, algorithms: jwksAlgorithms }]),
  ];
  /** By the token's hash: callers send the same one again and again. */
  const verified = new LRUCache<string, VerifiedJwt>({ max: 10_000, ttl: verifiedForMs });

  async function verifyJwt(token: string): Promise<ApiCaller | null> {
    const now = await clock.now();
    const name = sha256(token).toString('base64');
    const known = verified.get(name);
    const jwt = known && (await isKeyStill(known)) ? known : await verifySignature(token, now);
    if (jwt === null) return null;
    if (jwt !== known) verified.set(name, jwt);
    return isInTime(jwt.payload, now) ? jwt.caller : null;
  }

  async function verifySignature(token: string, now: Date): Promise<VerifiedJwt | null> {
    // Decoders ignore padding and spare bits: only the one spelling that was signed is accepted.
    if (token.split('.').some((part) => Buffer.from(part, 'base64url').toString('base64url') !== part)) return null;
    const expected = {
      clockTolerance: leewaySeconds,
      currentDate: now,
      ...(config.jwtIssuer === null ? {} : { issuer: config.jwtIssuer }),
      ...(config.jwtAudience === null ? {} : { audience: config.jwtAudience }),
    };
    for (const { keyOf, algorithms } of sources) {
      try {
        const { payload, protectedHeader, key } = await jwtVerify(token, keyOf, { ...expected, algorithms });
        return { payload, header: protectedHeader, keyOf, key, caller: callerOf(payload, protectedHeader.typ) };
      } catch (error) {
        if (error instanceof RefusalError) throw error;
        // Only of a wrong key is there hope that the next one is right.
        const isOtherKey =
          error instanceof joseErrors.JWSSignatureVerificationFailed || error instanceof joseErrors.JOSEAlgNotAllowed;
        if (!isOtherKey) return null;
      }
    }
    return null;
  }

  app.decorateRequest('caller', null);
  app.addHook('onRequest', async (request) => {
    const { access, storefront } = request.routeOptions.config;
    if (storefront && request.headers.authorization !== undefined) {
      const [publicToken, apiKey] = basicOf(request.headers.authorization);
      request.caller = await verifyBasic(publicToken, apiKey);
      if (request.caller === null) throw new RefusalError(refuse('unauthorized'));
    }
    if (!access) return;
    const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const caller = token === undefined ? null : ((await verifyOther(token)) ?? (await verifyJwt(token)));
    if (caller === null) throw new RefusalError(refuse('unauthorized'));
    if (caller.kind === 'session' ? !access.session : !access.scopes.some((scope) => caller.scopes.has(scope))) {
      const needed = access.scopes.map((scope) => `\`${scope}\``).join(' or ');
      throw new RefusalError(refuse('forbidden', { detail: `This call needs a credential with the scope ${needed}.` }));
    }
    if (access.noPartner && caller.kind === 'api' && caller.partner !== null) {
      const detail = 'This is for the shop itself: use a credential without a `partner`.';
      throw new RefusalError(refuse('forbidden', { detail }));
    }
    // Only shops themselves are managed without acting for one.
    if (caller.kind === 'api' && caller.shopId === null && !access.scopes.includes('platform')) {
      throw new RefusalError(refuse('forbidden', { detail: 'This call needs a credential with a `shop` claim.' }));
    }
    request.caller = caller;
  });
}

/** Whether the key that verified a JWT is still the one for it: an issuer may have withdrawn it. */
async function isKeyStill({ header, keyOf, key }: VerifiedJwt): Promise<boolean> {
  try {
    return (await keyOf(header, { payload: '', signature: '' })) === key;
  } catch {
    return false;
  }
}

/** User and password of a Basic credential (RFC 7617, section 2); empty for anything else. */
function basicOf(authorization: string): [user: string, password: string] {
  const encoded = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)?.[1] ?? '';
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon === -1 ? ['', ''] : [text.slice(0, colon), text.slice(colon + 1)];
}

/** Whether a JWT is good now: its signature may have been verified when it still was. */
function isInTime({ iat, exp }: JWTPayload, now: Date): boolean {
  const nowSeconds = now.getTime() / 1000;
  if (iat !== undefined && iat > nowSeconds + leewaySeconds) return false;
  // It must expire, and JSON.parse reads 1e400 as Infinity.
  return exp !== undefined && Number.isFinite(exp) && exp > nowSeconds - leewaySeconds;
}

function callerOf({ shop, scope, partner, sub }: JWTPayload, type: string | undefined): ApiCaller | null {
  const optionalText = (value: unknown): value is string | undefined => value === undefined || isId(value);
  // A token of another type (an ID token, say) was not issued for calling us.
  if (type !== undefined && !/^(application\/)?(at\+)?jwt$/i.test(type)) return null;
  if (!optionalText(shop) || !optionalText(partner) || typeof scope !== 'string') return null;
  if (shop === undefined && !scope.split(' ').includes('platform')) return null;
  return {
    kind: 'api',
    shopId: shop ?? null,
    partner: partner ?? null,
    scopes: new Set(scope.split(' ')),
    // It is kept with what was done: what cannot be kept must not make that fail.
    subject: typeof sub === 'string' && isStorable(sub) ? sub : '',
  };
}

/** Whether a value is an id as shops and partners give them: 1 to 128 characters of `A-Z a-z 0-9 _ . : -`. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9_.:-]{1,128}$/.test(value);
}

/** The caller of a route that has an `access`. */
export function callerOfRequest(request: FastifyRequest): Caller {
  if (!request.caller) throw new Error(`${request.routeOptions.url} has no access rule`);
  return request.caller;
}

/** The back end that calls a route for one shop. */
export function shopCaller(request: FastifyRequest): ApiCaller & { shopId: string } {
  const caller = callerOfRequest(request);
  if (caller.kind !== 'api') throw new Error(`${request.routeOptions.url} admits sessions`);
  if (caller.shopId === null) throw new Error(`${request.routeOptions.url} admits callers without a shop`);
  return { ...caller, shopId: caller.shopId };
}
