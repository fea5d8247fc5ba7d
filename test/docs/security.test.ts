import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { securityPage } from '../../src/dev/security-page.ts';

t.test('the table of calls in docs/security.md is what npm run docs:security writes', async (t) => {
  const written = readFileSync(fileURLToPath(new URL('../../docs/security.md', import.meta.url)), 'utf8');
  t.equal(written, await securityPage());
});

t.test('every threat and class in docs/security.md names a test', async (t) => {
  const written = readFileSync(fileURLToPath(new URL('../../docs/security.md', import.meta.url)), 'utf8');
  const tables = [...written.matchAll(/^\| \w[^|]* \| what stops it \| proven by \|\n\|[-|]+\|\n((?:\|.*\|\n)+)/gm)];
  t.equal(tables.length, 2);
  for (const [, rows = ''] of tables) {
    for (const row of rows.trim().split('\n')) t.match(row, /\]\(\.\.\/test\/[\w/.-]+\.test\.ts\)[^|]* \|$/, row);
  }
});
