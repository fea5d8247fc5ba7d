import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { openApiYaml } from '../../src/dev/openapi-document.ts';

t.test('openapi.yaml is what npm run openapi writes', async (t) => {
  const written = readFileSync(fileURLToPath(new URL('../../openapi.yaml', import.meta.url)), 'utf8');
  t.equal(written, await openApiYaml());
});
