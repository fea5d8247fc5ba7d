import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { freePort } from '../../src/dev/services.ts';
import { createDatabase } from '../support/service.ts';
import { until } from '../support/until.ts';

/*
 * Test machines have no container engine, so the Dockerfile is carried out by hand: each stage is a directory, COPY and
 * RUN do what they say, and `npm ci` links the packages that the lock file names.
 */

const project = fileURLToPath(new URL('../..', import.meta.url));
const buildLimitMs = 120_000;
const startLimitMs = 15_000;
const stopLimitMs = 10_000;

type Instruction = { name: string; value: string };
type Stage = { name: string; instructions: Instruction[] };

const stages = stagesOf(await readFile(join(project, 'Dockerfile'), 'utf8'));
const image = stages.at(-1) ?? { name: '', instructions: [] };

t.test('the image serves from what it copies, says that it is healthy, and stops in order', async (t) => {
  const directory = await build(t);
  const port = await freePort();
  const secret = 'the secret of the service in the container';
  const environment = {
    PATH: process.env.PATH,
    HOST: '127.0.0.1',
    PORT: String(port),
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    DATABASE_URL: await createDatabase(t),
    REDIS_URL: process.env.TEST_REDIS_URL,
    JWT_SECRET: secret,
    LINK_KEYS: `k1:${secret}`,
    DATA_KEYS: `d1:${secret}`,
    ...Object.fromEntries(valuesOf('ENV').map((pair) => pair.split('='))),
  };
  const node = (args: string[]) =>
    spawn(process.execPath, args, { cwd: directory, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });

  const migration = await endOf(node(['dist/cli/migrate.js']));
  t.match(migration, { code: 0, output: 'The database is up to date.' }, 'it migrates');

  const service = node(JSON.parse(valuesOf('CMD')[0] ?? ''));
  t.teardown(() => service.kill('SIGKILL'));
  const ended = endOf(service);
  await until('the service is ready', startLimitMs, async () => {
    const answer = await fetch(`${environment.PUBLIC_URL}/health/ready`).catch(() => null);
    return answer?.ok ?? (service.exitCode === null ? null : Promise.reject(new Error((await ended).errors)));
  });
  const [program, ...args]: string[] = JSON.parse(/CMD (\[.*\])$/.exec(valuesOf('HEALTHCHECK')[0] ?? '')?.[1] ?? '[]');
  t.equal(program, '/nodejs/bin/node', 'where the base image keeps node');
  t.match(await endOf(node(args)), { code: 0, errors: '' }, 'it is healthy');

  const askedAt = performance.now();
  service.kill('SIGTERM');
  t.match(await ended, { code: 0, errors: '' });
  t.ok(performance.now() - askedAt < stopLimitMs, 'it stops before it would be killed');
  t.match(await endOf(node(args)), { code: 1 }, 'and is not healthy any more');
});

t.test('the service runs as an ordinary user, on a base without a shell', async (t) => {
  t.strictSame(valuesOf('USER'), ['nonroot']);
  t.match(valuesOf('FROM')[0], /^gcr\.io\/distroless\/nodejs24-/);
});

function valuesOf(name: string): string[] {
  return image.instructions.filter((instruction) => instruction.name === name).map(({ value }) => value);
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

/** Carries the Dockerfile out and gives the working directory of its last stage. */
async function build(t: Test): Promise<string> {
  // Not below the project, where Node would find the packages that the image lacks.
  const root = await mkdtemp(join(tmpdir(), 'basketlink-image-'));
  t.teardown(() => rm(root, { recursive: true, force: true }));
  for (const { name: stage, instructions } of stages) {
    let directory = join(root, stage);
    for (const { name, value } of instructions) {
      if (name === 'WORKDIR') {
        directory = join(root, stage, value);
        await mkdir(directory, { recursive: true });
      }
      if (name === 'COPY') await copy(root, directory, value);
      if (name === 'RUN' && value.startsWith('npm ci')) await install(directory, !value.includes('--omit=dev'));
      else if (name === 'RUN') {
        const [command = '', ...args] = value.split(' ');
        const run = spawn(command, args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'], timeout: buildLimitMs });
        const { code, output, errors } = await endOf(run);
        if (code !== 0) throw new Error(`${value}: ${output}${errors}`);
      }
    }
  }
  return join(root, image.name, valuesOf('WORKDIR')[0] ?? '');
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

/** Links the packages of the lock file into `node_modules`, as `npm ci` would install them. */
async function install(directory: string, withDevelopment: boolean): Promise<void> {
  const lock = JSON.parse(await readFile(join(directory, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>;
  };
  for (const [path, { dev = false }] of Object.entries(lock.packages)) {
    const isTopLevel = path !== '' && path.lastIndexOf('node_modules/') === 0;
    const source = join(project, path);
    if (!isTopLevel || (dev && !withDevelopment) || !existsSync(source)) continue;
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await symlink(source, join(directory, path));
  }
  const programs = join(project, 'node_modules/.bin');
  if (!withDevelopment) return;
  await mkdir(join(directory, 'node_modules/.bin'));
  for (const program of await readdir(programs)) {
    await symlink(join(programs, program), join(directory, 'node_modules/.bin', program));
  }
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
