import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { openApiYaml } from './openapi-document.ts';

await writeFile(fileURLToPath(new URL('../../openapi.yaml', import.meta.url)), await openApiYaml());
