import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const cache = fileURLToPath(new URL('../../node_modules/.cache/basketlink/', import.meta.url));

/**
 * The path of a Node.js of another version, which npm installs when it is not there yet. Throws with what npm wrote where
 * it cannot. npm's package `node` is not used: it fetches the same by a script, and npm 11 runs none that is not allowed.
 */
export async function nodeBinary(version: string): Promise<string> {
  const name = `node-${platform()}-${arch()}`;
  const directory = join(cache, `${name}-${version}`);
  if (!existsSync(directory)) {
    const unfinished = `${directory}.unfinished`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { recursive: true });
    const flags = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
    await promisify(execFile)('npm', ['install', '--prefix', unfinished, ...flags, `${name}@${version}`]);
    await rename(unfinished, directory);
  }
  return join(directory, 'node_modules', name, 'bin/node');
}
