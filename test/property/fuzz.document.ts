import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';

/** What the fuzzer understands of a JSON Schema. */
export type JsonSchema = {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  unevaluatedProperties?: boolean;
  allOf?: JsonSchema[];
  anyOf?: JsonSchema[];
  items?: JsonSchema;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  pattern?: string;
  format?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  default?: unknown;
};

export type Parameter = { name: string; in: 'path' | 'query' | 'header'; required?: boolean; schema: JsonSchema };

type Content = Record<string, { schema?: JsonSchema }>;

type OperationObject = {
  operationId: string;
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content: Content };
  security?: { bearer?: string[]; session?: string[] }[];
  responses: Record<string, { content?: Content }>;
};

type OpenApi = {
  paths: Record<string, Record<string, OperationObject>>;
  components: { schemas: Record<string, JsonSchema> };
};

/** Says what is wrong with a value, or null when it fits. */
type Check = (value: unknown) => string | null;

/** An operation of the document, with what its document lets anybody check. */
export type Operation = {
  id: string;
  method: string;
  path: string;
  /** Whether it needs a credential, which scopes suffice, and whether a session token of its basket does. */
  secured: boolean;
  scopes: string[];
  admitsSession: boolean;
  parameters: Parameter[];
  body: JsonSchema | null;
  fitsBody: Check;
  fitsParameter: (parameter: Parameter, value: unknown) => string | null;
  /** By status, and by content type what is wrong with a body; no content type: there is none. */
  responses: Map<number, Map<string, Check>>;
};

export type ApiDocument = {
  operations: Operation[];
  /** The schema behind a reference. */
  resolve: (schema: JsonSchema) => JsonSchema;
};

/** The committed openapi.yaml. */
export function readDocument(): ApiDocument {
  return documentOf(parse(readFileSync(fileURLToPath(new URL('../../openapi.yaml', import.meta.url)), 'utf8')));
}

/** The operations of a document. What an answer may hold is taken at its word: a property that is not in it is wrong. */
export function documentOf(document: OpenApi): ApiDocument {
  const ajv = new Ajv2020({ strict: false, allErrors: false, validateFormats: true });
  addFormats.default(ajv);
  const answers = structuredClone(document);
  for (const operation of operationsOf(answers)) {
    for (const { content } of Object.values(operation.responses)) {
      for (const { schema } of Object.values(content ?? {})) if (schema) close(schema);
    }
  }
  for (const schema of Object.values(answers.components.schemas)) close(schema);
  ajv.addSchema(document, 'requests:/');
  ajv.addSchema(answers, 'answers:/');
  const compiled = new Map<string, ValidateFunction>();
  const check = (root: string, ...pointer: string[]): Check => {
    const $ref = `${root}#/${pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;
    return (value) => {
      const validate = compiled.get($ref) ?? ajv.compile({ $ref });
      compiled.set($ref, validate);
      return validate(value) ? null : ajv.errorsText(validate.errors, { dataVar: '' });
    };
  };

  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Operation => {
      const { operationId, parameters = [], requestBody, security = [], responses } = operation;
      const at = (...more: string[]) => ['paths', path, method, ...more];
      return {
        id: operationId,
        method: method.toUpperCase(),
        path,
        secured: security.length > 0,
        scopes: security.flatMap(({ bearer = [] }) => bearer),
        admitsSession: security.some(({ session }) => session),
        parameters,
        body: requestBody?.content['application/json']?.schema ?? null,
        fitsBody: check('requests:/', ...at('requestBody', 'content', 'application/json', 'schema')),
        fitsParameter: (parameter, value) =>
          check('requests:/', ...at('parameters', String(parameters.indexOf(parameter)), 'schema'))(value),
        responses: new Map(
          Object.entries(responses).map(([status, { content = {} }]) => [
            Number(status),
            new Map(
              Object.entries(content).map(([type, { schema }]) => [
                type,
                schema ? check('answers:/', ...at('responses', status, 'content', type, 'schema')) : () => null,
              ]),
            ),
          ]),
        ),
      };
    }),
  );
  const resolve = (schema: JsonSchema): JsonSchema => {
    const name = schema.$ref?.replace('#/components/schemas/', '');
    return name === undefined ? schema : (document.components.schemas[name] ?? {});
  };
  return { operations, resolve };
}

function operationsOf({ paths }: OpenApi): OperationObject[] {
  return Object.values(paths).flatMap((methods) => Object.values(methods));
}

/** Forbids what the schema does not name, unless it says that anything may be there. */
function close(schema: JsonSchema): void {
  const members = [...Object.values(schema.properties ?? {}), ...(schema.items ? [schema.items] : [])];
  if (schema.allOf) {
    // Each part knows only some of the properties.
    for (const part of schema.allOf) members.push(...Object.values(part.properties ?? {}));
    schema.unevaluatedProperties = false;
  } else if (schema.properties && schema.additionalProperties === undefined) {
    schema.additionalProperties = false;
  }
  for (const member of members) close(member);
}
