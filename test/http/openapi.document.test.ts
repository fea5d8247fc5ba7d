import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { clientTypes } from '../../src/dev/client-types.ts';
import { openApiYaml } from '../../src/dev/openapi-document.ts';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

t.test('openapi.yaml is what npm run openapi writes', async (t) => {
  t.equal(read('openapi.yaml'), await openApiYaml());
});

t.test('the types of the client are those of openapi.yaml', async (t) => {
  t.equal(read('src/client/api-types.ts'), await clientTypes(read('openapi.yaml')));
});
