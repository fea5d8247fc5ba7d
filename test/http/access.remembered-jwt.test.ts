import Fastify from 'fastify';
import { generateKeyPair, type JWTVerifyGetKey, SignJWT } from 'jose';
import t, { type Test } from 'tap';
import { bearerAccess } from '../../src/http/access.ts';
import { RefusalError } from '../../src/http/problems.ts';
import { jwtSecret, mintToken } from '../support/service.ts';

const claims = { shop: 'roxy', scope: 'baskets:read' };

/** A route behind the bearer check, with a clock and a key set that the test sets, and how often a signature was checked. */
async function openRoute(t: Test, findKey: JWTVerifyGetKey | null = null) {
  const app = Fastify();
  t.teardown(() => app.close());
  app.setErrorHandler((error, _request, reply) => {
    if (!(error instanceof RefusalError)) throw error;
    return reply.code(401).send();
  });
  let aheadMs = 0;
  const clock = { now: async () => new Date(Date.now() + aheadMs) };
  const nobody = async () => null;
  bearerAccess(app, { jwtSecrets: [jwtSecret], jwtIssuer: null, jwtAudience: null }, findKey, clock, nobody, nobody);
  app.get('/', { config: { access: { scopes: ['baskets:read'] } } }, async () => '');
  const checks = t.capture(crypto.subtle, 'verify', crypto.subtle.verify.bind(crypto.subtle));
  let checked = 0;
  return {
    async statusWith(token: string): Promise<number> {
      const { statusCode } = await app.inject({ url: '/', headers: { authorization: `Bearer ${token}` } });
      return statusCode;
    },
    checks(): number {
      checked += checks().length;
      return checked;
    },
    advance(seconds: number): void {
      aheadMs += seconds * 1000;
    },
  };
}

t.test('a signature that was good is not checked for every request', async (t) => {
  const route = await openRoute(t);
  const token = await mintToken(claims);
  for (let times = 0; times < 5; times += 1) t.equal(await route.statusWith(token), 200);
  t.equal(route.checks(), 1);
});

t.test('a token that was accepted is refused from its end on', async (t) => {
  const route = await openRoute(t);
  const token = await mintToken(claims, { ttlSeconds: 30 });
  t.equal(await route.statusWith(token), 200);
  route.advance(89);
  t.equal(await route.statusWith(token), 200, 'clocks may differ by a minute');
  route.advance(2);
  t.equal(await route.statusWith(token), 401);
  t.equal(route.checks(), 1, 'it was remembered');
});

t.test('another spelling of a token that was accepted is refused', async (t) => {
  const route = await openRoute(t);
  const token = await mintToken(claims);
  t.equal(await route.statusWith(token), 200);
  const other = Buffer.from([...Buffer.from(token.split('.')[2] ?? '', 'base64url'), 0]).toString('base64url');
  for (const changed of [`${token}=`, `${token}.`, token.replace(/[^.]+$/, other)]) {
    t.equal(await route.statusWith(changed), 401, changed.slice(-8));
  }
});

t.test('a token that was refused is not remembered as good, nor the other way round', async (t) => {
  const route = await openRoute(t);
  const forged = await mintToken(claims, { secret: 'a secret of somebody else, as long as it has to be' });
  for (let times = 0; times < 2; times += 1) t.equal(await route.statusWith(forged), 401);
  t.equal(route.checks(), 2);
});

t.test('a token that was accepted is refused as soon as its key is withdrawn or replaced', async (t) => {
  const [signer, replacement] = [await generateKeyPair('ES256'), await generateKeyPair('ES256')];
  let published: typeof signer.publicKey | null = signer.publicKey;
  const route = await openRoute(t, () => {
    if (published === null) throw new Error('there is no such key');
    return published;
  });
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
    .setExpirationTime('5 minutes')
    .sign(signer.privateKey);
  for (let times = 0; times < 3; times += 1) t.equal(await route.statusWith(token), 200);
  t.equal(route.checks(), 1);
  published = replacement.publicKey;
  t.equal(await route.statusWith(token), 401);
  published = null;
  t.equal(await route.statusWith(token), 401);
});
