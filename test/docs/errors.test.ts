import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { errorsPage } from '../../src/dev/errors-page.ts';
import { problems } from '../../src/errors.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));

t.test('docs/errors.md is what npm run docs:errors writes', async (t) => {
  t.equal(readFileSync(join(project, 'docs/errors.md'), 'utf8'), errorsPage());
});

t.test('the table for people has one row for every code, with every status that it is answered with', async (t) => {
  const rows = [...errorsPage().matchAll(/^\| `(\w+)` \| ([\d, ]+) \| (.+?) \| (.+?) \|$/gm)];
  t.strictSame(
    rows.map(([, code, statuses]) => [code, statuses]),
    Object.entries(problems).map(([code, row]) => [
      code,
      ['alsoStatus' in row ? [row.status, ...row.alsoStatus] : row.status].flat().join(', '),
    ]),
  );
});

t.test('every problem code is answered somewhere', async (t) => {
  const code = readdirSync(join(project, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && path !== 'errors.ts' && !path.startsWith('dev/'))
    .map((path) => readFileSync(join(project, 'src', path), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, ''))
    .join('\n');
  t.strictSame(
    Object.keys(problems).filter((name) => !code.includes(`'${name}'`)),
    [],
  );
});

t.test('every code that the documentation names is in the table', async (t) => {
  const pages = ['README.md', ...readdirSync(join(project, 'docs')).map((name) => `docs/${name}`)];
  const text = pages
    .filter((path) => path.endsWith('.md'))
    .map((path) => readFileSync(join(project, path), 'utf8'))
    .join('\n');
  const named = [...text.matchAll(/(?:\b4\d\d `|\/problems\/)([a-z_]+)\b|`([a-z_]+)` 4\d\d\b/g)].map(
    ([, after, before]) => after ?? before ?? '',
  );
  t.not(named.length, 0);
  t.strictSame(
    named.filter((code) => !Object.hasOwn(problems, code)),
    [],
  );
});
