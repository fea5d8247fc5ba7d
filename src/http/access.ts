import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type JWTPayload, errors as joseErrors, jwtVerify } from 'jose';
import type { Config } from '../config.ts';
import { refuse } from '../errors.ts';
import type { DatabaseClock } from '../platform/clock.ts';
import { RefusalError } from './problems.ts';

/** What a credential may be allowed to do. */
type Scope =
  | 'platform'
  | 'shop:write'
  | 'catalogue:read'
  | 'webhooks:write'
  | 'baskets:read'
  | 'baskets:write'
  | 'customers:login'
  | 'confirmations:redeem'
  | 'orders:write';

/** A back end that calls with a JWT. It acts for one shop, and where `partner` is set only for that partner's things. */
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

/** Who may call a route: any one of the scopes suffices; `session` admits the session token of the basket in the path. */
type Access = { scopes: readonly Scope[]; session?: true };

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
  }
  interface FastifyRequest {
    caller: Caller | null;
  }
}

const leewaySeconds = 60;

/**
 * Checks the bearer credential of every route that names an `access`, before its body is read: 401 for no or a bad
 * credential, 403 for one without the scope. The times in a JWT are judged by Postgres' clock, as all times are: a replica
 * whose own is wrong accepts and refuses what the others do. `verifySession` says whose session token a text is, or null.
 */
export function bearerAccess(
  app: FastifyInstance,
  config: Pick<Config, 'jwtSecrets' | 'jwtIssuer' | 'jwtAudience'>,
  clock: DatabaseClock,
  verifySession: (token: string) => Promise<SessionCaller | null>,
): void {
  const secrets = config.jwtSecrets.map((secret) => new TextEncoder().encode(secret));

  async function verifyJwt(token: string): Promise<ApiCaller | null> {
    // Decoders ignore padding and spare bits: only the one spelling that was signed is accepted.
    if (token.split('.').some((part) => Buffer.from(part, 'base64url').toString('base64url') !== part)) return null;
    const now = await clock.now();
    for (const secret of secrets) {
      try {
        const { payload, protectedHeader } = await jwtVerify(token, secret, {
          algorithms: ['HS256'],
          clockTolerance: leewaySeconds,
          currentDate: now,
          ...(config.jwtIssuer === null ? {} : { issuer: config.jwtIssuer }),
          ...(config.jwtAudience === null ? {} : { audience: config.jwtAudience }),
        });
        return callerOf(payload, protectedHeader.typ, now);
      } catch (error) {
        // Only a wrong signature is a reason to try the next secret of a rotation.
        if (!(error instanceof joseErrors.JWSSignatureVerificationFailed)) return null;
      }
    }
    return null;
  }

  app.decorateRequest('caller', null);
  app.addHook('onRequest', async (request) => {
    const access = request.routeOptions.config.access;
    if (!access) return;
    const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const caller = token === undefined ? null : ((await verifySession(token)) ?? (await verifyJwt(token)));
    if (caller === null) throw new RefusalError(refuse('unauthorized'));
    if (caller.kind === 'session' ? !access.session : !access.scopes.some((scope) => caller.scopes.has(scope))) {
      const needed = access.scopes.map((scope) => `\`${scope}\``).join(' or ');
      throw new RefusalError(refuse('forbidden', { detail: `This call needs a credential with the scope ${needed}.` }));
    }
    // Only shops themselves are managed without acting for one.
    if (caller.kind === 'api' && caller.shopId === null && !access.scopes.includes('platform')) {
      throw new RefusalError(refuse('forbidden', { detail: 'This call needs a credential with a `shop` claim.' }));
    }
    request.caller = caller;
  });
}

function callerOf(claims: JWTPayload, type: string | undefined, now: Date): ApiCaller | null {
  const { shop, scope, partner, sub, iat, exp } = claims;
  const optionalText = (value: unknown): value is string | undefined => value === undefined || isId(value);
  // A token of another type (an ID token, say) was not issued for calling us.
  if (type !== undefined && !/^(application\/)?(at\+)?jwt$/i.test(type)) return null;
  if (iat !== undefined && iat > now.getTime() / 1000 + leewaySeconds) return null;
  // It must expire, and JSON.parse reads 1e400 as Infinity.
  if (!Number.isFinite(exp)) return null;
  if (!optionalText(shop) || !optionalText(partner) || typeof scope !== 'string') return null;
  if (shop === undefined && !scope.split(' ').includes('platform')) return null;
  return {
    kind: 'api',
    shopId: shop ?? null,
    partner: partner ?? null,
    scopes: new Set(scope.split(' ')),
    subject: typeof sub === 'string' ? sub : '',
  };
}

/** Whether a value is an id as shops and partners give them: 1 to 128 characters of `A-Z a-z 0-9 _ . : -`. */
function isId(value: unknown): value is string {
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
