import openapiTypes, { astToString } from 'openapi-typescript';

/** The types of the calls in an OpenAPI document given as YAML, as the source of a TypeScript module. */
export async function clientTypes(openApiYaml: string): Promise<string> {
  // What has a default may be left out of what is sent.
  const types = await openapiTypes(openApiYaml, { defaultNonNullable: false });
  return `// Written by npm run openapi.\n\n${astToString(types)}`;
}
