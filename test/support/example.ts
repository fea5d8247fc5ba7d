import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { fromRunner } from './service.ts';

/**
 * Imports a file of examples/ as a user of the package does: what it imports as `basketlink/…` is what package.json
 * exports. `environment` is what it finds in `process.env`.
 */
export async function importExample<Module>(name: string, environment: Record<string, string>): Promise<Module> {
  // Beside the compiled package, where its own name leads to it.
  const file = join(fromRunner('TEST_COMPILED'), `examples/${name}.js`);
  await build({
    entryPoints: [fileURLToPath(new URL(`../../examples/${name}.ts`, import.meta.url))],
    outfile: file,
    bundle: true,
    format: 'esm',
    packages: 'external',
    // It would follow tsconfig.json from basketlink/… into src/.
    tsconfigRaw: {},
    logLevel: 'silent',
  });
  Object.assign(process.env, environment);
  return import(pathToFileURL(file).href);
}
