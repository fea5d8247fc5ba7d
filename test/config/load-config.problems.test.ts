import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ConfigError, loadConfig } from '../../src/config.ts';

const secret = (name: string) => `the ${name} of these tests and long enough`;
const complete = {
  PUBLIC_URL: 'https://links.example',
  DATABASE_URL: 'postgres://user:password@db.example/basketlink',
  REDIS_URL: 'redis://:password@cache.example:6379',
  JWT_SECRET: secret('jwt secret'),
  LINK_KEYS: `l1:${secret('link key')}`,
  DATA_KEYS: `d1:${secret('data key')}`,
};

/** What loadConfig says is wrong with an environment; nothing when it takes it. */
function problemsOf(environment: NodeJS.ProcessEnv): readonly string[] {
  try {
    loadConfig(environment);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) {
      if (!error.message.includes(problem)) throw new Error(`not in the message: ${problem}`);
    }
    return error.problems;
  }
}

t.test('a complete environment is read into one frozen configuration with the defaults', async (t) => {
  const config = loadConfig(complete);
  t.match(config, {
    host: '0.0.0.0',
    port: 3000,
    opsPort: null,
    publicUrl: 'https://links.example',
    jwtSecrets: [secret('jwt secret')],
    jwtIssuer: null,
    jwtAudience: null,
    linkKeys: [{ kid: 'l1', secret: secret('link key') }],
    dataKeys: [{ kid: 'd1', secret: secret('data key') }],
    webhookAllowPrivate: false,
    trustProxy: false,
    logLevel: 'info',
    otlpEndpoint: null,
  });
  t.ok(Object.isFrozen(config));
  t.same(problemsOf({ ...complete, JWT_ISSUER: '', PORT: '' }), [], 'an empty value is one that is not set');
});

t.test('tokens may be verified with a secret, with published keys, or with both, but with something', async (t) => {
  const { JWT_SECRET, ...without } = complete;
  const published = { JWT_JWKS_URL: 'https://issuer.example/keys' };
  t.match(problemsOf(without), [/JWT_SECRET and JWT_JWKS_URL are both missing/]);
  t.match(loadConfig({ ...without, ...published }), { jwtSecrets: [], jwtJwksUrl: published.JWT_JWKS_URL });
  t.match(loadConfig({ ...complete, ...published }), { jwtSecrets: [JWT_SECRET] });
  for (const url of [
    'http://issuer.example/keys',
    'ftp://issuer.example',
    'issuer.example',
    'http://localhost.evil/',
  ]) {
    t.match(problemsOf({ ...without, JWT_JWKS_URL: url }), [/^JWT_JWKS_URL does not fit/], url);
  }
});

t.test('every problem is named at once, each with its variable, and none with a value', async (t) => {
  const leaky = 'PLEASE-DO-NOT-PRINT-ME';
  const environment = {
    PORT: `70000${leaky}`,
    PUBLIC_URL: `https://links.example/${leaky}`,
    DATABASE_URL: `mysql://root:${leaky}@db.example`,
    JWT_SECRET: leaky,
    LINK_KEYS: `${leaky}:${leaky}`,
    DATA_KEYS: `d1:${secret(leaky)},d1:${secret(leaky)}`,
    LOG_LEVEL: leaky,
    TRUST_PROXY: leaky,
  };
  const problems = problemsOf(environment);
  const named = problems.map((problem) => problem.split(' ')[0]).sort();
  t.same(named, Object.keys({ ...environment, REDIS_URL: 'missing' }).sort());
  t.notMatch(problems.join('\n'), leaky);
  t.same(
    problemsOf({})
      .map((problem) => problem.split(' ')[0])
      .sort(),
    Object.keys(complete).sort(),
    'what is required',
  );
});

t.test('each of these values is refused by the name of its variable alone', async (t) => {
  const long = secret('key');
  const cases: [name: string, ...values: string[]][] = [
    ['PORT', '-1', '65536', '3000.5', 'http'],
    ['OPS_PORT', '-1', '65536', 'http', '3000'],
    [
      'PUBLIC_URL',
      'links.example',
      'http://links.example',
      'ftp://links.example',
      'https://',
      'https://links.example/path',
      'https://user@links.example',
      'https://links.example?x',
      'https://links.example#x',
      'http://localhost.evil.example',
      'http://127.0.0.1.evil.example',
    ],
    ['DATABASE_URL', 'localhost', 'http://db.example'],
    ['REDIS_URL', 'localhost:6379', 'http://cache.example', 'redis://a.example,b.example', 'redis://a.example,'],
    ['JWT_SECRET', 'short', `${long},short`, `${long},`, `,${long}`],
    ['LINK_KEYS', long, `:${long}`, 'l1:short', `ninechars:${long}`, `l1:${long},`, `l 1:${long}`],
    ['DATA_KEYS', long, `d1:${long},d1:${long}`],
    ['LOG_LEVEL', 'INFO', 'verbose'],
    ['WEBHOOK_ALLOW_PRIVATE', 'yes', '1', 'TRUE'],
    ['TRUST_PROXY', 'true', 'localhost', '10.0.0.0/8,'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'localhost:4318', 'grpc://collector', 'http://collector:4318?x'],
  ];
  for (const [name, ...values] of cases) {
    for (const value of values) {
      t.match(problemsOf({ ...complete, [name]: value }), [new RegExp(`^${name} `)], `${name}=${value}`);
    }
  }
});

t.test('what an operator may write is taken', async (t) => {
  const long = secret('key');
  const cases: [name: string, ...values: string[]][] = [
    ['PORT', '0', '65535'],
    ['OPS_PORT', '0', '9000'],
    ['PUBLIC_URL', 'http://localhost:3000', 'http://127.0.0.1', 'http://[::1]:80', 'https://links.example:8443'],
    ['DATABASE_URL', 'postgresql://db.example/basketlink'],
    ['REDIS_URL', 'rediss://cache.example', 'redis://a.example:7001,redis://b.example:7002'],
    ['JWT_SECRET', `${long},${long}2`],
    ['LINK_KEYS', `new:${long}:with:colons,old_1-x:${long}`],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://collector:4318', 'https://otlp.example/base/'],
    ['TRUST_PROXY', 'false', '10.0.0.0/8,192.168.0.1', '::1'],
  ];
  for (const [name, ...values] of cases) {
    for (const value of values) t.same(problemsOf({ ...complete, [name]: value }), [], `${name}=${value}`);
  }
  t.equal(loadConfig({ ...complete, WEBHOOK_ALLOW_PRIVATE: 'true' }).webhookAllowPrivate, true);
  t.match(loadConfig({ ...complete, PORT: '0', OPS_PORT: '0' }), { port: 0, opsPort: 0 }, 'any two free ports');
  t.same(
    loadConfig({ ...complete, LINK_KEYS: `new:${long}:with:colons,old:${long}` }).linkKeys,
    [
      { kid: 'new', secret: `${long}:with:colons` },
      { kid: 'old', secret: long },
    ],
    'the first stands first',
  );
});

t.test('each secret may be given as a file instead, and not as both', async (t) => {
  const directory = t.testdir();
  mkdirSync(join(directory, 'secrets'));
  const names = ['DATABASE_URL', 'REDIS_URL', 'JWT_SECRET', 'LINK_KEYS', 'DATA_KEYS'] as const;
  const environment: Record<string, string> = { PUBLIC_URL: complete.PUBLIC_URL };
  for (const name of names) {
    const path = join(directory, 'secrets', name);
    writeFileSync(path, `${complete[name]}\n`);
    environment[`${name}_FILE`] = path;
  }
  t.same(loadConfig(environment), loadConfig(complete));
  for (const name of names) {
    const both = problemsOf({ ...environment, [name]: complete[name] });
    t.match(both, [new RegExp(`^${name} and ${name}_FILE`)], `${name} twice`);
    const gone = problemsOf({ ...environment, [`${name}_FILE`]: '/no/such/file' });
    t.match(gone.join('\n'), `${name}_FILE names a file that cannot be read`);
    writeFileSync(join(directory, 'secrets', 'bad'), 'no such value');
    const bad = problemsOf({ ...environment, [`${name}_FILE`]: join(directory, 'secrets', 'bad') });
    t.match(bad, [new RegExp(`^${name} does not fit`)], `${name} in its file`);
    t.notMatch(bad.join('\n'), 'no such value');
  }
});
