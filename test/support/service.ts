import { randomBytes } from 'node:crypto';
import { type IncomingHttpHeaders, request } from 'node:http';
import { SignJWT } from 'jose';
import pg from 'pg';
import type { Test } from 'tap';
import type { Config } from '../../src/config.ts';
import { freePort } from '../../src/dev/services.ts';
import { startService } from '../../src/server.ts';
import { until } from './until.ts';

/** What mintToken signs with. */
export const jwtSecret = 'the secret that signs the tokens of every test';

/** A value that `npm test` hands to the test files. */
export function fromRunner(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run test files with \`npm test -- <file>\`.`);
  return value;
}

/**
 * Clones the migrated template under a random name and drops the clone after the test. Returns its URL, through
 * PgBouncer where TEST_PGBOUNCER=1 asked for it.
 */
export async function createDatabase(t: Test): Promise<string> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  // The other strategy writes the whole clone into the write-ahead log as well.
  await administer(`CREATE DATABASE ${name} TEMPLATE ${fromRunner('TEST_TEMPLATE_DATABASE')} STRATEGY FILE_COPY`);
  t.teardown(() => administer(`DROP DATABASE ${name} WITH (FORCE)`));
  const url = new URL(process.env.TEST_PGBOUNCER_URL ?? fromRunner('TEST_POSTGRES_URL'));
  url.pathname = `/${name}`;
  return url.href;
}

/**
 * The same database for a test itself, past PgBouncer and the service: what the service sends is told apart by the role.
 */
export function asTester(databaseUrl: string): string {
  const url = new URL(fromRunner('TEST_TESTER_URL'));
  url.pathname = new URL(databaseUrl).pathname;
  return url.href;
}

async function administer(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: fromRunner('TEST_POSTGRES_URL') });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Longer than a busy machine stops for now and then, and short enough for a request that waits for it in vain. */
const redisCommandTimeoutMs = 1500;

/**
 * Starts the whole service on a database and a Redis prefix of its own, and stops it after the test. Two replicas share
 * both when the second gets the first's `databaseUrl` and `redisKeyPrefix`. `pool` is the test's own, not the service's.
 */
export async function startTestService(
  t: Test,
  overrides: Partial<Config> = {},
  redisKeyPrefix = `test:${randomBytes(8).toString('hex')}:`,
) {
  const port = await freePort();
  const config: Config = {
    host: '127.0.0.1',
    port,
    opsPort: null,
    publicUrl: `http://127.0.0.1:${port}`,
    databaseUrl: overrides.databaseUrl ?? (await createDatabase(t)),
    redisUrl: fromRunner('TEST_REDIS_URL'),
    jwtSecrets: [jwtSecret],
    jwtJwksUrl: null,
    jwtIssuer: null,
    jwtAudience: null,
    linkKeys: [{ kid: 'l1', secret: 'the secret that signs the start links of tests' }],
    dataKeys: [{ kid: 'd1', secret: 'the secret that encrypts stored data of tests' }],
    rateLimitMax: 0,
    rateLimitClicks: 0,
    // The test itself and everything beside it makes the event loop late.
    maxEventLoopDelayMs: 0,
    webhookAllowPrivate: false,
    trustProxy: false,
    logLevel: 'silent',
    otlpEndpoint: null,
    ...overrides,
  };
  const service = await startService(config, { redisKeyPrefix, redisCommandTimeoutMs });
  t.teardown(() => service.stop());
  // With more patience for a busy machine than the service may have.
  const pool = new pg.Pool({ connectionString: asTester(config.databaseUrl), max: 20 });
  pool.on('error', () => {});
  t.teardown(() => pool.end());
  if (config.redisUrl === fromRunner('TEST_REDIS_URL')) {
    // On a machine that is still busy starting the service goes on without: then Redis would know nothing for seconds.
    await until('Redis is in use', 10_000, async () => service.admission.epoch() !== null);
  }
  return { ...service, pool, config, redisKeyPrefix };
}

type TokenClaims = { shop?: string; scope: string; partner?: string; sub?: string };

/**
 * A JWT that the test service accepts for five minutes. The options make one that it should not: another secret, a
 * lifetime that has passed (negative), an issuer or audience.
 */
export async function mintToken(
  claims: TokenClaims,
  options: { secret?: string; ttlSeconds?: number; issuer?: string; audience?: string } = {},
): Promise<string> {
  const token = new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + (options.ttlSeconds ?? 300));
  if (options.issuer !== undefined) token.setIssuer(options.issuer);
  if (options.audience !== undefined) token.setAudience(options.audience);
  return token.sign(new TextEncoder().encode(options.secret ?? jwtSecret));
}

/** An answer; `body` is the parsed JSON when it is JSON of any kind, else the text, `text` what came byte for byte. */
type ApiAnswer<Body> = { status: number; headers: Headers; body: Body; text: string };

/**
 * A client of one service with one token (null: none). An object as body is sent as JSON, a string as it is, both as
 * application/json unless the headers (in lower case) say otherwise. Redirects are not followed. `Body` is what the test
 * expects to get, for the compiler alone.
 */
export function api(baseUrl: string, token: string | null) {
  return {
    async request<Body = unknown>(
      method: string,
      path: string,
      body?: unknown,
      headers: Record<string, string> = {},
    ): Promise<ApiAnswer<Body>> {
      const response = await fetch(new URL(path, baseUrl), {
        method,
        redirect: 'manual',
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = /\bjson\b/.test(response.headers.get('content-type') ?? '');
      return {
        status: response.status,
        headers: response.headers,
        body: isJson && text !== '' ? JSON.parse(text) : text,
        text,
      };
    },
  };
}

/**
 * Requests a page as a browser does, or as whatever the headers say. Node's fetch cannot: it sets `Sec-Fetch-Mode`
 * itself.
 */
export function visit(
  url: string,
  headers: Record<string, string> = browserHeaders,
  method = 'GET',
): Promise<{ status: number; headers: IncomingHttpHeaders; text: string }> {
  return new Promise((resolve, reject) => {
    request(url, { method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString(),
        }),
      );
    })
      .on('error', reject)
      .end();
  });
}

/** How a browser asks for a page that a person navigates to from another site. */
export const browserHeaders = {
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
  'sec-fetch-site': 'cross-site',
  accept: 'text/html,application/xhtml+xml',
};
