import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { validate } from 'dockerfile-utils';
import pg from 'pg';
import t, { type Test } from 'tap';
import { freePort } from '../../src/dev/services.ts';
import { activate, complete, createBasket, readBasket } from '../support/journey.ts';
import { nodeBinary } from '../support/node-binary.ts';
import { asTester, createDatabase, jwtSecret } from '../support/service.ts';
import { openShopAt } from '../support/shop.ts';
import { until } from '../support/until.ts';

/*
 * Test machines have no container engine, so the Dockerfile is carried out by hand: each stage is a directory, COPY and
 * RUN do what they say, with the Node.js of the image. Then what the image runs is run from there, as its user, who can
 * write nothing. What is missing in the image is missing here.
 *
 * The service is also run on the other Node.js that it promises to run on; all other tests are run on the one that npm
 * runs on. NODE_UNDER_TEST names a Node.js to build and run with instead.
 *
 * Installing packages twice takes about a minute.
 */

const project = fileURLToPath(new URL('../..', import.meta.url));
const nodeOfImage = '24.21.0';
const olderNode = '22.23.3';
const startLimitMs = 15_000;
const stopLimitMs = 10_000;

t.setTimeout(600_000);

type Instruction = { name: string; value: string };
type Stage = { name: string; instructions: Instruction[] };

const dockerfile = await readFile(join(project, 'Dockerfile'), 'utf8');
const stages = stagesOf(dockerfile);
const image = stages.at(-1) ?? { name: '', instructions: [] };

const given = process.env.NODE_UNDER_TEST;
const nodes = await Promise.all(given ? [given] : [nodeOfImage, olderNode].map(nodeBinary)).catch((error: Error) => {
  // CI must not go without.
  if (process.env.CI) throw error;
  return [];
});
const skip = nodes.length === 0 && `npm cannot install Node.js ${nodeOfImage} and ${olderNode}`;

t.test('the linter of Dockerfiles finds nothing, and finds what is wrong', async (t) => {
  t.strictSame(validate(dockerfile), []);
  t.match(validate(dockerfile.replace('COPY src', 'COPPY src')), [{ message: /COPPY/ }]);
});

t.test(
  'the service runs on Node.js 24, on a base without a shell, as an ordinary user given as a number',
  async (t) => {
    t.match(valuesOf('FROM')[0], /^gcr\.io\/distroless\/nodejs24-/);
    for (const { instructions } of stages.slice(0, -1)) t.match(instructions[0]?.value, /^node:24-/);
    t.match(valuesOf('USER'), [/^[1-9]\d*:[1-9]\d*$/]);
  },
);

t.test(
  'a basket is sold by what the Dockerfile copies, on each Node.js, by a user who can write nothing',
  { skip },
  async (t) => {
    const directory = await build(t, nodes[0] ?? '');
    const databaseUrl = await createDatabase(t);
    await emptyDatabase(databaseUrl);
    for (const [at, node] of nodes.entries()) {
      await copyFile(node, join(directory, 'nodejs/bin/node'));
      await t.test(await promisify(execFile)(node, ['--version']).then(({ stdout }) => stdout.trim()), async (t) => {
        const [port, opsPort] = [await freePort(), await freePort()];
        const url = `http://127.0.0.1:${port}`;
        // The health check has to find both.
        const opsUrl = at === 0 ? `http://127.0.0.1:${opsPort}` : url;
        const run = runner(directory, {
          HOST: '127.0.0.1',
          PORT: String(port),
          OPS_PORT: at === 0 ? String(opsPort) : '',
          PUBLIC_URL: url,
          DATABASE_URL: databaseUrl,
          REDIS_URL: process.env.TEST_REDIS_URL,
          JWT_SECRET: jwtSecret,
          LINK_KEYS: `k1:${jwtSecret}`,
          DATA_KEYS: `d1:${jwtSecret}`,
        });
        const [program = '', ...entry] = commandIn('ENTRYPOINT');
        const isHealthy = async () => {
          const [checker = '', ...args] = commandIn('HEALTHCHECK');
          return (await endOf(run(checker, args))).code === 0;
        };
        t.match(
          await endOf(run(program, ['-e', 'fs.writeFileSync("a","")'])),
          { code: 1, errors: /EACCES/ },
          'read-only',
        );
        const migrated = await endOf(run(program, [...entry, 'dist/cli/migrate.js']));
        t.match(migrated, { code: 0, output: at === 0 ? /^Migrated: 0001/ : /up to date/, errors: '' });
        t.equal(await isHealthy(), false, 'it does not run yet');

        const service = run(program, [...entry, ...commandIn('CMD')]);
        t.teardown(() => service.kill('SIGKILL'));
        const ended = endOf(service);
        await until('the service is ready', startLimitMs, async () => {
          if (service.exitCode !== null) throw new Error((await ended).errors);
          const answer = await fetch(`${opsUrl}/health/ready`).catch(() => null);
          return answer !== null && /"status":"ok"/.test(await answer.text());
        });
        t.equal(await isHealthy(), true);
        for (const page of [`${url}/docs/static/swagger-ui.css`, `${url}/openapi.json`, `${opsUrl}/metrics`]) {
          t.equal((await fetch(page)).status, 200, page);
        }
        await sellBasket(t, url);
        t.match(await endOf(run(program, [...entry, 'dist/cli/main.js', 'shop', 'show', 'roxy'])), {
          code: 0,
          errors: '',
        });

        const askedAt = performance.now();
        service.kill('SIGTERM');
        t.match(await ended, { code: 0, errors: '' });
        t.ok(performance.now() - askedAt < stopLimitMs, 'it stops before it would be killed');
        t.equal(await isHealthy(), false);
      });
    }
  },
);

/** From its creation by a back end to the order, through the click. */
async function sellBasket(t: Test, url: string): Promise<void> {
  const shop = await openShopAt(url);
  const { id, startBasketUrl } = await createBasket(shop);
  const { session } = await activate(shop, startBasketUrl);
  const checkout = await shop.as(session.token).request('POST', `/v1/baskets/${id}/checkout`);
  t.match(checkout, { status: 200, body: { amountDue: 3000 } });
  const completed = await complete(shop, id, { orderId: `order-${id}`, amount: 3000, currency: 'GBP' });
  t.match(completed, { status: 200 }, completed.text);
  t.equal((await readBasket(shop, id)).status, 'completed');
}

async function emptyDatabase(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: asTester(databaseUrl) });
  await client.connect();
  try {
    await client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  } finally {
    await client.end();
  }
}

function valuesOf(name: string): string[] {
  return image.instructions.filter((instruction) => instruction.name === name).map(({ value }) => value);
}

/** The command of an instruction of the image that gives one in brackets. */
function commandIn(name: 'ENTRYPOINT' | 'CMD' | 'HEALTHCHECK'): string[] {
  return JSON.parse(/\[.*\]$/.exec(valuesOf(name)[0] ?? '')?.[0] ?? '');
}

function stagesOf(dockerfile: string): Stage[] {
  const lines = dockerfile.replace(/^#.*\n/gm, '').replace(/\\\n\s*/g, '');
  const stages: Stage[] = [];
  for (const [, name = '', value = ''] of lines.matchAll(/^([A-Z]+) (.*)$/gm)) {
    if (name === 'FROM') stages.push({ name: / AS (\S+)$/.exec(value)?.[1] ?? 'image', instructions: [] });
    stages.at(-1)?.instructions.push({ name, value });
  }
  return stages;
}

/** Carries the Dockerfile out and gives the root directory of its last stage, in which nothing may be written. */
async function build(t: Test, node: string): Promise<string> {
  // Not below the project, where Node would find the packages that the image lacks.
  const root = await mkdtemp(join(tmpdir(), 'basketlink-image-'));
  t.teardown(async () => {
    await promisify(execFile)('chmod', ['-R', 'u+w', root]);
    await rm(root, { recursive: true });
  });
  for (const { name: stage, instructions } of stages) {
    let directory = join(root, stage);
    for (const { name, value } of instructions) {
      if (name === 'WORKDIR') {
        directory = join(root, stage, value);
        await mkdir(directory, { recursive: true });
      }
      if (name === 'COPY') await copy(root, directory, value);
      if (name === 'RUN') {
        // What npm has in its cache need not be asked for.
        const env = { ...process.env, npm_config_prefer_offline: 'true', PATH: `${dirname(node)}:${process.env.PATH}` };
        const { code, output, errors } = await endOf(start('sh', ['-c', value], { cwd: directory, env }));
        if (code !== 0) throw new Error(`${value}: ${output}${errors}`);
      }
    }
  }
  const directory = join(root, image.name);
  await mkdir(join(directory, 'nodejs/bin'), { recursive: true });
  await chmod(root, 0o755);
  await promisify(execFile)('chmod', ['-R', 'a+rX,a-w', join(directory, valuesOf('WORKDIR')[0] ?? '')]);
  return directory;
}

/** Runs programs of the image as it would, where `/nodejs/bin/node` is the one below its directory. */
function runner(directory: string, environment: NodeJS.ProcessEnv) {
  const cwd = join(directory, valuesOf('WORKDIR')[0] ?? '');
  const env = {
    ...Object.fromEntries(valuesOf('ENV').map((pair) => pair.split('='))),
    ...environment,
    PATH: process.env.PATH,
    // Elsewhere, too, nothing may be written.
    TMPDIR: cwd,
  };
  const [uid, gid] = (valuesOf('USER')[0] ?? '').split(':').map(Number);
  const user = process.getuid?.() === 0 ? { uid, gid } : {};
  return (program: string, args: string[]) => start(join(directory, program), args, { cwd, env, ...user });
}

/** Starts a program without tap, which would load itself into every Node.js and write below the project. */
function start(program: string, args: string[], options: SpawnOptions): ChildProcess {
  return spawn('env', ['-u', 'NODE_OPTIONS', program, ...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function copy(root: string, directory: string, value: string): Promise<void> {
  const from = /^--from=(\S+) /.exec(value)?.[1];
  const paths = value.split(' ').filter((word) => !word.startsWith('--'));
  const target = paths.pop() ?? '';
  const ignored = await dockerIgnore();
  for (const path of paths) {
    const source = from === undefined ? join(project, path) : join(root, from, path);
    const destination = join(directory, target.endsWith('/') ? join(target, path) : target);
    if (!existsSync(source) || (from === undefined && ignored(path))) {
      throw new Error(`COPY ${value}: the build context has no ${path}`);
    }
    const filter = (file: string) => from !== undefined || !ignored(relative(project, file));
    await cp(source, destination, { recursive: true, verbatimSymlinks: true, filter });
  }
}

/** Whether a path is kept from the build context: the last line of .dockerignore that names it or what it is in decides. */
async function dockerIgnore(): Promise<(path: string) => boolean> {
  const lines = (await readFile(join(project, '.dockerignore'), 'utf8'))
    .split('\n')
    .filter((line) => /^[^#]/.test(line));
  return (path) => {
    const last = lines.findLast((line) => {
      const named = line.replace(/^!/, '');
      return named === '*' || path === named || path.startsWith(`${named}/`);
    });
    return last !== undefined && !last.startsWith('!');
  };
}

async function endOf(child: ChildProcess): Promise<{ code: number | null; output: string; errors: string }> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('the output of this process goes elsewhere');
  const [output, errors, [code]] = await Promise.all([
    text(stdout),
    text(stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { code, output, errors };
}
