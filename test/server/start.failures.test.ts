import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { stopWithParent } from '../../src/dev/services.ts';
import { listen } from '../support/network.ts';
import { createDatabase, fromRunner } from '../support/service.ts';

const secret = 'the secret of a service that does not start';
/** Many times what it takes on a busy machine. A process that something keeps alive would stay for ever. */
const endsWithinMs = 30_000;

async function environmentFor(t: Test, port: number) {
  return {
    PATH: process.env.PATH,
    HOST: '127.0.0.1',
    PORT: String(port),
    PUBLIC_URL: 'https://links.example',
    DATABASE_URL: await createDatabase(t),
    REDIS_URL: fromRunner('TEST_REDIS_URL'),
    JWT_SECRET: secret,
    LINK_KEYS: `l1:${secret}`,
    DATA_KEYS: `d1:${secret}`,
    LOG_LEVEL: 'silent',
  };
}

/** Runs the compiled service's Node.js with these arguments to its end. */
async function run(args: string[], env: Record<string, string | undefined>) {
  const child = spawn(process.execPath, args, {
    cwd: fromRunner('TEST_COMPILED'),
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close') as Promise<[code: number | null]>;
  if (child.pid !== undefined) stopWithParent(child.pid, 'SIGKILL', ended);
  const patience = setTimeout(() => child.kill('SIGKILL'), endsWithinMs);
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  clearTimeout(patience);
  return { code, output, errors };
}

t.test('a service whose port is taken says which, exits with 1, and leaves nothing going on', async (t) => {
  const port = await listen(t, createServer());
  const env = await environmentFor(t, port);
  const ended = await run(['dist/server.js'], env);
  t.equal(ended.code, 1);
  t.match(ended.errors, /^PORT cannot be used: .*EADDRINUSE.*127\.0\.0\.1/);
  t.match(ended.errors, `127.0.0.1:${port}\n`);

  // Nobody ends this process: it ends when nothing is left that it waits for.
  const script = `
    import { loadConfig } from './dist/config.js';
    import { startService } from './dist/server.js';
    const failure = await startService(loadConfig(process.env)).catch((error) => error.message);
    console.log(failure);`;
  const alone = await run(['--input-type=module', '--eval', script], env);
  t.match(alone, { code: 0, output: /^PORT cannot be used/, errors: '' });
});

t.test('a service that is configured wrongly names every problem at once, and exits with 1', async (t) => {
  const { LINK_KEYS, ...env } = await environmentFor(t, 0);
  const ended = await run(['dist/server.js'], { ...env, JWT_SECRET: 'short', DATA_KEYS_FILE: '/no/such/file' });
  t.equal(ended.code, 1);
  for (const name of ['JWT_SECRET', 'LINK_KEYS', 'DATA_KEYS', 'DATA_KEYS_FILE']) t.match(ended.errors, `  - ${name} `);
});
