import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { transform } from 'esbuild';
import { fromRunner } from './service.ts';

/**
 * Imports a file of examples/ as a user of the package does: what it imports as `basketlink/…` is what package.json
 * exports. `environment` is what it finds in `process.env`.
 */
export async function importExample<Module>(name: string, environment: Record<string, string>): Promise<Module> {
  const source = await readFile(fileURLToPath(new URL(`../../examples/${name}.ts`, import.meta.url)), 'utf8');
  const { code } = await transform(source, { loader: 'ts', format: 'esm' });
  // Beside the compiled package, where its own name leads to it.
  const directory = join(fromRunner('TEST_COMPILED'), 'examples');
  await mkdir(directory, { recursive: true });
  const file = join(directory, `${name}.js`);
  await writeFile(file, code);
  Object.assign(process.env, environment);
  return import(pathToFileURL(file).href);
}
