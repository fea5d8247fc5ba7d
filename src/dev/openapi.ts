import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { clientTypes } from './client-types.ts';
import { openApiYaml } from './openapi-document.ts';

const yaml = await openApiYaml();
await writeFile(fileURLToPath(new URL('../../openapi.yaml', import.meta.url)), yaml);
await writeFile(fileURLToPath(new URL('../client/api-types.ts', import.meta.url)), await clientTypes(yaml));
