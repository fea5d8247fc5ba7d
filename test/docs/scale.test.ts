import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { sizedPage } from '../../bench/sizing.ts';

t.test('the costs in docs/scale.md are those of bench/results.md, as npm run docs:sizing writes them', async (t) => {
  const written = readFileSync(fileURLToPath(new URL('../../docs/scale.md', import.meta.url)), 'utf8');
  t.equal(written, sizedPage());
});
