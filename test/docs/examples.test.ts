import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const project = fileURLToPath(new URL('../..', import.meta.url));
const contentsOf = (folder: string, extension: string) =>
  readdirSync(join(project, folder))
    .filter((name) => name.endsWith(extension))
    .map((name) => readFileSync(join(project, folder, name), 'utf8'));

t.test('the TypeScript that the documentation shows is that of the examples, which tests run', async (t) => {
  const examples = contentsOf('examples', '.ts');
  const shown = contentsOf('docs', '.md').flatMap((document) => [...document.matchAll(/^```ts\n([\s\S]*?)^```$/gm)]);
  t.not(shown.length, 0);
  for (const [, code = ''] of shown) t.ok(examples.includes(code), code);
});
