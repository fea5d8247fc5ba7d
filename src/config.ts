import { readFileSync } from 'node:fs';
import { type Static, Type } from '@sinclair/typebox';
import envSchema from 'env-schema';

const keyList = '^[A-Za-z0-9_-]{1,8}:[^,]{32,}(,[A-Za-z0-9_-]{1,8}:[^,]{32,})*$';

/**
 * Every variable of the environment, in the order of `.env.example`. The description is what the operator is told when
 * the value is missing or does not fit.
 */
export const environmentSchema = Type.Object({
  HOST: Type.String({ default: '0.0.0.0', description: 'the address to listen on' }),
  PORT: Type.Integer({ default: 3000, minimum: 0, maximum: 65535, description: 'the port to listen on' }),
  OPS_PORT: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 65535,
      description: 'the port that probes and metrics are on instead, another than PORT',
    }),
  ),
  PUBLIC_URL: Type.String({
    pattern: '^(https://[^/?#@\\s]+|http://(localhost|127\\.0\\.0\\.1|\\[::1\\])(:\\d+)?)$',
    description: 'the origin that customers see, https://host without a path (http:// only for loopback)',
  }),
  DATABASE_URL: Type.String({
    pattern: '^postgres(ql)?://',
    description: 'the Postgres database, postgres://user:password@host:port/name',
  }),
  REDIS_URL: Type.String({
    pattern: '^rediss?://[^,]+(,rediss?://[^,]+)*$',
    description: 'the Redis server, redis:// or rediss://, or some nodes of a Redis Cluster separated by commas',
  }),
  JWT_SECRET: Type.Optional(
    Type.String({
      pattern: '^[^,]{32,}(,[^,]{32,})*$',
      description: 'one or more HS256 secrets of at least 32 characters each, separated by commas',
    }),
  ),
  JWT_JWKS_URL: Type.Optional(
    Type.String({
      pattern: '^(https://|http://(localhost|127\\.0\\.0\\.1|\\[::1\\])[:/])[^\\s]*$',
      description: 'where the issuer of JWTs publishes its keys, https://… (http:// only for loopback)',
    }),
  ),
  JWT_ISSUER: Type.Optional(Type.String({ minLength: 1, description: 'the `iss` that a JWT must carry' })),
  JWT_AUDIENCE: Type.Optional(Type.String({ minLength: 1, description: 'the `aud` that a JWT must carry' })),
  LINK_KEYS: Type.String({
    pattern: keyList,
    description: 'kid:secret pairs separated by commas, kid of 1–8 characters, secret of at least 32; the first signs',
  }),
  DATA_KEYS: Type.String({
    pattern: keyList,
    description: 'kid:secret pairs separated by commas, kid of 1–8 characters, secret of at least 32; the first signs',
  }),
  RATE_LIMIT_MAX: Type.Integer({
    default: 6000,
    minimum: 0,
    description: 'how many calls of the API a credential may make in a minute; 0 for any number',
  }),
  RATE_LIMIT_CLICKS: Type.Integer({
    default: 60,
    minimum: 0,
    description: 'how many invalid start links an address may open in a minute; 0 for any number',
  }),
  MAX_EVENT_LOOP_DELAY_MS: Type.Integer({
    default: 1000,
    minimum: 0,
    description: 'how late the event loop may be, in milliseconds, before calls are answered 503; 0 for any time',
  }),
  WEBHOOK_ALLOW_PRIVATE: Type.String({
    default: 'false',
    pattern: '^(true|false)$',
    description: 'true to send webhooks also to http:// and to private addresses, for development alone, or false',
  }),
  TRUST_PROXY: Type.String({
    default: 'false',
    pattern: '^(false|[0-9A-Fa-f:./]+(,[0-9A-Fa-f:./]+)*)$',
    description: 'false, or the addresses and networks of the proxies whose X-Forwarded-For is believed',
  }),
  LOG_LEVEL: Type.String({
    default: 'info',
    pattern: '^(fatal|error|warn|info|debug|silent)$',
    description: 'fatal, error, warn, info, debug or silent',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    Type.String({
      pattern: '^https?://[^\\s?#]+$',
      description: 'the OpenTelemetry collector that traces are sent to, http://host:4318 or https://…',
    }),
  ),
});

type VariableName = keyof typeof environmentSchema.properties;

/** Variables that hold secrets: each may also be given as the path of a file in `<NAME>_FILE`. */
const secretNames = ['DATABASE_URL', 'REDIS_URL', 'JWT_SECRET', 'LINK_KEYS', 'DATA_KEYS'] as const;

/** A secret with the id under which tokens name it. */
export type NamedSecret = { kid: string; secret: string };

export type Config = Readonly<{
  host: string;
  port: number;
  /** Where probes and metrics are; null: on `port`. */
  opsPort: number | null;
  publicUrl: string;
  databaseUrl: string;
  redisUrl: string;
  jwtSecrets: readonly string[];
  jwtJwksUrl: string | null;
  jwtIssuer: string | null;
  jwtAudience: string | null;
  /** The first signs, all verify. */
  linkKeys: readonly NamedSecret[];
  dataKeys: readonly NamedSecret[];
  /** A minute; 0: without a limit. */
  rateLimitMax: number;
  rateLimitClicks: number;
  /** 0: without a limit. */
  maxEventLoopDelayMs: number;
  /** Whether webhooks may go to addresses that are not public, and without TLS. */
  webhookAllowPrivate: boolean;
  trustProxy: false | string;
  logLevel: string;
  /** Where traces are sent; null: none are made. */
  otlpEndpoint: string | null;
}>;

/** Names every problem of the environment at once, without any of its values. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`The configuration cannot be used:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/**
 * Reads the environment into the one frozen configuration. Nothing else in the service reads `process.env`.
 * Throws ConfigError with all that is wrong.
 */
export function loadConfig(environment: NodeJS.ProcessEnv): Config {
  const problems: string[] = [];
  const data = readVariables(environment, problems);
  let values: Static<typeof environmentSchema> | undefined;
  try {
    values = envSchema<Static<typeof environmentSchema>>({ schema: environmentSchema, data, env: false });
  } catch (error) {
    problems.push(...namedProblems(error));
  }
  const linkKeys = parseKeys('LINK_KEYS', data.LINK_KEYS, problems);
  const dataKeys = parseKeys('DATA_KEYS', data.DATA_KEYS, problems);
  if (data.JWT_SECRET === undefined && data.JWT_JWKS_URL === undefined) {
    problems.push('JWT_SECRET and JWT_JWKS_URL are both missing: set what JWTs are verified with');
  }
  if (values?.OPS_PORT !== undefined && values.OPS_PORT !== 0 && values.OPS_PORT === values.PORT) {
    problems.push(
      'OPS_PORT and PORT are the same: give probes and metrics a port of their own, or do not set OPS_PORT',
    );
  }
  if (values === undefined || problems.length > 0) throw new ConfigError(problems);

  return Object.freeze({
    host: values.HOST,
    port: values.PORT,
    opsPort: values.OPS_PORT ?? null,
    publicUrl: new URL(values.PUBLIC_URL).origin,
    databaseUrl: values.DATABASE_URL,
    redisUrl: values.REDIS_URL,
    jwtSecrets: values.JWT_SECRET?.split(',') ?? [],
    jwtJwksUrl: values.JWT_JWKS_URL ?? null,
    jwtIssuer: values.JWT_ISSUER ?? null,
    jwtAudience: values.JWT_AUDIENCE ?? null,
    linkKeys,
    dataKeys,
    rateLimitMax: values.RATE_LIMIT_MAX,
    rateLimitClicks: values.RATE_LIMIT_CLICKS,
    maxEventLoopDelayMs: values.MAX_EVENT_LOOP_DELAY_MS,
    webhookAllowPrivate: values.WEBHOOK_ALLOW_PRIVATE === 'true',
    trustProxy: values.TRUST_PROXY === 'false' ? false : values.TRUST_PROXY,
    logLevel: values.LOG_LEVEL,
    otlpEndpoint: values.OTEL_EXPORTER_OTLP_ENDPOINT ?? null,
  });
}

/** Some variables alone, for commands that need no more. Throws ConfigError with all that is missing. */
export function variablesOf<Name extends VariableName, Optional extends VariableName = never>(
  environment: NodeJS.ProcessEnv,
  names: readonly Name[],
  optional: readonly Optional[] = [],
): Record<Name, string> & Partial<Record<Optional, string>> {
  const problems: string[] = [];
  const data = readVariables(environment, problems);
  const values: Partial<Record<VariableName, string>> = {};
  for (const name of [...names, ...optional]) {
    const value = data[name];
    if (value !== undefined) values[name] = value;
  }
  for (const name of names) {
    if (data[name] === undefined)
      problems.push(`${name} is missing: ${environmentSchema.properties[name].description}`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return values as Record<Name, string> & Partial<Record<Optional, string>>;
}

/** The pairs of LINK_KEYS or DATA_KEYS alone. Throws ConfigError when they are missing or do not fit. */
export function namedSecretsOf(environment: NodeJS.ProcessEnv, name: 'LINK_KEYS' | 'DATA_KEYS'): NamedSecret[] {
  const list = variablesOf(environment, [name])[name];
  const problems: string[] = [];
  const keys = parseKeys(name, list, problems);
  if (keys.length === 0) problems.push(`${name} does not fit: ${environmentSchema.properties[name].description}`);
  if (problems.length > 0) throw new ConfigError(problems);
  return keys;
}

/** What keeps a process from starting, in words; a refused connection has only a code. */
export function startProblem(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || `Cannot connect: ${'code' in error ? String(error.code) : error.name}`;
}

function readVariables(environment: NodeJS.ProcessEnv, problems: string[]): Record<string, string> {
  const data: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    // An empty value is how compose files and shells say "not set".
    if (value !== undefined && value !== '') data[name] = value;
  }
  for (const name of secretNames) {
    const path = data[`${name}_FILE`];
    if (path === undefined) continue;
    if (data[name] !== undefined) problems.push(`${name} and ${name}_FILE are both set: keep one`);
    try {
      data[name] = readFileSync(path, 'utf8').trim();
    } catch {
      problems.push(`${name}_FILE names a file that cannot be read`);
    }
  }
  return data;
}

function namedProblems(error: unknown): string[] {
  if (!(error instanceof Error) || !('errors' in error) || !Array.isArray(error.errors)) throw error;
  return error.errors.map((failure: { instancePath: string; params: { missingProperty?: string } }) => {
    const missing = failure.params.missingProperty;
    const name = missing ?? failure.instancePath.slice(1);
    const property = environmentSchema.properties[name as keyof typeof environmentSchema.properties];
    return `${name} ${missing === undefined ? 'does not fit' : 'is missing'}: ${property?.description ?? ''}`;
  });
}

function parseKeys(name: string, list: string | undefined, problems: string[]): NamedSecret[] {
  // A list that does not fit has been named already.
  if (list === undefined || !new RegExp(keyList).test(list)) return [];
  const keys = list.split(',').map((pair) => {
    const colon = pair.indexOf(':');
    return { kid: pair.slice(0, colon), secret: pair.slice(colon + 1) };
  });
  if (new Set(keys.map(({ kid }) => kid)).size < keys.length) problems.push(`${name} uses a kid twice`);
  return keys;
}
