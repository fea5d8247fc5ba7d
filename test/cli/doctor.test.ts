import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import t, { type Test } from 'tap';
import { runDoctor } from '../../src/cli/doctor/command.ts';
import { startPostgresServer, startRedisServer } from '../support/servers.ts';

/** Debian's package faketime. */
const clockShim = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';
/** Before jemalloc, which Redis allocates with and which asks for the time before the shim is ready. */
const preloaded = `${clockShim}:/lib/x86_64-linux-gnu/libc.so.6`;

const [missing] = ['redis-server', 'redis-cli'].filter((program) => spawnSync(program, ['--version']).error);
if (missing !== undefined) {
  t.test('a doctor of real servers', { skip: `${missing} is not installed` }, async () => {});
} else {
  const secrets = {
    database: 'pa55word-of-the-database',
    redis: 'pa55word-of-redis',
    jwt: 'the secret that signs the tokens of the doctor',
    link: 'the secret that signs the links of the doctor',
    data: 'the secret that encrypts the data of the doctor',
  };
  const postgres = await startPostgresServer(t);
  const redis = await startRedisServer(t);
  const administer = (...statements: string[]) =>
    postgres.asAdministrator(async (client) => {
      for (const statement of statements) await client.query(statement);
    });
  await administer(`CREATE ROLE basketlink LOGIN PASSWORD '${secrets.database}'`, 'CREATE DATABASE empty');
  const databaseUrl = new URL(postgres.url);
  databaseUrl.username = 'basketlink';
  databaseUrl.password = secrets.database;
  const sound = {
    PUBLIC_URL: 'https://links.example.com',
    DATABASE_URL: databaseUrl.href,
    REDIS_URL: redis.url,
    JWT_SECRET: secrets.jwt,
    LINK_KEYS: `l1:${secrets.link}`,
    DATA_KEYS: `d1:${secrets.data}`,
  };

  const examine = async (t: Test, environment: NodeJS.ProcessEnv): Promise<{ code: number; text: string }> => {
    const lines: string[] = [];
    const code = await runDoctor(environment, (line) => lines.push(line));
    const text = lines.join('\n');
    for (const secret of Object.values(secrets)) t.notMatch(text, secret, 'no secret is shown');
    return { code, text };
  };

  t.test('a role that may not use the tables is told what to grant', async (t) => {
    const { code, text } = await examine(t, sound);
    t.equal(code, 1);
    t.match(text, /✗ the role of .* may not read and write .*baskets, .*webhooks\n {4}let it own them, or grant/);
    t.match(text, /1 to be mended, 0 to be considered\.$/);
    await administer('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO basketlink');
  });

  t.test('where nothing is to be mended, it says so and exits with 0', async (t) => {
    const { code, text } = await examine(t, sound);
    t.equal(code, 0);
    t.match(text, /All is well\.$/);
    t.notMatch(text, /^[✗!]/m);
  });

  t.test('everything that is wrong with the variables is named at once, and the servers are looked at', async (t) => {
    const { JWT_SECRET, ...others } = sound;
    const wrong = { ...others, PUBLIC_URL: 'http://links.example.com', LINK_KEYS: `${secrets.link}`, DATA_KEYS: '' };
    const { code, text } = await examine(t, wrong);
    t.equal(code, 1);
    t.match(text, /✗ PUBLIC_URL does not fit: .*https/);
    t.match(text, /✗ LINK_KEYS does not fit: kid:secret pairs/);
    t.match(text, /✗ DATA_KEYS is missing/);
    t.match(text, /✗ JWT_SECRET and JWT_JWKS_URL are both missing/);
    t.match(text, /✓ Postgres [\d.]+ answers/);
    t.match(text, /✓ Redis [\d.]+ answers/);
  });

  t.test('what would work and should not be so is a warning, and exits with 0', async (t) => {
    const { code, text } = await examine(t, {
      ...sound,
      DATABASE_URL: postgres.url,
      DATA_KEYS: sound.LINK_KEYS,
      WEBHOOK_ALLOW_PRIVATE: 'true',
    });
    t.equal(code, 0);
    t.match(text, /! the role of DATABASE_URL is a superuser/);
    t.match(text, /! .* have a secret in common/);
    t.match(text, /! WEBHOOK_ALLOW_PRIVATE is true/);
    t.match(text, /0 to be mended, 3 to be considered\.$/);
  });

  t.test(
    'a wrong password, a database that is not there and one that nothing listens for are told apart',
    async (t) => {
      const at = (change: (url: URL) => void) => {
        const url = new URL(databaseUrl);
        change(url);
        return examine(t, { ...sound, DATABASE_URL: url.href });
      };
      const password = await at((url) => {
        url.password = 'pa55word-that-is-wrong';
      });
      t.match(password, {
        code: 1,
        text: /✗ Postgres cannot be used: password .* failed.*\n {4}correct user and password/,
      });
      t.notMatch(password.text, 'pa55word-that-is-wrong');
      const name = await at((url) => {
        url.pathname = '/elsewhere';
      });
      t.match(name, {
        code: 1,
        text: /✗ Postgres cannot be used: .*"elsewhere".*\n {4}make the database with createdb/,
      });
      const port = await at((url) => {
        url.port = '1';
      });
      t.match(port, { code: 1, text: /✗ Postgres cannot be used: .*ECONNREFUSED.*\n {4}start it/ });
    },
  );

  t.test('a database that lacks migrations', async (t) => {
    const url = new URL(databaseUrl);
    url.pathname = '/empty';
    const { code, text } = await examine(t, { ...sound, DATABASE_URL: url.href });
    t.match({ code, text }, { code: 1, text: /✗ The database lacks migrations of this build: run `npm run migrate`/ });
  });

  t.test('a Postgres that can lose what was answered, wherever that is set', async (t) => {
    await administer('ALTER ROLE basketlink SET synchronous_commit = off');
    t.match(await examine(t, sound), {
      code: 1,
      text: /✗ synchronous_commit is off: .*\n {4}write synchronous_commit = on/,
    });
    await administer('ALTER ROLE basketlink RESET synchronous_commit');
    await postgres.restart({ fsync: 'off', full_page_writes: 'off', max_connections: '24' });
    const { code, text } = await examine(t, sound);
    t.equal(code, 1);
    t.match(text, /✗ fsync is off: .*\n {4}write fsync = on/);
    t.match(text, /✗ full_page_writes is off/);
    t.match(text, /! Postgres has 21 connections, a replica opens up to 20/);
    await administer('ALTER ROLE basketlink CONNECTION LIMIT 15');
    t.match(await examine(t, sound), { code: 1, text: /✗ Postgres has 15 connections, a replica opens up to 20/ });
    await administer('ALTER ROLE basketlink CONNECTION LIMIT -1');
    await postgres.restart({});
    t.match(await examine(t, sound), { code: 0 });
  });

  t.test('a Postgres that takes no writes, or lets transactions fail that meet', async (t) => {
    await administer(
      'ALTER ROLE basketlink SET default_transaction_read_only = on',
      'ALTER ROLE basketlink SET default_transaction_isolation = serializable',
    );
    const { code, text } = await examine(t, sound);
    t.equal(code, 1);
    t.match(text, /✗ Postgres takes no writes/);
    t.match(text, /✗ default_transaction_isolation is serializable/);
    await administer('ALTER ROLE basketlink RESET ALL');
  });

  t.test('a Redis that may throw holds away', async (t) => {
    await redis.cli('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    const { code, text } = await examine(t, sound);
    t.match(
      { code, text },
      { code: 1, text: /✗ maxmemory-policy of Redis is allkeys-lru.*\n {4}CONFIG SET maxmemory/ },
    );
    await redis.cli('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
  });

  t.test('a Redis that refuses us, is a replica, is no cluster, or is not there', async (t) => {
    await redis.cli('CONFIG', 'SET', 'requirepass', secrets.redis);
    const refused = await examine(t, { ...sound, REDIS_URL: redis.url.replace('//', '//:wrong@') });
    t.match(refused, { code: 1, text: /✗ Redis cannot be used: .*WRONGPASS.*\n {4}correct user and password/ });
    const none = await examine(t, sound);
    t.match(none, { code: 1, text: /✗ Redis cannot be used: NOAUTH.*\n {4}correct user and password/ });
    const allowed = redis.url.replace('//', `//:${secrets.redis}@`);
    t.match(await examine(t, { ...sound, REDIS_URL: allowed }), { code: 0 });
    const listed = await examine(t, { ...sound, REDIS_URL: `${allowed},${allowed}` });
    t.match(listed, { code: 1, text: /✗ Redis at 127\.0\.0\.1:\d+ is no node of a cluster/ });
    await redis.cli('-a', secrets.redis, 'CONFIG', 'SET', 'requirepass', '');
    const replica = await startRedisServer(t, { replicaOf: redis.port });
    const text = /✗ Redis is a replica, which takes no writes/;
    t.match(await examine(t, { ...sound, REDIS_URL: replica.url }), { code: 1, text });
    const closed = await examine(t, { ...sound, REDIS_URL: 'redis://127.0.0.1:1' });
    t.match(closed, { code: 1, text: /✗ Redis cannot be used: .*ECONNREFUSED.*\n {4}start it/ });
  });

  t.test('our clock, when it is a minute or more from that of Postgres', async (t) => {
    const now = Date.now;
    const apart = (ms: number) => t.intercept(Date, 'now', { value: () => now() + ms });
    apart(90_000);
    const behind = await examine(t, sound);
    t.match(behind, { code: 1, text: /✗ the clock of Postgres is (89|90)\d{3} ms behind this .*\n {4}.*60,000 ms/ });
    t.match(behind.text, /✓ the clock of Redis/);
    apart(-20_000);
    t.match(await examine(t, sound), { code: 0, text: /! the clock of Postgres is (19|20)\d{3} ms ahead of this/ });
  });

  const skip = existsSync(clockShim) ? false : 'faketime is not installed';
  t.test('a clock of Redis that lets baskets expire late', { skip }, async (t) => {
    const late = await startRedisServer(t, { env: { LD_PRELOAD: preloaded, FAKETIME: '-1h' } });
    const { code, text } = await examine(t, { ...sound, REDIS_URL: late.url });
    t.equal(code, 0);
    t.match(text, /! the clock of Redis is (3599|3600)\d{3} ms behind that of Postgres\n {4}.*2,000 ms/);
  });
}
