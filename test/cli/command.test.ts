import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { fromRunner } from '../support/service.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const command = 'bin/basketlink.js';

t.test('npx finds the command in a fresh checkout; it asks for a build, and then works', async (t) => {
  const directory = t.testdir();
  for (const path of ['bin', 'package.json']) cpSync(join(project, path), join(directory, path), { recursive: true });
  const { bin }: { bin: object } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  t.same(bin, { basketlink: command });
  t.ok(statSync(join(directory, command)).mode & 0o100, 'it can be executed');
  const run = () => spawnSync(join(directory, command), ['--help'], { encoding: 'utf8' });
  t.match(run(), { status: 1, stdout: '', stderr: /npm run build/ });
  symlinkSync(join(fromRunner('TEST_COMPILED'), 'dist'), join(directory, 'dist'));
  t.match(run(), { status: 0, stdout: /^npx basketlink <command>/, stderr: '' });
  const pipeline = `set -o pipefail; ${join(directory, command)} --help | true`;
  t.match(spawnSync('bash', ['-c', pipeline], { encoding: 'utf8' }), { status: 0, stderr: '' }, 'nobody reads on');
});
