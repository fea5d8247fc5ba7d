import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const project = new URL('../../../', import.meta.url).href;

/**
 * Loads what run.ts has compiled of the project's TypeScript, under the name of its source. To have each test file
 * compile what it imports took as long as most tests do.
 */
export async function load(url, context, nextLoad) {
  if (!url.startsWith(project) || !url.endsWith('.ts')) return nextLoad(url, context);
  const compiled = process.env.TEST_COMPILED;
  if (compiled === undefined) throw new Error(`run test files with \`npm test -- ${fileURLToPath(url)}\``);
  const source = readFileSync(`${compiled}/modules/${url.slice(project.length, -'.ts'.length)}.js`);
  return { format: 'module', source, shortCircuit: true };
}
