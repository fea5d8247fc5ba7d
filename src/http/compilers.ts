import AjvCompiler, { type ErrorObject } from '@fastify/ajv-compiler';
import {
  type RouteDefinition,
  type Serializer,
  type SerializerFactory,
  SerializerSelector,
} from '@fastify/fast-json-stringify-compiler';

/** How Ajv checks: nothing is coerced or dropped, what is left out gets its default. */
export const strictly = { coerceTypes: false, removeAdditional: false, useDefaults: true, allErrors: false } as const;

/**
 * Fastify's compilers of schemas, but for when they compile: each schema once, when it is first used. Compiling them all
 * took most of the time of a start, and a replica that is started under load should serve soon.
 */
export function lateCompilers(): {
  buildSerializer: SerializerFactory;
  buildValidator: AjvCompiler.BuildCompilerFromPool;
} {
  return { buildSerializer: serializers(), buildValidator: validators() };
}

/** Many routes and statuses share a serializer: every refusal is the same problem document. */
function serializers(): SerializerFactory {
  const build = SerializerSelector();
  return (externalSchemas, options) => {
    const compile = build(externalSchemas, options);
    const compiled = new Map<string, Serializer>();
    const compileOnce = (route: RouteDefinition): Serializer => {
      const key = JSON.stringify(route.schema);
      const serializer = compiled.get(key) ?? compile(route);
      compiled.set(key, serializer);
      return serializer;
    };
    return (route: RouteDefinition): Serializer => {
      let serializer: Serializer | undefined;
      return (document) => {
        serializer ??= compileOnce(route);
        return serializer(document);
      };
    };
  };
}

function validators(): AjvCompiler.BuildCompilerFromPool {
  const build = AjvCompiler();
  return (...given) => {
    const compile = build(...given);
    return (...schema) => {
      let compiled: ReturnType<typeof compile> | undefined;
      // Ajv leaves its reasons on the function.
      const validate = (value: unknown) => {
        compiled ??= compile(...schema);
        const result = compiled(value);
        validate.errors = compiled.errors;
        return result;
      };
      validate.errors = undefined as ErrorObject[] | null | undefined;
      return validate as ReturnType<typeof compile>;
    };
  };
}
