import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { Deviation } from './deviations.ts';
import type { Exchange } from './exchanges.ts';

type Json = { [key: string]: Json | unknown };
type OperationObject = { responses: Record<string, { content?: { 'application/json'?: { schema: object } } }> };
type PathItem = Record<string, OperationObject> & { servers?: { url: string }[] };
type OpenApi = {
  servers: { url: string }[];
  paths: Record<string, PathItem>;
  'x-further-statuses'?: number[];
};

/** Says everything that the document does not say of an answer. */
export type Judge = (exchange: Exchange) => string[];

/** Tebex' OpenAPI document, as the file holds it. */
export function readTebexDocument(path: string): Json {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/**
 * Judges by the document with the deviations in it. The document is taken at its word: it requires nothing and forbids
 * nothing, but here what it names must be there, and nothing else may be.
 */
export function judgeBy(document: Json, deviations: readonly Deviation[]): Judge {
  const patched = structuredClone(document);
  for (const { patch } of deviations) {
    for (const [pointer, value] of Object.entries(patch)) put(patched, pointer, structuredClone(value));
  }
  takeAtItsWord(patched);
  const ajv = new Ajv2020({ strict: false, allErrors: true, logger: false });
  addFormats.default(ajv);
  ajv.addSchema(patched, 'tebex:/');
  const openApi = patched as unknown as OpenApi;
  const operations = operationsOf(openApi);
  const fit = (pointer: string, body: unknown) => {
    const $ref = `tebex:/#${pointer}`;
    const validate = ajv.getSchema($ref);
    if (!validate) throw new Error(`the document has no ${pointer}`);
    return validate(body)
      ? []
      : (validate.errors ?? []).map(({ schemaPath, instancePath, message, params }) =>
          [schemaPath, instancePath, message, JSON.stringify(params)].join(' '),
        );
  };

  return ({ method, path, status, contentType, body }) => {
    const operation = operations.find((known) => known.method === method && known.matches(path));
    if (!operation) return ['there is no such call'];
    const isProblem = status >= 400;
    const found = contentType.startsWith(isProblem ? 'application/problem+json' : 'application/json')
      ? []
      : [`its type is ${contentType}`];
    const { responses } = operation;
    if (!(status in responses) && !openApi['x-further-statuses']?.includes(status))
      found.push(`its status is ${status}`);
    if (isProblem) return [...found, ...fit('/components/schemas/ErrorResponse', body)];
    const schema = responses[status]?.content?.['application/json']?.schema;
    if (schema === undefined) return found;
    return [...found, ...fit(`${operation.pointer}/responses/${status}/content/application~1json/schema`, body)];
  };
}

/** The calls of the document, each once although it has a path for every query; and the template's, by the ident alone. */
function operationsOf({ paths, servers }: OpenApi) {
  return Object.entries(paths).flatMap(([key, { servers: own, ...methods }]) => {
    const base = new URL((own ?? servers)[0]?.url ?? '').pathname;
    const [template = ''] = `${decodeURIComponent(base)}${key}`.split('?');
    const pattern = template.replace(/\/$/, '').replace(/\{\w+\}/g, '[^/]+');
    const alsoByIdent = pattern.replace('/accounts/[^/]+/baskets/', '/(?:accounts/[^/]+/)?baskets/');
    const whole = new RegExp(`^${alsoByIdent}/?$`);
    return Object.entries(methods).map(([method, { responses }]) => ({
      method: method.toUpperCase(),
      matches: (path: string) => whole.test(path),
      responses,
      pointer: `/paths/${encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))}/${method}`,
    }));
  });
}

/** Sets what a JSON pointer names, making what is missing on the way. */
function put(target: Json, pointer: string, value: unknown): void {
  const [last = '', ...before] = pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reverse();
  let at = target;
  for (const part of before.reverse()) {
    at[part] ??= {};
    at = at[part] as Json;
  }
  at[last] = value;
}

/** Requires what a schema names and forbids the rest; and says `nullable`, a word of OpenAPI 3.0, in today's. */
function takeAtItsWord(schema: unknown): void {
  if (typeof schema !== 'object' || schema === null) return;
  const node = schema as Json & { properties?: Record<string, Json>; type?: string | string[] };
  if (node.properties) {
    node.required = Object.keys(node.properties).filter((name) => !node.properties?.[name]?.['x-sometimes']);
    node.additionalProperties ??= false;
  }
  for (const child of Object.values(node)) takeAtItsWord(child);
  if (node.nullable !== true) return;
  delete node.nullable;
  if (typeof node.type === 'string') node.type = [node.type, 'null'];
  if (node.$ref !== undefined) {
    node.anyOf = [{ $ref: node.$ref }, { type: 'null' }];
    delete node.$ref;
  }
}
