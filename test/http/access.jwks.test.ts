import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, exportSPKI, generateKeyPair, type JWK, type JWTPayload, type JWTVerifyGetKey, SignJWT } from 'jose';
import pino from 'pino';
import t, { type Test } from 'tap';
import { openJwks } from '../../src/http/jwks.ts';
import { RefusalError } from '../../src/http/problems.ts';
import { openOutbound } from '../../src/platform/outbound.ts';
import { api, mintToken, startTestService } from '../support/service.ts';
import { openShop } from '../support/shop.ts';
import { until } from '../support/until.ts';

type KeyPair = Awaited<ReturnType<typeof generateKeyPair>>;
type Answer = (response: ServerResponse) => void;

const claims = { shop: 'roxy', scope: 'baskets:read' };
const silent = pino({ level: 'silent' });
// The issuers of these tests listen on loopback.
const outbound = openOutbound({ allowPrivate: true });
t.teardown(() => outbound.close());

/** An issuer with keys that it publishes; `answerWith` is what it answers from then on. */
async function startIssuer(t: Test) {
  let fetches = 0;
  let connections = 0;
  let answer: Answer = publish();
  const server = createServer((_request, response) => {
    fetches += 1;
    answer(response);
  }).listen(0, '127.0.0.1');
  server.on('connection', () => {
    connections += 1;
  });
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    fetches: () => fetches,
    connections: () => connections,
    answerWith(next: Answer): void {
      answer = next;
    },
  };
}

function publish(...keys: object[]): Answer {
  return (response) => response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys }));
}

async function makeKey(alg: string, kid: string, options: object = {}): Promise<KeyPair & { jwk: JWK; kid: string }> {
  const pair = await generateKeyPair(alg, { extractable: true, ...options });
  return { ...pair, kid, jwk: { ...(await exportJWK(pair.publicKey)), kid } };
}

function sign(key: KeyPair, header: { alg: string; kid?: string }, more: JWTPayload = {}): Promise<string> {
  return new SignJWT({ ...claims, ...more })
    .setProtectedHeader(header)
    .setExpirationTime('5 minutes')
    .sign(key.privateKey);
}

function signHs256(secret: string, kid: string): string {
  const exp = Math.floor(Date.now() / 1000) + 300;
  const parts = [
    { alg: 'HS256', kid },
    { ...claims, exp },
  ];
  const signed = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** The key that a token with this header verifies with, or why there is none. */
async function keyFor(find: JWTVerifyGetKey, alg: string, kid: string): Promise<object> {
  try {
    return await find({ alg, kid }, { payload: '', signature: '' });
  } catch (error) {
    return error as Error;
  }
}

const rsa = await makeKey('RS256', 'rsa');
const ec = await makeKey('ES256', 'ec');
const ed = await makeKey('EdDSA', 'ed');
const unpublished = await makeKey('ES256', 'ec');

t.test('a token verifies with a published key of its own kind, and with nothing else', async (t) => {
  const issuer = await startIssuer(t);
  const ps = await makeKey('RS256', 'ps');
  const small = { ...rsa.jwk, kid: 'small', n: Buffer.alloc(128, 255).toString('base64url') };
  const forPs = { ...ps.jwk, alg: 'PS256' };
  issuer.answerWith(publish(rsa.jwk, ec.jwk, ed.jwk, small, forPs));
  const shop = await openShop(t, { config: { jwtJwksUrl: issuer.url, webhookAllowPrivate: true } });
  const statusOf = async (token: string) => (await shop.as(token).request('GET', '/v1/baskets')).status;

  for (const [alg, key] of Object.entries({ RS256: rsa, ES256: ec, EdDSA: ed })) {
    t.equal(await statusOf(await sign(key, { alg, kid: key.kid })), 200, alg);
  }
  t.equal(await statusOf(await mintToken(claims)), 200, 'HS256 with the secret, beside them');
  const good = await sign(ec, { alg: 'ES256', kid: 'ec' });
  const [head = '', , signature = ''] = good.split('.');
  const otherPayload = Buffer.from(JSON.stringify({ ...claims, shop: 'other', exp: 9e9 })).toString('base64url');
  const pem = await exportSPKI(rsa.publicKey);
  const refused = {
    'another key under the same name': await sign(unpublished, { alg: 'ES256', kid: 'ec' }),
    'a name that is not published': await sign(ec, { alg: 'ES256', kid: 'unknown' }),
    'the name of another kind of key': await sign(ec, { alg: 'ES256', kid: 'rsa' }),
    'no name, and several would fit': await sign(rsa, { alg: 'RS256' }),
    'a key that is for another algorithm': await sign(ps, { alg: 'RS256', kid: 'ps' }),
    'an RSA key of 1,024 bits': await sign(rsa, { alg: 'RS256', kid: 'small' }),
    ...Object.fromEntries(
      Object.entries({
        'as it is': '',
        'after a space': ' ',
        'after a line break': '\n',
        'after a mark': '\ufeff',
      }).map(([how, before]) => [`HS256 with the public key in PEM as secret, ${how}`, signHs256(before + pem, 'rsa')]),
    ),
    'HS256 with the public key in PEM without its last line break': signHs256(pem.trim(), 'rsa'),
    'HS256 with the modulus as secret': signHs256(String(rsa.jwk.n), 'rsa'),
    'HS256 with the published document as secret': signHs256(JSON.stringify(rsa.jwk), 'rsa'),
    'the payload changed': `${head}.${otherPayload}.${signature}`,
    'not valid yet': await sign(ec, { alg: 'ES256', kid: 'ec' }, { nbf: 9e9 }),
  };
  for (const [what, token] of Object.entries(refused)) t.equal(await statusOf(token), 401, what);
});

t.test('with a JWKS alone, no shared secret verifies anything', async (t) => {
  const issuer = await startIssuer(t);
  issuer.answerWith(publish(ec.jwk));
  const { url } = await startTestService(t, { jwtSecrets: [], jwtJwksUrl: issuer.url, webhookAllowPrivate: true });
  const statusOf = async (token: string) => (await api(url, token).request('GET', '/v1/baskets')).status;
  t.equal(await statusOf(await sign(ec, { alg: 'ES256', kid: 'ec' })), 200);
  t.equal(await statusOf(await mintToken(claims)), 401);
  t.equal(await statusOf(signHs256('', 'ec')), 401, 'nor an empty one');
});

t.test('while there are no keys, callers are told to come back, and those with a secret are served', async (t) => {
  const issuer = await startIssuer(t);
  issuer.answerWith((response) => response.writeHead(500).end());
  const shop = await openShop(t, { config: { jwtJwksUrl: issuer.url, webhookAllowPrivate: true } });
  const answer = await shop.as(await sign(ec, { alg: 'ES256', kid: 'ec' })).request('GET', '/v1/baskets');
  t.match(answer, { status: 503, body: { code: 'unavailable' } });
  t.ok(answer.headers.has('retry-after'));
  t.equal((await shop.backEnd.request('GET', '/v1/baskets')).status, 200);
});

t.test('an issuer at an address that is not public is connected to only where the operator allows such', async (t) => {
  const issuer = await startIssuer(t);
  const guarded = openOutbound({ allowPrivate: false });
  t.teardown(() => guarded.close());
  // Over TLS, which this issuer does not speak: without the guard it would not be asked otherwise.
  const url = issuer.url.replace('http:', 'https:');
  t.ok((await keyFor(openJwks(url, guarded, silent), 'ES256', 'ec')) instanceof RefusalError);
  t.equal(issuer.connections(), 0);
  t.ok((await keyFor(openJwks(url, outbound, silent), 'ES256', 'ec')) instanceof RefusalError);
  t.equal(issuer.connections(), 1, 'where they are allowed');
});

t.test('a flood of unknown keys makes one fetch, however the issuer answers', async (t) => {
  for (const [what, flooded] of Object.entries<Answer>({
    'it answers': publish(ec.jwk),
    'it fails': (response) => response.writeHead(500).end(),
    'it breaks off': (response) => response.destroy(),
  })) {
    const issuer = await startIssuer(t);
    issuer.answerWith(flooded);
    const find = openJwks(issuer.url, outbound, silent);
    const ask = () => keyFor(find, 'ES256', randomUUID());
    const outcomes = [
      await Promise.all(Array.from({ length: 100 }, ask)),
      await Promise.all(Array.from({ length: 100 }, ask)),
    ];
    t.ok(
      outcomes.flat().every((outcome) => outcome instanceof Error),
      what,
    );
    t.equal(issuer.fetches(), 1, what);
  }
});

t.test(
  'known keys serve while the issuer is away or hangs, new ones come and old ones go with the next fetch',
  async (t) => {
    const issuer = await startIssuer(t);
    issuer.answerWith(publish(ec.jwk));
    const find = openJwks(issuer.url, outbound, silent, { fetchEveryMs: 20, refreshAfterMs: 40 });
    const isKnown = async (kid: string, alg: string) => !((await keyFor(find, alg, kid)) instanceof Error);
    /** Waits until the issuer was asked so many times more: of two the first has been answered. */
    const isAsked = (times: number) => {
      const before = issuer.fetches();
      return until('the issuer is asked again', 10_000, async () => {
        await isKnown('ec', 'ES256');
        return issuer.fetches() >= before + times;
      });
    };
    t.equal(await isKnown('ec', 'ES256'), true);

    issuer.answerWith(() => {});
    await isAsked(1);
    const startedMs = performance.now();
    t.equal(await isKnown('ec', 'ES256'), true, 'while it hangs');
    t.ok(performance.now() - startedMs < 1000, 'nobody waits for a fetch that is not needed');

    issuer.answerWith((response) => response.writeHead(503).end());
    await isAsked(2);
    t.equal(await isKnown('ec', 'ES256'), true, 'while it fails');

    issuer.answerWith(publish(ed.jwk, { ...(await exportJWK(unpublished.privateKey)), kid: 'leaked' }));
    await isAsked(2);
    t.equal(await isKnown('ec', 'ES256'), true, 'while it publishes what should be secret');

    issuer.answerWith(publish(ed.jwk));
    await until('the new key is known', 5000, () => isKnown('ed', 'EdDSA'));
    await until('the old one is not', 5000, async () => !(await isKnown('ec', 'ES256')));
  },
);

t.test('a key set that is not one, or not to be believed, is refused as a whole', async (t) => {
  const secret = {
    kty: 'oct',
    kid: 'oct',
    k: Buffer.from('a secret that everybody can read now').toString('base64url'),
  };
  const published = { ...(await exportJWK(ec.privateKey)), kid: 'ec' };
  const many = Array.from({ length: 101 }, (_, at) => ({ ...ec.jwk, kid: `ec-${at}` }));
  const sets: Record<string, Answer> = {
    'a redirection': (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    'not found': (response) => response.writeHead(404).end(JSON.stringify({ keys: [ec.jwk] })),
    'no JSON': (response) => response.end('<html>'),
    null: (response) => response.end('null'),
    'no keys': (response) => response.end('{}'),
    'keys that are no list': (response) => response.end(JSON.stringify({ keys: ec.jwk })),
    'an empty list': publish(),
    '10 MiB': publish(ec.jwk, { kty: 'EC', kid: 'x'.repeat(10 * 2 ** 20) }),
    '101 keys': publish(...many),
    'a private key alone': publish(published),
    'a symmetric key alone': publish(secret),
    'a private key beside a public one': publish(ed.jwk, published),
    'a symmetric key beside a public one': publish(ed.jwk, secret),
    'two keys under one name': publish(ec.jwk, unpublished.jwk),
    'things that are no keys': publish({}, { kty: 7 }),
  };
  for (const [what, answer] of Object.entries(sets)) {
    const issuer = await startIssuer(t);
    issuer.answerWith(answer);
    const error = await keyFor(openJwks(issuer.url, outbound, silent), 'ES256', 'ec');
    t.ok(error instanceof RefusalError, `${what}: ${String(error)}`);
    t.equal(issuer.fetches(), 1, what);
  }
  const issuer = await startIssuer(t);
  issuer.answerWith(publish({ kty: 'AKP', kid: 'new' }, { kty: 'EC', kid: 'broken' }, ed.jwk));
  const find = openJwks(issuer.url, outbound, silent);
  t.notOk((await keyFor(find, 'EdDSA', 'ed')) instanceof Error, 'beside kinds of keys that are not known');
  t.ok((await keyFor(find, 'ES256', 'broken')) instanceof Error);
});
